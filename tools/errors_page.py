"""Write docs/explanation/accuracy.md: the errors of all predictions, as ``validate`` prints them.

python tools/errors_page.py FOLDER    (some minutes; the folder of the measurements)
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from memorywall.validate import all_validators
from memorywall.validate.errors import Validation

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "accuracy.md"
_HEAD = """# How far to trust a prediction

Every predicted time has an 80 % interval, and `bound_s`, the least time by the data sheet. Times
come from formulas of single kernels and of whole passes, whose constants are fitted to public
measurements. This page has their errors, as `memorywall validate --data FOLDER` prints them;
`python tools/errors_page.py FOLDER` writes it again, and CI holds the limits.

How to read the tables:

- Every error is |predicted / measured - 1| of measurements that **no fit saw**. Splits are by
  layer, device, architecture, configuration, system or model, never by row; each title says which.
  Tables called *shipped* use the constants of the package, whose fit saw the measurements.
- `bias` is the median of predicted over measured: below 1, predictions are too fast.
- `in 80 %` is the share of measurements inside the stated interval.
- Errors of kernels are taken inside each table (a device, engine and dtype). A row has the median
  of the tables' medians and of their 90th percentiles, and counts tables.
- The tables called *data sheet* have the error of the roofline alone.

Which constants a device has:

- **Its own**, `calibrated`: ten data-centre and workstation GPUs for kernels, and about ninety
  devices for whole passes of one user.
- **Its class's**, `class default`: all others. TPUs, NPUs and AMD data-centre GPUs have no public
  tables of kernels: they inherit the constants of NVIDIA GPUs, and no measurement backs their
  interval.
- **Yours**: `memorywall calibrate` ([how](../howto/calibrate.md)).

Where not to trust it:

- Training has the constants of single kernels; its whole steps were not compared with runs.
- Engines whose prompts are read by other devices (*disaggregated*), batches of hundreds on
  `gpt-oss-120b`, and DeepSeek-R1 on GB200 are missed by factors: see the lists *missed most*.
- Prefill of one user on desktop CPUs depends on the engine's kernels more than on the device.
"""


def page(parts: Iterable[Validation | str]) -> str:
    """Return the page, with the text of each validation."""
    return "\n".join([_HEAD, *(f"```text\n{part}\n```\n" for part in parts)])


if __name__ == "__main__":
    PAGE.write_text(page(one.run(Path(sys.argv[1])) for one in all_validators()), encoding="utf-8")

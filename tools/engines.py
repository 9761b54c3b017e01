"""Fit the constants of serving engines to public runs, and write them into the catalogue.

    python tools/engines.py FOLDER

FOLDER holds ``serving_ttft_tpot.csv``. Configurations whose checksum has bit 1 set are held out;
the errors in the tables are theirs, on aggregated runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from memorywall.calibrate.kernel_fit import interval
from memorywall.calibrate.samples import SPLIT_BIT
from memorywall.calibrate.serving import (
    ServingRun,
    fit_engines,
    predicted_tpot,
    predicted_ttft,
    read_serving,
)
from memorywall.catalog.engine_tables import FOLDER
from memorywall.catalog.table_files import tables_toml
from memorywall.core.files import write_text
from memorywall.core.kernels import Table
from memorywall.cost.serving import CONSTANTS, FIRST, SHARED, STEP

SOURCE = "aiconfigurator-core 0.12.0 (PyPI), Apache-2.0: InferenceX dumps and vendors' runs"


def main() -> None:
    """Fit, print the errors, and write one file."""
    runs, _ = read_serving(Path(sys.argv[1]))
    fitted = fit_engines([run for run in runs if not run.is_held_out(SPLIT_BIT)])
    tables = []
    for engine, constants in fitted.items():
        own = [r for r in runs if r.engine == engine and not r.disaggregated and not r.deployed]
        step = {name: constants[name] for name in (*SHARED, *STEP)}
        first = {name: constants[name] for name in FIRST}
        tables.append(table("tpot", engine, step, own, lambda r, c=constants: _tpot(r, c)))
        tables.append(table("ttft", engine, first, own, lambda r, c=constants: _ttft(r, c)))
        print(engine, tables[-2].median_error, tables[-2].p90_error, tables[-1].median_error)
    meanings = {"tpot": CONSTANTS, "ttft": CONSTANTS}
    heading = "Written by tools/engines.py: constants of serving engines, fitted to public runs."
    write_text(FOLDER / "engines.toml", tables_toml(tables, meanings, heading))


def _tpot(run: ServingRun, constants: dict[str, float]) -> float | None:
    return None if run.tpot_s is None else predicted_tpot(run, constants) / run.tpot_s


def _ttft(run: ServingRun, constants: dict[str, float]) -> float | None:
    return None if run.ttft_s is None else predicted_ttft(run, constants) / run.ttft_s


def table(
    kind: str,
    engine: str,
    constants: dict[str, float],
    runs: Sequence[ServingRun],
    ratio: Callable[[ServingRun], float | None],
) -> Table:
    """Return the table of an engine, with the errors of the runs that are held out."""
    train = [r for run in runs if not run.is_held_out(SPLIT_BIT) and (r := ratio(run)) is not None]
    test = [r for run in runs if run.is_held_out(SPLIT_BIT) and (r := ratio(run)) is not None]
    low, high = interval(np.array(train))
    off = np.abs(np.array(test) - 1)
    rounded = {name: float(f"{value:.4g}") for name, value in constants.items()}
    return Table(
        kind, "", engine, rounded, low, high, dataset=SOURCE, rows=len(train),
        median_error=float(f"{np.median(off):.4f}"), p90_error=float(f"{np.quantile(off, 0.9):.4f}"),
        physics="no step is shorter than its traffic at the data sheet",
    )  # fmt: skip


if __name__ == "__main__":
    main()

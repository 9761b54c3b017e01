"""Fit the constants of serving engines to public runs, and write them into the catalogue.

    python tools/engines.py FOLDER

FOLDER holds ``serving_ttft_tpot.csv``. Configurations whose checksum has bit 1 set are held out;
the errors in the tables are theirs, on aggregated runs.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

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

_FOLDS = 5
Fitted: TypeAlias = tuple[ServingRun, dict[str, float]]
SOURCE = "aiconfigurator-core 0.12.0 (PyPI), Apache-2.0: InferenceX dumps and vendors' runs"


def main() -> None:
    """Fit, print the errors, and write one file."""
    runs, _ = read_serving(Path(sys.argv[1]))
    train = [run for run in runs if not run.is_held_out(SPLIT_BIT)]
    fitted = fit_engines(train)
    crossed = cross_fitted(train)
    tables = []
    for engine, constants in fitted.items():
        own = [
            (run, constants)
            for run in runs
            if run.engine == engine and not run.disaggregated and not run.deployed
        ]
        step = {name: constants[name] for name in (*SHARED, *STEP)}
        first = {name: constants[name] for name in FIRST}
        tables.append(table("tpot", engine, step, own, crossed, _tpot))
        tables.append(table("ttft", engine, first, own, crossed, _ttft))
        print(engine, tables[-2].median_error, tables[-2].p90_error, tables[-1].median_error)
    meanings = {"tpot": CONSTANTS, "ttft": CONSTANTS}
    heading = "Written by tools/engines.py: constants of serving engines, fitted to public runs."
    write_text(FOLDER / "engines.toml", tables_toml(tables, meanings, heading))


def _tpot(run: ServingRun, constants: dict[str, float]) -> float | None:
    return None if run.tpot_s is None else predicted_tpot(run, constants) / run.tpot_s


def _ttft(run: ServingRun, constants: dict[str, float]) -> float | None:
    return None if run.ttft_s is None else predicted_ttft(run, constants) / run.ttft_s


def cross_fitted(runs: Sequence[ServingRun]) -> list[Fitted]:
    """Return runs with constants that were fitted without their configurations.

    Intervals are those of such runs: a configuration shifts all of its runs alike.
    """
    found: list[Fitted] = []
    for fold in range(_FOLDS):
        out = [run for run in runs if zlib.crc32(run.split.encode()) // 2**8 % _FOLDS == fold]
        fitted = fit_engines([run for run in runs if run not in out])
        found += [(run, fitted[run.engine]) for run in out if run.engine in fitted]
    return [(run, constants) for run, constants in found if not run.disaggregated]


def table(
    kind: str,
    engine: str,
    constants: dict[str, float],
    runs: Sequence[Fitted],
    crossed: Sequence[Fitted],
    ratio: Callable[[ServingRun, dict[str, float]], float | None],
) -> Table:
    """Return the table of an engine, with the errors of the runs that are held out."""
    train = [run for run, _ in runs if not run.is_held_out(SPLIT_BIT)]
    test = [r for run, c in runs if run.is_held_out(SPLIT_BIT) and (r := ratio(run, c)) is not None]
    of_engine = [r for run, c in crossed if run.engine == engine and (r := ratio(run, c))]
    low, high = interval(np.array(of_engine))
    off = np.abs(np.array(test) - 1)
    rounded = {name: float(f"{value:.4g}") for name, value in constants.items()}
    return Table(
        kind, "", engine, rounded, low, high, dataset=SOURCE, rows=len(train),
        median_error=float(f"{np.median(off):.4f}"),
        p90_error=float(f"{np.quantile(off, 0.9):.4f}"),
        physics="no step is shorter than its traffic at the data sheet",
    )  # fmt: skip


if __name__ == "__main__":
    main()

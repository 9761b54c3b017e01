"""How far predictions of serving engines are from published runs.

Every run is predicted by constants that were fitted without its configuration (model, system,
engine and tensor degree), without its system, and without its model; beside it stands the data
sheet. The shipped constants are those that were fitted without the configurations held out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memorywall.calibrate.samples import SPLIT_BIT
from memorywall.calibrate.serving import (
    ServingRun,
    fit_engines,
    predicted_tpot,
    predicted_ttft,
    read_serving,
)
from memorywall.catalog.engine_tables import engine_table
from memorywall.validate.errors import ErrorRow, Limit, Section, Validation, Validator

HELD_OUT, SHEET = "configuration held out", "data sheet"
SYSTEM_OUT, MODEL_OUT, FIRST = "system left out", "model left out", "first token, held out"
LIMITS = (
    Limit(HELD_OUT, "dense, aggregated", 0.12),
    Limit(HELD_OUT, "aggregated", 0.15, 0.42, (0.75, 0.85)),
    Limit(HELD_OUT, "all", 0.18),
    Limit(SYSTEM_OUT, "aggregated", 0.15),
    Limit(MODEL_OUT, "aggregated", 0.18),
    Limit(MODEL_OUT, "dense, aggregated", 0.22),
    Limit(FIRST, "aggregated", 0.30, covered=(0.75, 0.85)),
)
_SHEET = {
    "riding": 0.0, "reduce_s": 0.0, "reduce_rank_s": 0.0, "step_s": 0.0, "sequence_s": 0.0,
    "kernel_s": 0.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Asked:
    run: ServingRun
    ratio: float
    low: float = 1.0
    high: float = 1.0


def validate_serving(folder: Path) -> Validation:
    """Return the errors of serving against the runs of a folder.

    Raises:
        InvalidInputError: the folder has no such file.
        MissingDependencyError: SciPy is not installed.
    """
    runs, refused = read_serving(folder)
    shipped = {
        engine: {**engine_table("tpot", engine).constants, **engine_table("ttft", engine).constants}
        for engine in {run.engine for run in runs}
    }
    held = [run for run in runs if run.is_held_out(SPLIT_BIT)]
    out = _asked(held, shipped, "tpot")
    first = _asked([run for run in held if not run.disaggregated], shipped, "ttft")
    sheet = _asked(runs, dict.fromkeys(shipped, _SHEET), "tpot", with_intervals=False)
    sections = (
        Section(HELD_OUT, _rows(out, with_intervals=True)),
        Section(SYSTEM_OUT, _rows(_left_out(runs, lambda run: run.system))),
        Section(MODEL_OUT, _rows(_left_out(runs, lambda run: run.model))),
        Section(FIRST, _rows(first, with_intervals=True)),
        Section(SHEET, _rows(sheet)),
    )
    worst = sorted(out, key=lambda one: -abs(np.log(one.ratio)))[:15]
    return Validation(
        "serving", sections, LIMITS, tuple(f"{w.run.place}: x {w.ratio:.2f}" for w in worst),
        tuple(refused[:50]),
    )  # fmt: skip


def _asked(
    runs: Sequence[ServingRun],
    constants: dict[str, dict[str, float]],
    kind: str,
    *,
    with_intervals: bool = True,
) -> list[_Asked]:
    """Return runs with predicted over measured times, by the constants of their engines."""
    found = []
    for run in runs:
        measured = run.tpot_s if kind == "tpot" else run.ttft_s
        if measured is None or run.engine not in constants:
            continue
        predict = predicted_tpot if kind == "tpot" else predicted_ttft
        ratio = predict(run, constants[run.engine]) / measured
        table = engine_table(kind, run.engine)
        ends = (table.low, table.high) if with_intervals else (1.0, 1.0)
        found.append(_Asked(run, ratio, *ends))
    return found


def _left_out(runs: Sequence[ServingRun], name: Callable[[ServingRun], str]) -> list[_Asked]:
    """Return aggregated runs, each predicted by a fit without those that share a name."""
    found: list[_Asked] = []
    for each in sorted({name(run) for run in runs}):
        fitted = fit_engines([run for run in runs if name(run) != each])
        own = [run for run in runs if name(run) == each and not run.disaggregated]
        found += _asked(own, fitted, "tpot")
    return found


def _rows(asked: Sequence[_Asked], *, with_intervals: bool = False) -> tuple[ErrorRow, ...]:
    groups: dict[str, list[_Asked]] = {}
    for one in asked:
        run = one.run
        names = ["all"]
        if not run.disaggregated:
            names += ["aggregated", f"engine {run.engine}", f"system {run.system}"]
            names += [f"model {run.model.partition('/')[2]}"]
            names += ["dense, aggregated"] if run.is_dense else []
        for group in names:
            groups.setdefault(group, []).append(one)
    order = {"all": 0, "aggregated": 1, "dense, aggregated": 2}
    ordered = sorted(groups.items(), key=lambda item: (order.get(item[0], 3), item[0]))
    return tuple(_row(group, each, with_intervals) for group, each in ordered)


def _row(group: str, asked: Sequence[_Asked], with_intervals: bool) -> ErrorRow:
    ratios = np.array([one.ratio for one in asked])
    off = np.abs(ratios - 1)
    covered = None
    if with_intervals:
        covered = float(np.mean([one.low <= 1 / one.ratio <= one.high for one in asked]))
    return ErrorRow(
        group, len(asked), float(np.median(off)), float(np.quantile(off, 0.9)),
        float(np.median(ratios)), covered,
    )  # fmt: skip


VALIDATOR = Validator(
    "serving",
    "Public runs of serving engines: serving_ttft_tpot.csv.",
    validate_serving,
)

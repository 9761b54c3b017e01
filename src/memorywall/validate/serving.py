"""How far predictions of serving engines are from published runs.

Every run of the held-out configurations is predicted by constants that were fitted without any of
them; every run, by constants fitted without its system, or without its model. A configuration is a
model, a system, an engine and a degree of tensor; bit 1 of its checksum decides its side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from math import log
from pathlib import Path

import numpy as np

from memorywall.calibrate.serving import (
    HELD_BIT,
    Predicted,
    ServingRun,
    fit_engines,
    fold,
    left_out,
    predicted,
    quantiles,
    read_serving,
)
from memorywall.catalog.engine_tables import engine_table
from memorywall.cost.serving import sheet_s
from memorywall.validate.errors import ErrorRow, Limit, Section, Validation, Validator

CONFIGURATION_OUT, SYSTEM_OUT = "configuration left out of the fit", "system left out of the fit"
MODEL_OUT, SHIPPED, SHEET = "model left out of the fit", "shipped constants", "data sheet"
TPOT, TTFT = "output token", "first token"
_COVERED = (0.75, 0.85)
_MOST_SHOWN = 20
LEAST_ANSWERED = 0.95
LIMITS = (
    Limit(CONFIGURATION_OUT, f"{TPOT}, dense", 0.12),
    Limit(CONFIGURATION_OUT, f"{TPOT}, aggregated", 0.15, 0.38, _COVERED),
    Limit(CONFIGURATION_OUT, f"{TPOT}, all", 0.18),
    Limit(CONFIGURATION_OUT, f"{TTFT}, aggregated", 0.30, covered=_COVERED),
    Limit(SYSTEM_OUT, f"{TPOT}, aggregated", 0.15),
    Limit(MODEL_OUT, f"{TPOT}, aggregated", 0.18),
    Limit(MODEL_OUT, f"{TPOT}, dense", 0.22),
)


@dataclass(frozen=True, slots=True)
class _Time:
    """A time of a run: predicted over measured, and the interval of its engine."""

    run: ServingRun
    ratio: float
    low: float
    high: float

    @property
    def is_covered(self) -> bool:
        """Whether the measured time is in the interval."""
        return self.low <= 1 / self.ratio <= self.high


def validate_serving(folder: Path) -> Validation:
    """Return the errors of serving engines against the runs of a folder.

    Raises:
        InvalidInputError: the folder has no ``serving_ttft_tpot.csv``.
        MissingDependencyError: SciPy is not installed.
    """
    runs, refused = read_serving(folder)
    fitted = [run for run in runs if not run.is_held_out(HELD_BIT)]
    held = [run for run in runs if run.is_held_out(HELD_BIT)]
    constants = fit_engines(fitted)
    tests = predicted([run for run in held if run.engine in constants], constants)
    ends = left_out([run for run in fitted if not run.disaggregated], fold)
    out = _rows(tests, partial(_interval, ends))
    together = [run for run in runs if not run.disaggregated]
    sections = [Section(CONFIGURATION_OUT, out)]
    for title, key in ((SYSTEM_OUT, _system), (MODEL_OUT, _model)):
        sections.append(Section(title, _rows(left_out(together, key))))
    sections.append(Section(SHIPPED, _rows(_shipped(runs), _shipped_interval)))
    sections.append(Section(SHEET, _rows(_at_the_sheet(runs))))
    worst = sorted((one for one in tests if one.tpot), key=lambda one: -abs(log(one.tpot or 1)))
    return Validation(
        "serving", tuple(sections), LIMITS, tuple(_said(one) for one in worst[:_MOST_SHOWN]),
        tuple(refused), len(runs) / max(1, len(runs) + len(refused)), LEAST_ANSWERED,
    )  # fmt: skip


def _system(run: ServingRun) -> object:
    return run.system


def _model(run: ServingRun) -> object:
    return run.model


def _said(one: Predicted) -> str:
    run = one.run
    return (
        f"{run.model} on {run.system} by {run.engine}, {run.layout.words or 'one device'}, batch "
        f"{run.batch:g}: {TPOT} x {one.tpot:.2f}"
    )


def _shipped(runs: Sequence[ServingRun]) -> list[Predicted]:
    engines = {run.engine for run in runs}
    tables = {
        engine: {**engine_table("tpot", engine).constants, **engine_table("ttft", engine).constants}
        for engine in engines
    }
    return predicted(runs, tables)


def _shipped_interval(engine: str, kind: str) -> tuple[float, float]:
    table = engine_table(kind, engine)
    return table.low, table.high


def _interval(out: Sequence[Predicted], engine: str, kind: str) -> tuple[float, float] | None:
    """Return the interval of an engine, from configurations that were left out of their fits."""
    ratios = [getattr(one, kind) for one in out if one.run.engine == engine]
    known = [ratio for ratio in ratios if ratio is not None]
    return quantiles(known) if known else None


def _at_the_sheet(runs: Iterable[ServingRun]) -> list[Predicted]:
    """Return runs with the least time of a step, and of a prompt, at the data sheet."""
    return [
        Predicted(
            run,
            None if run.tpot_s is None else sheet_s(run.step) / run.tpot_s,
            None if run.ttft_s is None else sheet_s(run.prompt) / run.ttft_s,
        )
        for run in runs
    ]


_Interval = Callable[[str, str], tuple[float, float] | None]


def _rows(found: Sequence[Predicted], interval: _Interval | None = None) -> tuple[ErrorRow, ...]:
    """Return errors of output tokens and of first tokens, by groups of runs."""
    rows: list[ErrorRow] = []
    for name, kind in ((TPOT, "tpot"), (TTFT, "ttft")):
        times = _times(found, kind, interval)
        together = [one for one in times if not one.run.disaggregated]
        groups = {
            "all": times,
            "aggregated": together,
            "dense": [one for one in together if one.run.is_dense],
            "disaggregated": [one for one in times if one.run.disaggregated],
        }
        for key in (lambda run: run.engine, _system, _model):
            for one in together:
                groups.setdefault(str(key(one.run)), []).append(one)
        with_ends = interval is not None
        rows += [_row(f"{name}, {of}", some, with_ends) for of, some in groups.items() if some]
    return tuple(rows)


def _times(found: Sequence[Predicted], kind: str, interval: _Interval | None) -> list[_Time]:
    engines = {one.run.engine for one in found}
    ends = {engine: interval and interval(engine, kind) for engine in engines}
    times = []
    for one in found:
        ratio = getattr(one, kind)
        if ratio is not None:
            low, high = ends[one.run.engine] or (1.0, 1.0)
            times.append(_Time(one.run, ratio, low, high))
    return times


def _row(name: str, times: Sequence[_Time], with_interval: bool) -> ErrorRow:
    ratios = np.array([one.ratio for one in times])
    off = np.abs(ratios - 1)
    covered = sum(one.is_covered for one in times) / len(times) if with_interval else None
    return ErrorRow(
        name, len(times), float(np.median(off)), float(np.quantile(off, 0.9)),
        float(np.median(ratios)), covered,
    )  # fmt: skip


VALIDATOR = Validator(
    "serving",
    "Runs of serving engines on data-centre GPUs: serving_ttft_tpot.csv.",
    validate_serving,
)

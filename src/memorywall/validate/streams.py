"""How far predictions of single streams are from published runs.

Each run is predicted three times: at the data sheet, by the shipped constants, and by constants
that were fitted without its device, which is what an answer about a device without runs is worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from memorywall.answer.analyze import load_hardware
from memorywall.calibrate.public_runs import PublicRun, read_public_runs
from memorywall.calibrate.stream_classes import ClassRun, LeftOut, left_out
from memorywall.calibrate.streams import sample
from memorywall.catalog.step_tables import step_table
from memorywall.validate.errors import (
    ErrorRow,
    Limit,
    Section,
    Validation,
    Validator,
)
from memorywall.validate.errors import error_lines as table_lines

FILE = "single_stream.csv"
# A device at its data sheet, as a table of constants.
_SHEET = {
    "peak_share": 1.0, "packed_share": 1.0, "grouped_share": 1.0, "bandwidth_share": 1.0,
    "unpack_ops": 1e-9, "operator_s": 0.0, "step_s": 0.0,
}  # fmt: skip
_MOST_SHOWN = 20
LEFT_OUT, SHIPPED, SHEET = "device left out of the fit", "shipped constants", "data sheet"
LIMITS = (
    Limit(LEFT_OUT, "decode", 0.15, 0.35),
    Limit(LEFT_OUT, "prefill", 0.25),
    Limit(LEFT_OUT, "all", covered=(0.75, 0.85)),
)


def validate_streams(folder: Path) -> Validation:
    """Return the errors of single streams against the runs of a folder.

    Raises:
        InvalidInputError: the folder has no ``single_stream.csv``, or one with other columns.
        MissingDependencyError: SciPy is not installed.
    """
    rows, refused = read_public_runs(folder / FILE)
    runs = [class_run(row) for row in rows]
    out = left_out(runs)
    engines = {row.run.place: row.run.engine for row in rows}
    worst = sorted(out, key=lambda one: -abs(math.log(one.ratio)))[:_MOST_SHOWN]
    return Validation(
        "streams",
        (
            Section(LEFT_OUT, errors_by_group(out, engines)),
            Section(SHIPPED, errors_by_group([_shipped(run) for run in runs], engines)),
            Section(
                SHEET,
                errors_by_group([_by(run, _SHEET) for run in runs], engines, with_intervals=False),
            ),
        ),
        LIMITS,
        tuple(_said(one) for one in worst),
        tuple(f"{row.place}: {row.reason}" for row in refused),
    )


def _said(one: LeftOut) -> str:
    return f"{one.run.label} on {one.run.device}, {_phase(one)}: x {one.ratio:.2f}"


def class_run(row: PublicRun) -> ClassRun:
    """Return a published run with its work on its device."""
    hardware = load_hardware(row.device)
    return ClassRun(
        sample(row.run, hardware), row.device, row.device_class, not row.left_out, row.run.place
    )


def errors_by_group(
    predicted: Sequence[LeftOut],
    engines: Mapping[str, str] | None = None,
    *,
    with_intervals: bool = True,
) -> tuple[ErrorRow, ...]:
    """Return errors of all runs, by phase, by phase and class, and by engine."""
    named = engines or {}

    def grouped(name: Callable[[LeftOut], str]) -> list[tuple[str, list[LeftOut]]]:
        groups: dict[str, list[LeftOut]] = {}
        for one in predicted:
            groups.setdefault(name(one), []).append(one)
        return sorted(groups.items())

    every = [
        ("all", list(predicted)),
        *grouped(_phase),
        *grouped(lambda one: f"{_phase(one)}, {one.run.device_class}"),
        *(grouped(lambda one: f"engine {named.get(one.run.label, '')}") if named else ()),
    ]
    return tuple(error_row(name, group, with_intervals) for name, group in every if group)


def error_row(name: str, group: Sequence[LeftOut], with_interval: bool = True) -> ErrorRow:
    """Return the errors of a group."""
    errors = sorted(abs(one.ratio - 1) for one in group)
    covered = sum(one.is_covered for one in group) / len(group) if with_interval else None
    ratios = sorted(one.ratio for one in group)
    return ErrorRow(
        name, len(group), _quantile(errors, 0.5), _quantile(errors, 0.9), _quantile(ratios, 0.5),
        covered,
    )  # fmt: skip


def error_lines(predicted: Sequence[LeftOut]) -> str:
    """Return a table of errors as text."""
    return table_lines(errors_by_group(predicted))


def _phase(one: LeftOut) -> str:
    return one.run.sample.phase


def _shipped(run: ClassRun) -> LeftOut:
    table = step_table(load_hardware(run.device))
    predicted = _by(run, table.constants)
    return LeftOut(run, predicted.ratio, table.low, table.high)


def _by(run: ClassRun, constants: Mapping[str, float]) -> LeftOut:
    return LeftOut(run, run.sample.predicted(constants) / run.sample.seconds)


def _quantile(ordered: Sequence[float], part: float) -> float:
    place = part * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


VALIDATOR = Validator(
    "streams", f"Public runs of one sequence on one machine: {FILE}.", validate_streams
)

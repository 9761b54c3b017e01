"""How far predictions of single streams are from published runs.

Each run is predicted three times: at the data sheet, by the shipped constants, and by constants
that were fitted without its device, which is what an answer about a device without runs is worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from memorywall.answer.analyze import load_hardware
from memorywall.calibrate.public_runs import PublicRun, RefusedRun, read_public_runs
from memorywall.calibrate.stream_classes import ClassRun, LeftOut, left_out
from memorywall.calibrate.streams import sample
from memorywall.catalog.step_tables import step_table

FILE = "single_stream.csv"
# A device at its data sheet, as a table of constants.
_SHEET = {
    "peak_share": 1.0, "packed_share": 1.0, "grouped_share": 1.0, "bandwidth_share": 1.0,
    "unpack_ops": 1e-9, "operator_s": 0.0, "step_s": 0.0,
}  # fmt: skip
_MOST_SHOWN = 20
# Limits of the errors of devices left out, as shares: the floor that tests hold.
DECODE_MEDIAN, DECODE_P90, PREFILL_MEDIAN = 0.15, 0.35, 0.25
COVERAGE = (0.75, 0.85)


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """The errors of a group of runs.

    Attributes:
        group: its name, such as ``decode`` or ``decode, apple``.
        rows: the number of runs.
        median, p90: of |predicted / measured - 1|.
        bias: the median of predicted over measured seconds.
        covered: the share of runs in their 80 % interval; None where none is asked for.
    """

    group: str
    rows: int
    median: float
    p90: float
    bias: float
    covered: float | None = None


@dataclass(frozen=True, slots=True)
class StreamErrors:
    """Errors of single streams.

    Attributes:
        left_out: by groups, each device left out of the fit.
        shipped: the same by the shipped constants.
        sheet: the same at the data sheet.
        worst: the runs that are missed most with their devices left out.
        refused: rows that cannot be priced, with the reason.
    """

    left_out: tuple[ErrorRow, ...]
    shipped: tuple[ErrorRow, ...]
    sheet: tuple[ErrorRow, ...]
    worst: tuple[LeftOut, ...]
    refused: tuple[RefusedRun, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """The promised limits that are exceeded, in sentences."""
        found = []
        by_group = {row.group: row for row in self.left_out}
        for group, what, most in (
            ("decode", "median", DECODE_MEDIAN),
            ("decode", "p90", DECODE_P90),
            ("prefill", "median", PREFILL_MEDIAN),
        ):
            reached = getattr(by_group[group], what) if group in by_group else 0.0
            if reached > most:
                found.append(f"{group}: {what} {reached:.1%} must be at most {most:.0%}")
        covered = by_group["all"].covered if "all" in by_group else None
        if covered is not None and not COVERAGE[0] <= covered <= COVERAGE[1]:
            found.append(f"intervals cover {covered:.1%}, not {COVERAGE[0]:.0%} to 85%")
        return tuple(found)

    def __str__(self) -> str:
        parts = (
            ("device left out of the fit", self.left_out),
            ("shipped constants", self.shipped),
            ("data sheet", self.sheet),
        )
        return "\n\n".join(f"single streams, {name}\n{_lines(rows)}" for name, rows in parts)


def validate_streams(folder: Path) -> StreamErrors:
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
    return StreamErrors(
        errors_by_group(out, engines),
        errors_by_group([_shipped(run) for run in runs], engines),
        errors_by_group([_by(run, _SHEET) for run in runs], engines, with_intervals=False),
        tuple(worst),
        refused,
    )


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
    return _lines(errors_by_group(predicted))


def _phase(one: LeftOut) -> str:
    return one.run.sample.phase


def _shipped(run: ClassRun) -> LeftOut:
    table = step_table(load_hardware(run.device))
    predicted = _by(run, table.constants)
    return LeftOut(run, predicted.ratio, table.low, table.high)


def _by(run: ClassRun, constants: Mapping[str, float]) -> LeftOut:
    return LeftOut(run, run.sample.predicted(constants) / run.sample.seconds)


def _lines(rows: Iterable[ErrorRow]) -> str:
    lines = [f"{'':36} {'rows':>5} {'median':>7} {'p90':>7} {'bias':>6} {'in 80 %':>8}"]
    for row in rows:
        covered = "" if row.covered is None else f"{row.covered:8.0%}"
        errors = f"{row.rows:5} {row.median:7.1%} {row.p90:7.1%} {row.bias:6.2f}"
        lines.append(f"{row.group:36} {errors} {covered}".rstrip())
    return "\n".join(lines)


def _quantile(ordered: Sequence[float], part: float) -> float:
    place = part * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])

"""The errors of predictions: rows of groups, in tables, with the limits that are promised."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """The errors of a group of measurements.

    Attributes:
        group: its name, such as ``decode`` or ``decode, apple``.
        rows: the number of measurements; of a row over tables, of tables.
        median, p90: of |predicted / measured - 1|.
        bias: the median of predicted over measured seconds.
        covered: the share of measurements in their 80 % interval; None where none is asked for.
    """

    group: str
    rows: int
    median: float
    p90: float
    bias: float
    covered: float | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A table of errors.

    Attributes:
        title: how the predictions were made.
        rows: the groups.
    """

    title: str
    rows: tuple[ErrorRow, ...]

    def row(self, group: str) -> ErrorRow | None:
        """Return the row of a group, or None."""
        return next((row for row in self.rows if row.group == group), None)


@dataclass(frozen=True, slots=True)
class Limit:
    """A promise that holds for a row of a table.

    Attributes:
        section, group: the table and the row.
        median, p90: the most that errors may be; None for no limit.
        covered: the least and the most of the share in the interval; None for no limit.
    """

    section: str
    group: str
    median: float | None = None
    p90: float | None = None
    covered: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Validation:
    """The errors of one kind of prediction.

    Attributes:
        name: ``kernels``, ``streams`` or ``serving``.
        sections: tables.
        limits: what is promised.
        worst: the measurements that are missed most, as text.
        refused: what was not predicted, with the reasons.
        answered, least_answered: the share of measurements that were predicted, and the least that
            is promised; None where it is not counted.
    """

    name: str
    sections: tuple[Section, ...]
    limits: tuple[Limit, ...]
    worst: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    answered: float | None = None
    least_answered: float = 0.0

    @property
    def failures(self) -> tuple[str, ...]:
        """The limits that are exceeded, in sentences."""
        found = [said for limit in self.limits for said in self._exceeded(limit)]
        if self.answered is not None and self.answered < self.least_answered:
            found.append(
                f"{self.name}: {self.answered:.1%} are predicted, not {self.least_answered:.0%}"
            )
        return tuple(found)

    def _exceeded(self, limit: Limit) -> Iterable[str]:
        section = next((s for s in self.sections if s.title == limit.section), None)
        row = None if section is None else section.row(limit.group)
        if row is None:
            return
        where = f"{self.name}, {limit.section}, {limit.group}"
        for what, most in (("median", limit.median), ("p90", limit.p90)):
            reached = row.median if what == "median" else row.p90
            if most is not None and reached > most:
                yield f"{where}: {what} {reached:.1%} must be at most {most:.1%}"
        if limit.covered is not None and row.covered is not None:
            low, high = limit.covered
            if not low <= row.covered <= high:
                yield f"{where}: intervals cover {row.covered:.1%}, not {low:.0%} to {high:.0%}"

    def __str__(self) -> str:
        parts = [f"{self.name}, {s.title}\n{error_lines(s.rows)}" for s in self.sections if s.rows]
        if self.worst:
            parts.append("\n".join(("missed most:", *(f"  {line}" for line in self.worst))))
        if self.refused:
            parts.append("\n".join(("not predicted:", *(f"  {line}" for line in self.refused))))
        return "\n\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return the errors as a record of plain values."""
        return {"schema": "memorywall.validation/1", **asdict(self), "failures": self.failures}


@dataclass(frozen=True, slots=True)
class Validator:
    """A kind of prediction that is validated: one file of ``memorywall/validate`` each.

    Attributes:
        name: the name of its file.
        help: its data, in one sentence.
        run: the folder of the data in, the errors out.
        ablate: the folder in, tables of the errors without single terms out.
    """

    name: str
    help: str
    run: Callable[[Path], Validation]
    ablate: Callable[[Path], tuple[Section, ...]] | None = None


def error_lines(rows: Iterable[ErrorRow]) -> str:
    """Return a table of errors as text."""
    lines = [f"{'':40} {'rows':>6} {'median':>7} {'p90':>8} {'bias':>6} {'in 80 %':>8}"]
    for row in rows:
        covered = "" if row.covered is None else f"{row.covered:8.0%}"
        errors = f"{row.rows:6} {row.median:7.1%} {row.p90:8.1%} {row.bias:6.2f}"
        lines.append(f"{row.group:40} {errors} {covered}".rstrip())
    return "\n".join(lines)

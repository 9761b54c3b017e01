"""The findings of the study of cases: public measurements, each beside ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, TypeAlias

from memorywall.core.records import recorded, to_record

# How ours relates to a measurement: the same number, or a bound on it at the data sheet.
Relation: TypeAlias = Literal["equal", "at most", "at least"]
Verdict: TypeAlias = Literal["agrees", "within 1 %", "holds", "misses", "not answered"]


@dataclass(frozen=True, slots=True)
class Reported:
    """A public measurement.

    Attributes:
        model: its name.
        device: on which; "" if the number depends on none.
        words: the words of the analysis that asks the same: phase, lengths, formats.
        quantity: the name of the measured quantity.
        ours_is: whether ours must be equal, or is a bound.
        text: the number as printed, with its unit.
        engine: the program that ran.
        source: where it is printed.
        reason: of a known miss.
    """

    model: str
    device: str
    words: Mapping[str, str]
    quantity: str
    ours_is: Relation
    text: str
    engine: str
    source: str
    reason: str = ""


@recorded(rest="case", derived=("deviation",))
@dataclass(frozen=True, slots=True)
class Case:
    """A measurement beside ours.

    Attributes:
        case: the measurement.
        reported: its number in base units.
        ours: in the same; None if the question is refused.
        verdict: ``agrees`` to the last printed digit, ``within 1 %``, ``holds`` as a bound,
            ``misses``, or ``not answered``.
        refusal: why the question is refused.
    """

    case: Reported
    reported: float
    ours: float | None
    verdict: Verdict
    refusal: str = ""

    @property
    def deviation(self) -> float | None:
        """Ours over the reported number, minus one."""
        return None if self.ours is None else self.ours / self.reported - 1

    @property
    def attained(self) -> float | None:
        """The share of a bound that the run reached: of a rate, or of the inverse of a time."""
        if self.ours is None or self.case.ours_is == "equal":
            return None
        share = self.reported / self.ours
        return share if self.case.ours_is == "at most" else 1 / share


@recorded("memorywall.study.cases/1")
@dataclass(frozen=True, slots=True)
class Cases:
    """The findings of the study.

    Attributes:
        cases: in the order of the file.
    """

    cases: tuple[Case, ...]

    def counted(self) -> list[Case]:
        """Return the cases in which ours must be equal."""
        return [one for one in self.cases if one.case.ours_is == "equal"]

    def bounds(self) -> list[Case]:
        """Return the cases in which ours is a bound."""
        return [one for one in self.cases if one.case.ours_is != "equal"]

    def misses(self) -> list[Case]:
        """Return the cases that miss, or that are refused."""
        return [one for one in self.cases if one.verdict in ("misses", "not answered")]

    def attained(self) -> Iterator[float]:
        """Yield the shares of a rate's or a time's bound that runs reached."""
        for one in self.bounds():
            if one.attained is not None and not one.case.quantity.startswith("footprint."):
                yield one.attained

    def median_attained(self) -> float:
        """Return the median of those shares; 0 without any."""
        shares = list(self.attained())
        return median(shares) if shares else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return its record."""
        return to_record(self)

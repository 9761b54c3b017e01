"""Compare a published number with ours."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from memorywall.core.records import recorded

# How a comparison ends, best first.
AGREES = "agrees"  # to half a unit of the last printed digit
WITHIN = "within tolerance"
EXPLAINED = "exception"  # outside, and the reason is known
UNDEFINED = "not defined"  # the source does not define its count
DIFFERS = "differs"


@recorded(names={"published": "printed"}, derived={"published": "value", "deviation": "deviation"})
@dataclass(frozen=True, slots=True)
class Comparison:
    """One printed number, ours, and how the two compare.

    Attributes:
        table: where it is printed.
        model, seq_len, operator, quantity: its subject; quantities include their unit.
        published: as printed, digits and all.
        ours: in the same unit.
        verdict: one of the words above.
        reason: of an exception, an undefined count, or the verdict.
    """

    table: str
    model: str
    seq_len: int
    operator: str
    quantity: str
    published: str
    ours: float
    verdict: str
    reason: str = ""
    ours_as_configured: float | None = None  # if ours repeats an error of the source

    @property
    def value(self) -> float:
        """The published number."""
        return float(self.published)

    @property
    def deviation(self) -> float:
        """Ours over the published number, minus one."""
        return self.ours / self.value - 1


def half_unit(printed: str) -> float:
    """Return half a unit of the last digit of a number as printed: 0.005 for ``7.25``."""
    exponent = Decimal(printed).as_tuple().exponent
    return 0.5 * 10.0 ** int(exponent)


def judge(printed: str, ours: float, tolerance: float) -> str:
    """Return whether ours agrees with a printed number, is within a share of it, or differs."""
    published = float(printed)
    if abs(ours - published) <= half_unit(printed) * (1 + 1e-9):
        return AGREES
    return WITHIN if abs(ours / published - 1) <= tolerance else DIFFERS

"""The findings of the studies of growth: refits, the paper's figures, a machine's latencies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.core.growth import Growth, IntervalCoverage, Series
from memorywall.core.records import recorded, to_record


@recorded(
    derived={
        "name": "growth.series.name",
        "n": "growth.count",
        "per_2_years": "growth.per_2_years.middle",
        "low": "growth.per_2_years.low",
        "high": "growth.per_2_years.high",
    }
)
@dataclass(frozen=True, slots=True)
class Refit:
    """One fit of a study: whose points, and what was printed of them.

    Attributes:
        series: what grows, one word for all sources.
        source: ``paper``, ``blog``, ``paper continued``, or ``today``.
        growth: from the points.
        published, published_20: growth per two and per twenty years as printed; None of what was
            not printed.
    """

    series: str
    source: str
    growth: Growth
    published: float | None = None
    published_20: float | None = None


@dataclass(frozen=True, slots=True)
class PrintedBar:
    """The training memory of a model, in GB, and the memory of a device of its year."""

    name: str
    year: int
    parameters: float
    optimizer: float
    features: float
    limit: float


@dataclass(frozen=True, slots=True)
class PaperFigures:
    """The content of the paper's Figs 1, 2a, 2b and 4.

    Attributes:
        growths: the fits, by the name of the series.
        marks: points that are drawn but not fitted, by the name of the series.
        bars: of Fig. 4.
    """

    growths: Mapping[str, Growth]
    marks: Mapping[str, Series]
    bars: tuple[PrintedBar, ...]


@recorded(
    "memorywall.study.trends/2",
    names={"refits": "fits", "tested": "coverage", "peculiarities": "peculiar"},
)
@dataclass(frozen=True, slots=True)
class RefittedTrends:
    """The findings of the study.

    Attributes:
        refits: every printed rate beside its fit, the paper's series to today, and today's own.
        tested: how lines fitted up to some years predicted what came later.
        peculiarities: where a definition of the paper is not what a reader would take it for.
    """

    refits: tuple[Refit, ...]
    tested: tuple[IntervalCoverage, ...]
    peculiarities: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return its record."""
        return to_record(self)

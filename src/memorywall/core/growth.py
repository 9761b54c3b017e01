"""Growth: dated numbers, and the line fitted to their logarithms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from memorywall.core.records import recorded

# A year is 365.25 days throughout, counted from the first day of 2000.
_EPOCH = date(2000, 1, 1)
_DAYS = 365.25


def factor(exponent: float) -> float:
    """Return 10 to a power, held within what a float can be."""
    return float(10.0 ** max(-300.0, min(300.0, exponent)))


def year_of(day: date) -> float:
    """Return a date as years: 2000-01-01 is 2000.0, and every 365.25 days one more."""
    return 2000 + (day - _EPOCH).days / _DAYS


@dataclass(frozen=True, slots=True)
class Point:
    """One number of a series: its date, value and name. A missing value is NaN."""

    date: date
    value: float
    name: str = ""

    @property
    def year(self) -> float:
        """The date as years."""
        return year_of(self.date)


@recorded(names={"name": "series"})
@dataclass(frozen=True, slots=True)
class Series:
    """Dated numbers of one definition.

    Attributes:
        name: in the command.
        title, unit: labels of a figure's axis.
        definition: the included quantity, and exclusions.
        source: of the numbers.
        points: in any order.
    """

    name: str
    title: str
    unit: str
    definition: str
    source: str
    points: tuple[Point, ...]

    @property
    def years(self) -> list[float]:
        """Dates as years."""
        return [point.year for point in self.points]

    @property
    def values(self) -> list[float]:
        """Values in the unit."""
        return [point.value for point in self.points]


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with the ends of its interval."""

    middle: float
    low: float
    high: float

    def map(self, power: float) -> Interval:
        """Return 10 to the power of a multiple of each number: growth, from a slope per year."""
        return Interval(*(factor(power * end) for end in (self.middle, self.low, self.high)))


@recorded(derived=("believed",))
@dataclass(frozen=True, slots=True)
class Break:
    """Where the growth changed: a line of two pieces that meet.

    Attributes:
        year: of the knot.
        before, after: growth per two years on either side.
        evidence: the Bayesian information criterion of one line minus that of two pieces, the knot
            counted as a parameter; from 2 it is positive evidence of a change.
    """

    year: float
    before: float
    after: float
    evidence: float

    @property
    def believed(self) -> bool:
        """Whether there is positive evidence of the change."""
        return self.evidence >= 2


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The value of a line in a future year, with the interval that holds ``level`` of points."""

    year: float
    level: float
    middle: float
    low: float
    high: float


@recorded(
    rest="series",
    derived={
        "first": "first",
        "last": "last",
        "n": "count",
        "per_2_years": "per_2_years.middle",
        "low": "per_2_years.low",
        "high": "per_2_years.high",
        "per_20_years": "per_20_years.middle",
        "doubling_years": "doubling_years",
        "predicted": "predicted",
    },
)
@dataclass(frozen=True, slots=True)
class Growth:
    """The least-squares line of log10(value) on the date, over all points of a series.

    Attributes:
        series: the fitted series.
        slope: of log10 a year, with its 95 % confidence interval.
        spread: a typical point lies within this factor of the line (10 to the residual deviation).
        r_squared: share of the variance of log10 that the line explains.
        change: the best line of two pieces, accepted or not; None for too few points.
        without: growth per two years with each point left out, in the order of the points.
        band: years from the first point to the requested year, each with the line's value and the
            interval that holds 80 % of new points.
    """

    series: Series
    slope: Interval
    spread: float
    r_squared: float
    change: Break | None
    without: tuple[float, ...]
    band: tuple[tuple[float, Interval], ...]

    @property
    def per_2_years(self) -> Interval:
        """Growth per two years."""
        return self.slope.map(2)

    @property
    def per_20_years(self) -> Interval:
        """Growth per twenty years, the same line."""
        return self.slope.map(20)

    @property
    def doubling_years(self) -> float:
        """Years to double; negative if it halves, infinite if it is constant."""
        return math.log10(2) / self.slope.middle if self.slope.middle else math.inf

    @property
    def changed(self) -> bool:
        """Whether there is positive evidence that the growth changed."""
        return self.change is not None and self.change.believed

    @property
    def predicted(self) -> Foreseen:
        """The line in the last year that it is followed to, with the 80 % interval."""
        year, ahead = self.band[-1]
        return Foreseen(year, 0.8, ahead.middle, ahead.low, ahead.high)

    @property
    def count(self) -> int:
        """Number of points."""
        return len(self.series.points)

    @property
    def first(self) -> date:
        """Date of the first point."""
        return min(point.date for point in self.series.points)

    @property
    def last(self) -> date:
        """Date of the last point."""
        return max(point.date for point in self.series.points)

    @property
    def most_influential(self) -> tuple[Point, float]:
        """The point without which growth differs most, and the growth per two years without it."""
        middle = self.per_2_years.middle
        pairs = zip(self.series.points, self.without, strict=True)
        return max(pairs, key=lambda pair: abs(math.log(pair[1] / middle)))


@dataclass(frozen=True, slots=True)
class IntervalCoverage:
    """How a line fitted up to a year predicted later points.

    Attributes:
        series, until: the series, and the last fitted year.
        fitted, later: points before and after.
        covered: share of the later points inside the prediction interval, by its level.
        before, after: growth per two years on either side, the later None with too few points.
        reason: why a share is more than ten points from its level; empty if none is.
    """

    series: str
    until: int
    fitted: int
    later: int
    covered: Mapping[float, float]
    before: float
    after: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Crossing:
    """The year in which a trend passes a level.

    ``year`` is infinite if the trend never does; ``low`` and ``high`` are the ends of the interval
    of the line, infinite on an unbounded side.
    """

    series: str
    level: float
    confidence: float
    year: float
    low: float
    high: float


@recorded("memorywall.trends/2", names={"growths": "fits"})
@dataclass(frozen=True, slots=True)
class FittedTrends:
    """The growth of some series."""

    growths: tuple[Growth, ...]

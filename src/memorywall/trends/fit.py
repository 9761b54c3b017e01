"""The least-squares line of log10(value) on the date, by statsmodels (the extra ``trends``).

Points are assumed independent with equal spread. Devices of one family are not fully independent,
so intervals are too narrow; ``coverage`` measures by how much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from memorywall.core.errors import InvalidInputError, MissingDependencyError, shown
from memorywall.core.growth import Growth, Interval, Series, factor
from memorywall.core.numbers import Array
from memorywall.trends.breaks import find_break

LEAST_POINTS = 3  # a line through two points leaves no residual to estimate its error
CONFIDENCE = 0.95
BAND_LEVEL = 0.8
_BAND_POINTS = 41
_STEEPEST = 15.0  # of log10 per year: twenty years of it overflow a float
_ORIGIN = 2000.0  # origin of the years, so that the two columns are not nearly parallel


class Line:
    """A fitted line: a wrapper of statsmodels' result in years and values."""

    def __init__(self, series: Series) -> None:
        check(series)
        self.series = series
        ols = _statsmodels().OLS
        self.result = ols(np.log10(series.values), design(series.years)).fit()

    def predict(self, years: Sequence[float], level: float, *, new: bool = True) -> list[Interval]:
        """Return values at some years with intervals of a level.

        ``new``: of a new point (prediction); else of the line itself (confidence).
        """
        frame = self.result.get_prediction(design(years)).summary_frame(alpha=1 - level)
        kind = "obs" if new else "mean"
        columns = (frame["mean"], frame[f"{kind}_ci_lower"], frame[f"{kind}_ci_upper"])
        return [
            Interval(*(factor(float(end)) for end in ends)) for ends in zip(*columns, strict=True)
        ]

    def growth(self, to: int) -> Growth:
        """Return the growth that the line implies, with its band up to a year.

        Raises:
            InvalidInputError: dates so close together that the growth per year overflows.
        """
        low, high = self.result.conf_int(alpha=1 - CONFIDENCE)[1]
        if max(abs(low), abs(high)) > _STEEPEST:
            raise InvalidInputError(
                f"series {shown(self.series.name)} has no trend per year: its dates are too close "
                "together.",
                "Give points of several years.",
            )
        return Growth(
            series=self.series,
            slope=Interval(float(self.result.params[1]), float(low), float(high)),
            spread=factor(math.sqrt(max(float(self.result.mse_resid), 0.0))),
            r_squared=float(self.result.rsquared),
            change=find_break(self.series, _statsmodels().OLS),
            without=self._without_each(),
            band=self._band(to),
        )

    def _band(self, to: int) -> tuple[tuple[float, Interval], ...]:
        first = min(self.series.years)
        years = np.linspace(first, max(to, *self.series.years), _BAND_POINTS).tolist()
        return tuple(zip(years, self.predict(years, BAND_LEVEL), strict=True))

    def _without_each(self) -> tuple[float, ...]:
        """Return growth per two years with each point left out."""
        slopes = self.result.params[1] - self.result.get_influence().dfbeta[:, 1]
        return tuple(factor(2 * float(slope)) for slope in slopes)


def fit(series: Series, to: int = 2030) -> Growth:
    """Return the growth of a series, followed to the beginning of a year.

    Raises:
        InvalidInputError: too few points, one date only, or values that have no logarithm.
        MissingDependencyError: statsmodels is not installed.
    """
    return Line(series).growth(to)


def check(series: Series) -> None:
    """Raise one error with every reason why a series has no trend.

    Raises:
        InvalidInputError: the series has any fault; the message lists all.
    """
    faults = []
    for point in series.points:
        what = f"{point.name or 'the value'} of {point.date}"
        if math.isnan(point.value):
            faults.append(f"{what} is missing")
        elif not 0 < point.value < math.inf:
            faults.append(f"{what} is {point.value:g}, which has no logarithm")
    if len(series.points) < LEAST_POINTS:
        faults.append(f"{len(series.points)} points; a trend with an error requires three")
    elif len({point.date for point in series.points}) == 1:
        faults.append(f"all points are of one date, {series.points[0].date}")
    if faults:
        most = [*faults[:5], *([f"{len(faults) - 5} more faults"] if len(faults) > 5 else [])]
        raise InvalidInputError(
            f"series {shown(series.name)} has no trend: {'; '.join(most)}.",
            "Remove such points, or widen the years: --from, --to, --only.",
        )


def design(years: Sequence[float]) -> Array:
    """Return the matrix of a line: ones, and years since 2000."""
    since = np.asarray(years, dtype=np.float64) - _ORIGIN
    return np.column_stack([np.ones_like(since), since])


def _statsmodels() -> Any:
    try:
        from statsmodels.regression import linear_model  # noqa: PLC0415 - an extra, and slow
    except ImportError:
        raise MissingDependencyError("statsmodels", "trends", "fitting a trend") from None
    return linear_model

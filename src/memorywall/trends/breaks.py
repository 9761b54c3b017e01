"""Test for a change of growth: one line against two pieces that meet at a knot.

Every date with enough points on both sides is tried as a knot. Schwarz's criterion, with the knot
counted as a parameter, is the penalty (Liu, Wu and Zidek, Statistica Sinica 1997, discuss it); a
difference of 2 is what Raftery (1995) calls positive evidence.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from memorywall.core.growth import Break, Series, factor

LEAST_BY_SIDE = 5


def find_break(series: Series, ols: Any) -> Break | None:
    """Return the best knot of a series; None if no date has enough points on both sides."""
    years = np.asarray(series.years)
    values = np.log10(series.values)
    one = ols(values, _pieces(years)).fit()
    best: tuple[float, float, Any] | None = None
    for knot in _knots(years):
        two = ols(values, _pieces(years, knot)).fit()
        if best is None or two.bic < best[0]:
            best = (float(two.bic), knot, two)
    if best is None or not math.isfinite(best[0]):
        return None
    bic, knot, two = best
    slope, more = two.params[1], two.params[2]
    return Break(
        year=knot,
        before=factor(2 * slope),
        after=factor(2 * (slope + more)),
        evidence=float(one.bic) - bic - math.log(len(years)),
    )


def _knots(years: Any) -> list[float]:
    """Return the dates with enough points of other dates before and after them."""
    return [
        float(year)
        for year in np.unique(years)
        if (years < year).sum() >= LEAST_BY_SIDE and (years > year).sum() >= LEAST_BY_SIDE
    ]


def _pieces(years: Any, knot: float | None = None) -> Any:
    """Return the matrix of a line, with a column for the change of slope at a knot."""
    columns = [np.ones_like(years), years - 2000]
    if knot is not None:
        columns.append(np.maximum(0, years - knot))
    return np.column_stack(columns)

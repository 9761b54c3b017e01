"""The year in which a trend passes a level, with its interval."""

from __future__ import annotations

import math

import numpy as np

from memorywall.core.growth import Crossing
from memorywall.trends.fit import Line

_ORIGIN = 2000.0


def crossing(line: Line, level: float, confidence: float = 0.8) -> Crossing:
    """Return the year in which a line passes a level, from below or above.

    The interval holds the years at which the confidence interval of the line contains the level
    (Fieller 1954). If the slope does not differ significantly from zero, it is unbounded on one
    side or on both.
    """
    a, b = (float(part) for part in line.result.params)
    target = math.log10(level)
    low, high = _fieller(line, target, confidence)
    year = _ORIGIN + (target - a) / b if b else math.inf
    return Crossing(line.series.name, level, confidence, year, low, high)


def _fieller(line: Line, target: float, confidence: float) -> tuple[float, float]:
    """Return the years where (a + b t - target)^2 <= q^2 var(a + b t), which is quadratic in t."""
    from scipy import stats  # noqa: PLC0415 - an extra, and slow

    result = line.result
    q = float(stats.t.ppf((1 + confidence) / 2, result.df_resid))
    a, b = (float(part) for part in result.params)
    covariance = np.asarray(result.cov_params()).tolist()
    square = b * b - q * q * covariance[1][1]
    linear = 2 * ((a - target) * b - q * q * covariance[0][1])
    rest = (a - target) ** 2 - q * q * covariance[0][0]
    if square <= 0:  # the slope does not differ significantly from zero: two rays, or every year
        return -math.inf, math.inf
    root = math.sqrt(max(linear * linear - 4 * square * rest, 0.0))
    ends = ((-linear - root) / (2 * square), (-linear + root) / (2 * square))
    return _ORIGIN + ends[0], _ORIGIN + ends[1]

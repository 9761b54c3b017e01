"""Out of sample: fit up to a year, predict later points, and count those in the intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from memorywall.core.growth import IntervalCoverage, Point, Series, factor
from memorywall.trends.fit import LEAST_POINTS, Line, design

LEVELS = (0.8, 0.95)
TOLERANCE = 0.10
LEAST_FITTED = 5
_FEW = 10  # points, of which one is ten points of the share or more
_SIGNIFICANT = 0.05
_LIKE = 0.15  # spreads, in log10, that differ by no more count as equal


def coverage(series: Series, cut_offs: Sequence[int]) -> list[IntervalCoverage]:
    """Return how lines fitted up to the end of each year predicted the later points.

    Years with too few points before them, or none after, are skipped.
    """
    return [
        _covered(series, until, *sides)
        for until in cut_offs
        if len((sides := _sides(series.points, until))[0]) >= LEAST_FITTED and sides[1]
    ]


def within(row: IntervalCoverage) -> bool:
    """Return whether every share is within ten points of its level."""
    return all(abs(share - level) <= TOLERANCE + 1e-9 for level, share in row.covered.items())


def _sides(points: Iterable[Point], until: int) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    ordered = sorted(points, key=lambda point: point.date)
    before = tuple(point for point in ordered if point.date.year <= until)
    return before, tuple(ordered[len(before) :])


def _covered(
    series: Series, until: int, before: tuple[Point, ...], later: tuple[Point, ...]
) -> IntervalCoverage:
    line = Line(replace(series, points=before))
    covered = {}
    for level in LEVELS:
        intervals = line.predict([point.year for point in later], level)
        inside = [
            p.value >= i.low and p.value <= i.high for p, i in zip(later, intervals, strict=True)
        ]
        covered[level] = sum(inside) / len(inside)
    after = _line_of(series, later)
    rates = _rate(line), _rate(after) if after else None
    row = IntervalCoverage(series.name, until, len(before), len(later), covered, *rates)
    return row if within(row) else replace(row, reason=_reason(line, after, later, row))


def _reason(line: Line, after: Line | None, later: tuple[Point, ...], row: IntervalCoverage) -> str:
    """Return why the intervals held too few or too many of the later points, gravest first."""
    reasons = [_break(line, after, later), _one_sided(line, later), _spreads(line, after)]
    if all(_by_chance(share, row.later, level) for level, share in row.covered.items()):
        reasons.append("no more than chance")
    if row.later < _FEW:
        reasons.append(f"{row.later} later points")
    if row.fitted < _FEW:
        reasons.append(f"{row.fitted} points to fit")
    return "; ".join(filter(None, reasons)) or "none found"


def _break(line: Line, after: Line | None, later: tuple[Point, ...]) -> str:
    """Return how growth changed if one line for both sides is rejected."""
    p_value = chow(line, after) if after else chow_predictive(line, later)
    if p_value >= _SIGNIFICANT:
        return ""
    change = f" from {_rate(line):.3g}x to {_rate(after):.3g}x" if after else ""
    return f"a break: growth changed{change} (Chow test, p = {p_value:.2g})"


def chow(before: Line, after: Line) -> float:
    """Return the p-value of Chow's test: are two lines one?

    Chow, Econometrica 1960: the increase of the residual sum of squares from two lines to one, over
    its two parameters, divided by that of two lines over n - 4, follows an F distribution.
    """
    from scipy import stats  # noqa: PLC0415 - an extra, and slow

    together = replace(before.series, points=before.series.points + after.series.points)
    alone, apart = Line(together).result, (before.result, after.result)
    left, freedom = sum(r.ssr for r in apart), sum(r.df_resid for r in apart)
    return float(stats.f.sf((alone.ssr - left) / 2 / (left / freedom), 2, freedom))


def chow_predictive(line: Line, later: tuple[Point, ...]) -> float:
    """Return the p-value of Chow's predictive test, for too few later points to draw a line.

    Their prediction errors, in the covariance of the line, are m times an F of (m, n - 2).
    """
    from scipy import stats  # noqa: PLC0415 - an extra, and slow

    matrix = design([point.year for point in later])
    errors = np.log10([point.value for point in later]) - line.result.predict(matrix)
    scaled = matrix @ line.result.normalized_cov_params @ matrix.T + np.eye(len(later))
    squares = float(errors @ np.linalg.solve(scaled, errors))
    statistic = squares / len(later) / float(line.result.mse_resid)
    return float(stats.f.sf(statistic, len(later), line.result.df_resid))


def _one_sided(line: Line, later: tuple[Point, ...]) -> str:
    """Report later points on one side of the line: one error of the slope shifts them all."""
    middles = line.predict([point.year for point in later], LEVELS[0])
    above = sum(p.value > i.middle for p, i in zip(later, middles, strict=True))
    for count, side in ((above, "above"), (len(later) - above, "below")):
        if count >= 0.8 * len(later):
            low, high = (factor(2 * float(end)) for end in line.result.conf_int()[1])
            return (
                f"{count} of {len(later)} lie {side} the line, whose growth was known only as "
                f"{low:.3g}x to {high:.3g}x"
            )
    return ""


def _spreads(line: Line, after: Line | None) -> str:
    if after is None:
        return ""
    early, late = (factor(float(np.sqrt(one.result.mse_resid))) for one in (line, after))
    if abs(np.log(late) / np.log(early) - 1) <= _LIKE:
        return ""
    word = "more" if late > early else "less"
    return f"later points spread {word} ({late:.2f}x against {early:.2f}x)"


def _by_chance(share: float, count: int, level: float) -> bool:
    from scipy import stats  # noqa: PLC0415 - an extra, and slow

    return float(stats.binomtest(round(share * count), count, level).pvalue) >= _SIGNIFICANT


def _line_of(series: Series, points: tuple[Point, ...]) -> Line | None:
    dates = {point.date for point in points}
    if len(points) <= LEAST_POINTS or len(dates) < LEAST_POINTS:
        return None
    return Line(replace(series, points=points))


def _rate(line: Line) -> float:
    return factor(2 * float(line.result.params[1]))

"""Growth as text: series by series, and how lines fared out of sample."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console

from memorywall.core.growth import Growth, Interval, IntervalCoverage
from memorywall.core.units import render, render_number
from memorywall.report.table import remark
from memorywall.report.wide_table import print_table

_PREFIXED = ("FLOP/s", "byte/s", "byte", "bit/s", "s", "W")  # units that take k, M, G ...
_LARGE = 1e6


def show_growths(growths: Sequence[Growth], console: Console) -> None:
    """Print what grew how fast, then every series with its intervals, then the definitions."""
    console.print(verdict(growths), style="bold")
    console.print()
    to = f"{growths[0].band[-1][0]:.0f}" if len({g.band[-1][0] for g in growths}) == 1 else "ahead"
    titles = (
        "series", "n", "years", "x per 2 years", "95 %", "doubles in", "x per 20 years", "spread",
        to, "80 %", "without", "x per 2 years", "growth changed",
    )  # fmt: skip
    print_table(console, titles, [_row(growth) for growth in growths], words=(0, 10, 12))
    console.print(
        "\nLeast squares of log10 on the date. 95 %: confidence of the growth. 80 %: of new "
        "points. spread: a typical point is within this factor of the line. without: the point "
        "that moves growth most, and growth without it. growth changed: where a line of two pieces "
        "is better by Schwarz's criterion (2: positive evidence).",
        style="dim",
    )
    for growth in growths:
        series = growth.series
        remark(console, f"{series.name}:", f"{series.definition} [{series.source}]")


def show_coverage(rows: Sequence[IntervalCoverage], console: Console) -> None:
    """Print how lines fitted up to a year predicted what came later."""
    inside = sum(not row.reason for row in rows)
    console.print(
        f"Out of sample: {inside} of {len(rows)} lines held later points within ten points of 80 "
        "and 95 %; the last column gives the reason for the others.",
        style="bold",
    )
    titles = ("series", "fitted to", "points", "later", "in 80 %", "in 95 %", "before", "after")
    cells = [_coverage_row(row) for row in rows]
    print_table(console, (*titles, "why"), cells, sentences=(8,))


def _coverage_row(row: IntervalCoverage) -> tuple[str, ...]:
    return (
        row.series,
        str(row.until),
        str(row.fitted),
        str(row.later),
        *(f"{share:.0%}" for share in row.covered.values()),
        f"{row.before:.3g}x",
        "-" if row.after is None else f"{row.after:.3g}x",
        row.reason,
    )


def verdict(growths: Sequence[Growth]) -> str:
    """Return the sentence that a person reads first."""
    found = {growth.series.name: growth for growth in growths}
    peak = next((g for name, g in found.items() if name.startswith("peak-")), None)
    ridge = next((g for name, g in found.items() if name.startswith("ridge-")), None)
    if peak is None or "bandwidth" not in found:
        fastest = max(growths, key=lambda growth: growth.slope.middle)
        slowest = min(growths, key=lambda growth: growth.slope.middle)
        if fastest is slowest:
            return f"{_said(fastest)}."
        return f"Fastest, {_said(fastest)}; slowest, {_said(slowest)}."
    text = f"Every two years {_said(peak)}, {_said(found['bandwidth'])}"
    return f"{text}; {_said(ridge)}." if ridge else f"{text}."


def rate(interval: Interval) -> str:
    """Return the ends of an interval of growth: ``1.54 to 1.82``."""
    return f"{times(interval.low)} to {times(interval.high)}"


def amount(value: float, unit: str) -> str:
    """Return a value with its unit."""
    if unit in _PREFIXED:
        return render(value, unit)
    return times(value)


def times(value: float, digits: int = 3) -> str:
    """Return a factor or a count: with powers of ten where it is large."""
    return render_number(value, digits) if value < _LARGE else f"{value:.{digits}g}"


def _row(growth: Growth) -> tuple[str, ...]:
    series, point = growth.series, growth.most_influential
    ahead = growth.band[-1][1]
    years = sorted(p.date.year for p in series.points)
    return (
        series.name,
        str(len(series.points)),
        f"{years[0]}-{years[-1]}",
        render_number(growth.per_2_years.middle, 4),
        rate(growth.per_2_years),
        _doubling(growth.doubling_years),
        times(growth.per_20_years.middle),
        f"{growth.spread:.2f}x",
        amount(ahead.middle, series.unit),
        f"{amount(ahead.low, series.unit)} to {amount(ahead.high, series.unit)}",
        point[0].name,
        render_number(point[1]),
        _changed(growth),
    )


def _doubling(years: float) -> str:
    if not math.isfinite(years):
        return "-"
    if years < 0:
        return f"halves in {_span(-years)}"
    return _span(years)


def _span(years: float) -> str:
    return f"{years:.1f} y" if years >= 2 else f"{12 * years:.0f} mo"


def _changed(growth: Growth) -> str:
    change = growth.change
    if change is None:
        return "too few points"
    if not growth.changed:
        return f"no ({change.evidence:+.1f})"
    return (
        f"{change.year:.1f}: {change.before:.3g}x to {change.after:.3g}x ({change.evidence:+.1f})"
    )


def _said(growth: Growth) -> str:
    per_2_years = growth.per_2_years
    return f"{growth.series.title} grew {render_number(per_2_years.middle)}x ({rate(per_2_years)})"

"""Growth as text: series by series, and how lines fared out of sample."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console

from memorywall.core.growth import Growth, Interval, IntervalCoverage
from memorywall.core.units import render, render_number
from memorywall.report.table import columns, remark, say

_PREFIXED = ("FLOP/s", "byte/s", "byte", "bit/s", "s", "W")  # units that take k, M, G ...
_LARGE = 1e6


def show_growths(growths: Sequence[Growth], console: Console) -> None:
    """Print what grew how fast, what the lines foresee, and every series' definition."""
    say(console, verdict(growths), style="bold")
    console.print()
    table = columns(("series", "n", "years", "x/2 years", "95 %", "doubles in"))
    for growth in growths:
        table.add_row(*_rates_row(growth))
    console.print(table)
    console.print()
    to = f"{growths[0].band[-1][0]:.0f}" if len({g.band[-1][0] for g in growths}) == 1 else "ahead"
    table = columns(("series", "x/20 years", "spread", to, "80 %"))
    for growth in growths:
        table.add_row(*_line_row(growth))
    console.print(table)
    console.print()
    table = columns(("series", "growth changed", "without"), words=3)
    for growth in growths:
        point, without = growth.most_influential
        influence = f"{point.name}: {render_number(without)}x"
        table.add_row(growth.series.name, _changed(growth), influence)
    console.print(table)
    console.print()
    say(
        console,
        "Least squares of log10 on the date. 95 %: confidence of the growth. 80 %: of new "
        "points. spread: a typical point is within this factor of the line. without: the point "
        "that moves growth most, and growth per 2 years without it. growth changed: where a line "
        "of two pieces is better by Schwarz's criterion (2: positive evidence).",
        style="dim",
    )
    for growth in growths:
        series = growth.series
        remark(console, f"{series.name}:", f"{series.definition} [{series.source}]")


def show_coverage(rows: Sequence[IntervalCoverage], console: Console) -> None:
    """Print how lines fitted up to a year predicted what came later."""
    inside = sum(not row.reason for row in rows)
    console.print(
        f"Out of sample: {inside} of {len(rows)} lines held what came later within ten points of "
        "80 and 95 %; the last column gives the reason for the others.",
        style="bold", soft_wrap=True,
    )  # fmt: skip
    table = columns(
        ("series", "fitted to", "points", "later", "in 80 %", "in 95 %", "before", "after", "why"),
    )
    table.columns[-1].justify = "left"
    for row in rows:
        shares = (f"{share:.0%}" for share in row.covered.values())
        after = "-" if row.after is None else f"{row.after:.3g}x"
        table.add_row(
            row.series, str(row.until), str(row.fitted), str(row.later), *shares,
            f"{row.before:.3g}x", after, row.reason,
        )  # fmt: skip
    console.print(table)


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


def _rates_row(growth: Growth) -> tuple[str, ...]:
    series = growth.series
    return (
        series.name,
        str(len(series.points)),
        f"{growth.first.year}-{growth.last.year}",
        render_number(growth.per_2_years.middle, 4),
        rate(growth.per_2_years),
        _doubling(growth.doubling_years),
    )


def _line_row(growth: Growth) -> tuple[str, ...]:
    unit, ahead = growth.series.unit, growth.predicted
    return (
        growth.series.name,
        times(growth.per_20_years.middle),
        f"{growth.spread:.2f}x",
        amount(ahead.middle, unit),
        _range(amount(ahead.low, unit), amount(ahead.high, unit)),
    )


def _range(low: str, high: str) -> str:
    """Join two amounts, their unit once where it is the same: ``2.1 to 20.4 PFLOP/s``."""
    number, _, unit = low.partition(" ")
    return f"{number if high.endswith(f' {unit}') else low} to {high}"


def _doubling(years: float) -> str:
    if not math.isfinite(years):
        return "-"
    if years < 0:
        return f"halves: {_span(-years)}"
    return _span(years)


def _span(years: float) -> str:
    if years >= 100:
        return f"{years:.0f} y"
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

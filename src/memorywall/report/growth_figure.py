"""Growth drawn: one panel a series, its points, its line, and where new points should lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from memorywall.core.growth import Growth
from memorywall.core.units import render_number
from memorywall.report.figures import LOOK, STYLES, load_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 3
_FEW_DECADES = 1.6
_POINT, _LINE, _CHANGE = STYLES[0][0], STYLES[2][0], STYLES[3][0]
_INK = "#444444"


def draw_growths(growths: Sequence[Growth]) -> Figure:
    """Draw one panel a series, with the band that holds 80 % of new points.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    matplotlib = load_matplotlib()
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    columns = min(_COLUMNS, len(growths))
    rows = math.ceil(len(growths) / columns)
    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=(max(4.8, 4.0 * columns), 3.0 * rows + 0.4), layout="constrained")
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes, growth in zip(panels, growths, strict=False):
            _draw_panel(axes, growth)
        for axes in panels[len(growths) :]:
            axes.set_axis_off()
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _draw_panel(axes: Axes, growth: Growth) -> None:
    series = growth.series
    years, band = zip(*growth.band, strict=True)
    low, high = [part.low for part in band], [part.high for part in band]
    axes.fill_between(years, low, high, color=_LINE, alpha=0.13, lw=0, label="80 % of new points")
    axes.plot(years, [part.middle for part in band], color=_LINE, label="least squares of log10")
    axes.plot(
        series.years, series.values, color=_POINT, marker="o", markersize=4, alpha=0.75,
        markeredgewidth=0, linestyle="none", label="published",
    )  # fmt: skip
    if growth.changed and growth.change is not None:
        axes.axvline(growth.change.year, color=_CHANGE, linestyle=":", lw=1.4)
    axes.set_yscale("log")
    axes.set_ylabel(series.unit)
    lines = _lines(growth)
    axes.set_title(series.title, loc="left", fontweight="bold", pad=8 + 11 * len(lines))
    axes.annotate(
        "\n".join(lines), (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points",
        va="bottom", fontsize=8.5, color=_INK,
    )  # fmt: skip
    _set_ticks(axes)


def _lines(growth: Growth) -> list[str]:
    """Return the growth and its change, which stand between the title and the panel."""
    per_2_years, change = growth.per_2_years, growth.change
    low, high = render_number(per_2_years.low), render_number(per_2_years.high)
    lines = [f"{render_number(per_2_years.middle)}x every 2 years ({low} to {high}, 95 %)"]
    if change is not None and growth.changed:
        before, after = render_number(change.before), render_number(change.after)
        lines.append(f"{before}x, from {change.year:.1f} on {after}x")
    return lines


def _set_ticks(axes: Axes) -> None:
    """Write whole years, and values with a prefix: 10 T; at 1, 2 and 5 where there is room."""
    from matplotlib import ticker  # noqa: PLC0415 - an extra

    low, high = axes.get_ylim()
    decades = math.log10(high / low)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(nbins=6, integer=True))
    axes.yaxis.set_major_locator(
        ticker.LogLocator(subs=(1.0, 2.0, 5.0) if decades < _FEW_DECADES else (1.0,), numticks=8)
    )
    axes.yaxis.set_major_formatter(ticker.EngFormatter(places=None))
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())

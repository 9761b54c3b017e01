"""Names at the ends of lines, in place of a legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from memorywall.core.numbers import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALL = 8.5
# Between two names, and the highest of them, in shares of a panel's height.
_GAP, _TOP = 0.07, 0.97


def name_lines(
    axes: Axes,
    across: Array,
    lines: Sequence[Array],
    colors: Sequence[str],
    names: Sequence[str],
) -> None:
    """Write names right of the last point, in the order of the lines' ends, and apart.

    Both axes are logarithmic. A line may end early, in what is not a number; a thin line leads
    from its end to its name.
    """
    low, high = (float(np.log(end)) for end in axes.get_ylim())
    ends = []
    for values, color, name in zip(lines, colors, names, strict=True):
        there = np.flatnonzero(~np.isnan(values))
        if there.size:
            place = (float(np.log(values[there[-1]])) - low) / (high - low)
            ends.append((across[there[-1]], place, color, name))
    heights = spread([place for _, place, _, _ in ends], _GAP)
    transform = axes.get_xaxis_transform()
    right = across[-1] * (across[-1] / across[0]) ** 0.05
    for height, (x, place, color, name) in zip(heights, ends, strict=True):
        axes.plot([x, right], [place, height], color=color, lw=0.7, transform=transform)
        axes.annotate(
            name, (right, height), (2, 0), xycoords=transform, textcoords="offset points",
            fontsize=SMALL, color=color, va="center",
        )  # fmt: skip


def spread(wanted: list[float], gap: float) -> list[float]:
    """Return heights near those wanted, in their order, up to ``_TOP`` and a gap apart."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    placed = [0.0] * len(wanted)
    floor = 0.0
    for index in order:
        placed[index] = max(wanted[index], floor)
        floor = placed[index] + gap
    ceiling = _TOP
    for index in reversed(order):
        placed[index] = min(placed[index], ceiling)
        ceiling = placed[index] - gap
    return placed

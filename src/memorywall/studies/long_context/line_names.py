"""Names at the ends of lines, in place of a legend."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from memorywall.core.numbers import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALL = 8.5
# Between two names, a line more of one, and the highest, in shares of a panel's height.
_GAP, _LINE, _TOP = 0.07, 0.05, 0.97
# Characters of a line: names of models have long parts, which are not cut.
_WORDS, _MODEL = 10, 18


def wrapped(name: str) -> str:
    """Return a name in short lines, cut at spaces and dashes."""
    words = name.replace("-", "- ")
    most = _MODEL if "-" in name else _WORDS
    return textwrap.fill(words, most, break_long_words=False).replace("- ", "-")


def width(names: Sequence[str]) -> float:
    """Return how wide the widest name is when it is written, in inches."""
    from matplotlib.textpath import TextPath  # noqa: PLC0415 - an extra

    lines = [line for name in names for line in wrapped(name).splitlines()]
    return max(float(TextPath((0, 0), line, size=SMALL).get_extents().width) for line in lines) / 72


def name_lines(
    axes: Axes,
    across: Array,
    lines: Sequence[Array],
    colors: Sequence[str],
    names: Sequence[str],
) -> None:
    """Write names right of the last point, in the order of the lines' ends, and apart.

    Both axes are logarithmic. A thin line leads from the end of a line to its name. A line may end
    early, in what is not a number: its name stands below its end, where a falling line leaves room.
    """
    low, high = (float(np.log(end)) for end in axes.get_ylim())
    ends = []
    for values, color, name in zip(lines, colors, names, strict=True):
        there = np.flatnonzero(~np.isnan(values))
        if there.size and there[-1] + 1 < across.size:
            axes.annotate(
                name, (across[there[-1]], values[there[-1]]), (-6, -6), textcoords="offset points",
                fontsize=SMALL, color=color, ha="right", va="center",
            )  # fmt: skip
        elif there.size:
            place = (float(np.log(values[there[-1]])) - low) / (high - low)
            ends.append((across[there[-1]], place, color, name))
    most = max((wrapped(name).count("\n") for _, _, _, name in ends), default=0)
    gap = _GAP + _LINE * most
    heights = spread([place for _, place, _, _ in ends], gap, gap / 2)  # clear of the axis
    transform = axes.get_xaxis_transform()
    right = across[-1] * (across[-1] / across[0]) ** 0.05
    for height, (x, place, color, name) in zip(heights, ends, strict=True):
        axes.plot([x, right], [place, height], color=color, lw=0.7, transform=transform)
        axes.annotate(
            wrapped(name), (right, height), (2, 0), xycoords=transform,
            textcoords="offset points", fontsize=SMALL, color=color, va="center", linespacing=0.95,
        )  # fmt: skip


def spread(wanted: list[float], gap: float, floor: float = 0.0) -> list[float]:
    """Return heights near those wanted, in their order, from ``floor`` to ``_TOP``, a gap apart.

    Where that is too little room, the lowest go below the floor.
    """
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    placed = [0.0] * len(wanted)
    for index in order:
        placed[index] = max(wanted[index], floor)
        floor = placed[index] + gap
    ceiling = _TOP
    for index in reversed(order):
        placed[index] = min(placed[index], ceiling)
        ceiling = placed[index] - gap
    return placed

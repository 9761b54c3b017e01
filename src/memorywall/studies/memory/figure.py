"""The study of training memory as a picture: every model's parts, ours beside the published."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from memorywall.report.figures import LOOK, load_matplotlib
from memorywall.studies.memory.findings import TrainingBars

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours; persistent memory is dark, temporary memory is light.
_PARTS = {"parameters": "#0072B2", "optimizer": "#E69F00", "features": "#009E73"}


def draw_bars(found: TrainingBars) -> Figure:
    """Draw every model's parts stacked, ours (full) beside the published (hatched).

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    with load_matplotlib().rc_context({**LOOK, "axes.grid.axis": "y", "hatch.linewidth": 0.6}):
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

        figure = Figure(figsize=(9.0, 4.8), layout="constrained")
        axes = figure.subplots()
        axes.set_axisbelow(True)
        bars = found.bars
        for index, bar in enumerate(bars):
            _stack(axes, index - 0.2, [bar.ours[part] for part in _PARTS], hatch="")
            printed = [float(bar.published[part]) for part in _PARTS]
            _stack(axes, index + 0.2, printed, hatch="////")
            axes.hlines(bar.limit, index - 0.5, index + 0.5, color="#555555", lw=1.2, ls="--")
        axes.set_xticks(
            range(len(bars)),
            [f"{_broken(bar.model)}{'*' if bar.reason else ''}\n{bar.setting}" for bar in bars],
            fontsize=8,
        )
        axes.set_xlim(-0.5, len(bars) - 0.5)
        axes.set_ylabel("GiB")
        axes.set_title(
            "Training memory: parameters, optimizer, features", loc="left", fontweight="bold"
        )
        _bars_legend(axes)
        reasons = [f"* {bar.model}: {bar.reason}" for bar in bars if bar.reason]
        axes.set_xlabel("\n".join(map(_filled, reasons)), fontsize=8, loc="left")
    return figure


def _filled(reason: str) -> str:
    return textwrap.fill(reason, 130, subsequent_indent="   ")


def _stack(axes: Axes, place: float, heights: Sequence[float], hatch: str) -> None:
    bottoms = np.cumsum([0.0, *heights[:-1]])
    for height, bottom, color in zip(heights, bottoms, _PARTS.values(), strict=True):
        axes.bar(
            place, height, 0.36, bottom, color=color, hatch=hatch, edgecolor="white", linewidth=0.4
        )


def _bars_legend(axes: Axes) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415 - an extra
    from matplotlib.patches import Patch  # noqa: PLC0415

    handles: list[Patch | Line2D] = [Patch(color=color, label=p) for p, color in _PARTS.items()]
    handles += [
        Patch(facecolor="#777777", label="ours"),
        Patch(facecolor="#777777", hatch="////", edgecolor="white", label="published"),
        Line2D([], [], color="#555555", ls="--", lw=1.2, label="GPU memory of the year"),
    ]
    axes.legend(handles=handles, loc="upper left", frameon=False, fontsize=9, ncols=2)


def _broken(name: str) -> str:
    return name.replace("Transformer ", "Transf. ")

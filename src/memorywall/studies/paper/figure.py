"""The case study as a picture: one panel a quantity over sequence length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memorywall.report.figures import LOOK, STYLES, load_matplotlib
from memorywall.studies.paper.findings import LengthCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS = {
    "GFLOPs": ("FLOPs", "GFLOP"),
    "GMOPs": ("Memory operations", "GB moved"),
    "FLOP/B": ("Arithmetic intensity", "FLOP per byte"),
    "latency": ("Latency on a Xeon Gold 6242", "times BERT-Base at 128"),
    "latency here": ("Latency, a Xeon and here", "times BERT-Base at 128"),
}


def draw_curves(curves: Sequence[LengthCurve]) -> Figure:
    """Draw one panel a quantity over sequence length: ours as lines, published as hollow marks.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    matplotlib = load_matplotlib()
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=(7.2, 6.0), layout="constrained")
        quantities = list(dict.fromkeys(curve.quantity for curve in curves))
        for axes, letter, quantity in zip(
            figure.subplots(2, 2).flat, "abcd", quantities, strict=True
        ):
            _draw_panel(axes, [curve for curve in curves if curve.quantity == quantity])
            title, unit = _PANELS[quantity]
            axes.set_title(f"({letter}) {title}", loc="left", fontweight="bold")
            axes.set_ylabel(unit)
        handles, labels = figure.axes[-1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _draw_panel(axes: Axes, curves: Sequence[LengthCurve]) -> None:
    for curve, (color, marker) in zip(curves, STYLES, strict=False):
        ran = curve.lengths[: len(curve.ours)]
        axes.plot(ran, curve.ours, color=color, label=f"{curve.model}, ours")
        axes.plot(
            curve.lengths, curve.published, color=color, marker=marker, markerfacecolor="white",
            markeredgewidth=1.6, linestyle="none", label=f"{curve.model}, published",
        )  # fmt: skip
        if curve.measured:
            axes.plot(
                ran, curve.measured, color=color, marker=marker, linestyle="none",
                label=f"{curve.model}, measured here",
            )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(curves[0].lengths, [str(length) for length in curves[0].lengths])
    axes.minorticks_off()
    axes.set_xlabel("sequence length, tokens")

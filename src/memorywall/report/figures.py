"""Pictures, drawn by matplotlib (the extra ``figures``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memorywall.core.comparison import Curve
from memorywall.core.errors import InvalidInputError, MissingDependencyError, shown
from memorywall.core.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png", ".pdf")

# Okabe and Ito's colours, which colour-blind readers tell apart; shapes tell them apart in grey.
_STYLES = (("#0072B2", "o"), ("#E69F00", "s"), ("#D55E00", "^"), ("#009E73", "D"))
_PANELS = {
    "GFLOPs": ("FLOPs", "GFLOP"),
    "GMOPs": ("Memory operations", "GB moved"),
    "FLOP/B": ("Arithmetic intensity", "FLOP per byte"),
    "latency": ("Latency on a Xeon Gold 6242", "times BERT-Base at 128"),
    "latency here": ("Latency, a Xeon and here", "times BERT-Base at 128"),
}
_LOOK = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "svg.fonttype": "none",
    "svg.hashsalt": "memorywall",
    "pdf.fonttype": 42,
}


def draw_curves(curves: Sequence[Curve]) -> Figure:
    """Draw one panel a quantity over sequence length: ours as lines, published as hollow marks.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    matplotlib = _matplotlib()
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    with matplotlib.rc_context(_LOOK):
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


def save(figure: Figure, path: Path) -> Path:
    """Write a figure atomically in the format of the path's suffix, and return the path.

    Raises:
        InvalidInputError: another suffix, or a place that cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InvalidInputError(
            f"{path}: cannot draw a {shown(path.suffix)}.", f"Use one of {', '.join(SUFFIXES)}."
        )
    matplotlib = _matplotlib()
    metadata: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(
        suffix, {}
    )
    try:
        with matplotlib.rc_context(_LOOK), replacing(path) as beside:
            figure.savefig(beside, format=suffix[1:], dpi=200, metadata=metadata)
    except OSError as error:
        raise InvalidInputError(
            f"{path} cannot be written: {error.strerror}.", "Give another place: --figure."
        ) from None
    return path


def _draw_panel(axes: Axes, curves: Sequence[Curve]) -> None:
    for curve, (color, marker) in zip(curves, _STYLES, strict=False):
        axes.plot(curve.lengths, curve.ours, color=color, label=f"{curve.model}, ours")
        axes.plot(
            curve.lengths, curve.published, color=color, marker=marker, markerfacecolor="white",
            markeredgewidth=1.6, linestyle="none", label=f"{curve.model}, published",
        )  # fmt: skip
        if curve.measured:
            axes.plot(
                curve.lengths[: len(curve.measured)], curve.measured, color=color, marker=marker,
                linestyle="none", label=f"{curve.model}, measured here",
            )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(curves[0].lengths, [str(length) for length in curves[0].lengths])
    axes.minorticks_off()
    axes.set_xlabel("sequence length, tokens")


def _matplotlib() -> Any:
    try:
        import matplotlib  # noqa: ICN001, PLC0415 - an extra, imported where it is used
    except ImportError:
        raise MissingDependencyError("matplotlib", "figures", "drawing") from None
    return matplotlib

"""The paper's Figs 1, 2a, 2b and 4 redrawn in its layout: its points, its lines, its labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from memorywall.core.growth import Growth, Series
from memorywall.report.figures import LOOK, load_matplotlib
from memorywall.studies.trends.findings import PaperFigures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLACK, _GREEN, _BLUE = "#222222", "#009E73", "#0072B2"
_RED, _GREY, _ORANGE = "#D55E00", "#777777", "#E69F00"
_FONT = 7.5
# Where labels go that would lie on others: points right and up of the mark, and which side of it.
_PLACES = {
    "R10000": (-2, 8, "center"), "Pentium II Xeon": (6, -4, "left"), "Itanium 2": (-6, 5, "right"),
    "GTX 580": (6, -9, "left"), "K40": (6, -9, "left"), "A100": (-5, 5, "right"),
    "H100": (-5, 6, "right"), "TPUv3": (2, 7, "center"), "TPUv4": (4, -11, "center"),
    "GDDR3": (7, -4, "left"), "GDDR4": (0, 7, "center"), "GDDR5": (0, 7, "center"),
    "HBM": (-6, 5, "right"), "HBM2": (4, 7, "center"), "HBM2E": (2, 8, "center"),
    "PCIe 1.0a": (0, -12, "center"), "PCIe 2.0": (0, -12, "center"),
    "PCIe 3.0": (0, -12, "center"), "PCIe 5.0": (4, -12, "center"),
    "NVLink 1.0": (-5, 6, "right"), "NVLink 4.0": (7, -3, "left"),
    "P100 (12GB)": (0, -12, "center"), "TPUv2 (16GB)": (6, -8, "left"),
    "V100 (32GB)": (-4, 7, "right"), "TPUv3 (32GB)": (6, -9, "left"),
    "A100 (40GB)": (0, -13, "center"), "A100-80 (80GB)": (-2, 8, "center"),
    "H100 (80GB)": (0, -13, "center"), "ResNet50": (-6, -3, "right"),
    "Inception V4": (-5, 6, "center"), "DenseNet": (6, 4, "left"), "Xception 23M": (4, -11, "left"),
    "ResNext101": (5, 5, "left"), "10TB Baidu RecSys": (-6, 5, "right"),
    "Transformer": (6, -8, "left"), "GPT-1": (6, -8, "left"), "BERT": (6, -8, "left"),
    "Megatron LM": (-5, 6, "right"), "Microsoft T-NLG": (2, 12, "right"),
    "GPT-3": (-6, 5, "right"), "GShard": (-6, 6, "right"), "Switch Transformer": (-7, 5, "right"),
    "Megatron-Turing": (0, -13, "center"), "XLNet": (-7, -3, "right"),
    "RoBERTa Large": (1, -21, "left"), "ALBERT xxl": (-7, -3, "right"),
    "ELECTRA Large": (7, -4, "left"), "Wav2Vec 2.0": (7, 2, "left"),
    "MoCo ResNet50": (6, -9, "left"), "Seq2Seq": (6, 5, "left"), "VGG": (-6, -9, "right"),
    "ResNet": (6, -8, "left"), "ResNext": (6, 4, "left"), "InceptionV3": (-5, 6, "right"),
    "GPT-2": (7, -9, "left"), "AlexNet": (6, 5, "left"), "ELMo": (6, 5, "left"),
    "Xception": (6, 5, "left"),
}  # fmt: skip


def draw_figure_1(data: PaperFigures) -> Figure:
    """Draw peak arithmetic, memory bandwidth and interconnect, each over its first point."""
    series = (
        ("paper-flops", _BLACK, "s", "HW FLOPS"),
        ("paper-dram", _GREEN, "^", "DRAM BW"),
        ("paper-interconnect", _BLUE, "o", "Interconnect BW"),
    )
    figure, axes = _figure((9.0, 5.4))
    for name, color, marker, title in series:
        growth = data.growths[name]
        _marks(axes, growth.series, color, marker)
        twenty, two = growth.per_20_years.middle, growth.per_2_years.middle
        label = f"{title}: {twenty:,.0f}x / 20 yrs ({two:.2f}x / 2 yrs)"
        _line(axes, growth, color, label)
    _finish(axes, "over the first point of each series", (1995, 2026))
    axes.set_ylim(0.3, 3e7)
    axes.set_title("Scaling of peak hardware FLOPS, memory and interconnect bandwidth", loc="left")
    return figure


def draw_figure_2a(data: PaperFigures) -> Figure:
    """Draw parameters of models, and accelerators at their GB divided by 6."""
    figure, axes = _figure((7.6, 5.2))
    _marks(axes, data.marks["paper-vision-size"], _BLUE, "D", "CV")
    _marks(axes, data.marks["paper-recommender-size"], _ORANGE, "P", "RecSys")
    _fitted(axes, data.growths["paper-transformer-size"], _RED, "o", "Transformers")
    _fitted(axes, data.growths["paper-accelerator-memory"], _GREEN, "s", "AI HW memory, GB / 6")
    _finish(axes, "parameters, billions", (2015, 2023))
    axes.set_ylim(0.01, 3e4)
    axes.set_title("Parameters of models and memory of one accelerator", loc="left")
    return figure


def draw_figure_2b(data: PaperFigures) -> Figure:
    """Draw training compute, the line of Transformers, and Moore's law as the paper draws it."""
    figure, axes = _figure((7.6, 5.2))
    growth = data.growths["paper-training-compute"]
    _marks(axes, data.marks["paper-other-compute"], _BLUE, "D", "CV, speech and earlier NLP")
    _fitted(axes, growth, _RED, "o", "Transformers")
    years = np.array([2012.4, 2020.6])
    axes.plot(
        years, 1e3 * 2 ** ((years - years[0]) / 2), color=_GREY, linestyle="--", lw=1.2,
        label="Moore's law: 2x / 2 yrs",
    )  # fmt: skip
    _finish(axes, "training compute, PFLOP", (2011.5, 2022))
    axes.set_ylim(100, 3e9)
    axes.set_title("Training compute of models", loc="left")
    return figure


def draw_figure_4(data: PaperFigures) -> Figure:
    """Draw what training keeps in memory by model, and the memory of a GPU of its year."""
    figure, axes = _figure((7.6, 4.6))
    places = [float(place) for place in range(len(data.bars))]
    bottom = np.zeros(len(data.bars))
    for part, color, title in (
        ("parameters", _RED, "parameters"),
        ("optimizer", _ORANGE, "optimizer states"),
        ("features", _BLUE, "activations"),
    ):
        heights = np.array([getattr(bar, part) for bar in data.bars])
        axes.bar(places, heights, 0.62, bottom=bottom, color=color, label=title)
        bottom += heights
    for place, total in zip(places, bottom, strict=True):
        inside = total > 3
        axes.text(
            place, total + (-0.3 if inside else 0.3), f"{total:.1f}", ha="center",
            va="top" if inside else "bottom", fontsize=_FONT, color="white" if inside else _BLACK,
        )  # fmt: skip
    edges = [place - 0.5 for place in (*places, len(places))]
    axes.stairs(
        [bar.limit for bar in data.bars], edges, color=_GREEN, lw=1.8, baseline=None,
        label="memory of a GPU",
    )  # fmt: skip
    axes.set_xticks(places, [f"{bar.name}\n{bar.year}" for bar in data.bars], fontsize=_FONT)
    axes.set_axisbelow(True)
    axes.grid(visible=False, axis="x")
    axes.set_ylabel("memory, GB")
    axes.set_title("Memory of training, without gradients", loc="left")
    axes.legend(frameon=False, loc="upper left")
    return figure


def _figure(size: tuple[float, float]) -> tuple[Figure, Axes]:
    matplotlib = load_matplotlib()
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=size, layout="constrained")
        return figure, figure.subplots()


def _marks(axes: Axes, series: Series, color: str, marker: str, label: str = "") -> None:
    axes.plot(
        series.years, series.values, color=color, marker=marker, markersize=5, linestyle="none",
        alpha=0.85, markeredgewidth=0, label=label or None,
    )  # fmt: skip
    for point in series.points:
        place = _PLACES.get(point.name)
        if place is not None:  # as in the paper, not every mark has its name
            x, y, side = place
            axes.annotate(
                point.name, (point.year, point.value), (x, y), textcoords="offset points",
                ha=side, fontsize=_FONT, color=color,
            )  # fmt: skip


def _fitted(axes: Axes, growth: Growth, color: str, marker: str, title: str) -> None:
    _marks(axes, growth.series, color, marker)
    _line(axes, growth, color, f"{title}: {growth.per_2_years.middle:.3g}x / 2 yrs")


def _line(axes: Axes, growth: Growth, color: str, label: str) -> None:
    """Draw a line over the years of its points."""
    years = np.array([min(growth.series.years), max(growth.series.years)])
    start = growth.band[0][1].middle
    values = start * 10 ** (growth.slope.middle * (years - growth.band[0][0]))
    axes.plot(years, values, color=color, linestyle="--", lw=1.4, label=label)


def _finish(axes: Axes, unit: str, years: tuple[float, float]) -> None:
    axes.set_yscale("log")
    axes.set_xlim(*years)
    axes.set_xlabel("year")
    axes.set_ylabel(unit)
    axes.legend(frameon=False, loc="upper left")


PAPER_FIGURES: Mapping[str, Callable[[PaperFigures], Figure]] = {
    "fig1": draw_figure_1,
    "fig2a": draw_figure_2a,
    "fig2b": draw_figure_2b,
    "fig4": draw_figure_4,
}

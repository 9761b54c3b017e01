"""The study of long contexts as a picture: six panels over the context, a line a model."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memorywall.core.numbers import Array
from memorywall.core.units import render, render_number
from memorywall.report.figures import LOOK, load_matplotlib
from memorywall.studies.long_context.findings import LongContext, LongContexts
from memorywall.studies.long_context.line_names import SMALL, name_lines, width
from memorywall.studies.long_context.sentences import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours without the yellow, which white paper swallows.
_COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_INK = "#444444"
# Inches: of the contexts, of what is left of them, and between a line's end and its name.
_PLOT, _LEFT, _LEAD = 2.35, 0.75, 0.2
_FEW_DECADES = 2.2


@dataclass(frozen=True, slots=True)
class _Panel:
    """One quantity of every model over the context.

    Attributes:
        title, unit: as text, with {batch} as a placeholder.
        values: the quantity; not a number where there is none.
        dot: the context to mark on a line, if any.
        line, line_text: a level across the panel, and what it is.
    """

    title: str
    unit: str
    values: Callable[[LongContext], Array]
    dot: Callable[[LongContext], int | None] = lambda _: None
    line: Callable[[LongContexts], float] | None = None
    line_text: Callable[[LongContexts], str] = lambda _: ""


_PANELS = (
    _Panel(
        "Bytes a token, batch {batch}\n(dot: cache passes weights)", "B",
        lambda model: model.steps.moved_bytes, lambda model: model.cache_passes,
    ),
    _Panel("Time a token,\nbatch {batch}", "s", lambda model: model.steps.seconds),
    _Panel(
        "Memory, batch {batch}\n", "B", lambda model: model.steps.resident,
        line=lambda study: study.capacity,
        line_text=lambda study: f"full: {render(study.capacity, 'byte')}",
    ),
    _Panel(
        "Tokens a second of as many\nsequences as fit (x: no more fits)", "",
        lambda model: model.filled.tokens_per_s,
    ),
    _Panel(
        "FLOP per byte of as many\nsequences as fit", "",
        lambda model: model.filled.arithmetic_intensity, line=lambda study: study.ridge_point,
        line_text=lambda study: f"compute roof from {render_number(study.ridge_point)}",
    ),
    _Panel(
        "Time to first token\n(dot: attention passes the rest)", "s",
        lambda model: model.prefills.seconds, lambda model: model.attention_passes,
    ),
)  # fmt: skip


def draw_long_contexts(study: LongContexts) -> Figure:
    """Draw every quantity over the context, dashed past what a model was made for.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    matplotlib = load_matplotlib()
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    with matplotlib.rc_context(LOOK):
        across = 2 * (_LEFT + _PLOT + _room(study))
        figure = Figure(figsize=(across, 10.2), layout="constrained")
        for axes, letter, panel in zip(figure.subplots(3, 2).flat, "abcdef", _PANELS, strict=True):
            _draw_panel(axes, panel, study)
            title = panel.title.format(batch=study.batch_size)
            axes.set_title(f"({letter}) {title}", loc="left", fontweight="bold", fontsize=10)
        for model, color, name in zip(study.models, _colors(study), names(study), strict=True):
            label = (
                short(model.model)
                if name == short(model.model)
                else (f"{short(model.model)}: {name}")
            )
            figure.axes[0].plot([], [], color=color, label=label)
        figure.legend(
            loc="outside lower center", ncols=2, frameon=False, fontsize=9,
            title=f"{study.hardware}; dashed past what a model was made for",
            title_fontsize=9,
        )  # fmt: skip
    return figure


def names(study: LongContexts) -> list[str]:
    """Return what each model is called beside its line: its kind, where no other is of it."""
    kinds = Counter(model.kind for model in study.models)
    return [m.kind if kinds[m.kind] == 1 else short(m.model) for m in study.models]


def _room(study: LongContexts) -> float:
    """Return what names need right of the last context, in inches."""
    return _LEAD + width(names(study))


def _colors(study: LongContexts) -> list[str]:
    return [_COLORS[index % len(_COLORS)] for index in range(len(study.models))]


def _draw_panel(axes: Axes, panel: _Panel, study: LongContexts) -> None:
    contexts = np.array(study.contexts, dtype=np.float64)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.margins(y=0.1)  # for the names of lines that end early
    for index, (model, color) in enumerate(zip(study.models, _colors(study), strict=True)):
        # Later lines are thinner: what lies beneath them still shows.
        thick = max(1.2, 3.4 - 0.35 * index)
        _draw_line(axes, contexts, panel.values(model), model.max_positions, color, thick)
        _draw_dot(axes, contexts, panel.values(model), panel.dot(model), color)
    _set_axes(axes, contexts, panel.unit, _room(study) / _PLOT)
    axes.set_xlabel(f"context, tokens{_absent(panel, study)}")
    if panel.line is not None:
        _draw_level(axes, contexts, panel.line(study), panel.line_text(study))
    lines = [panel.values(model) for model in study.models]
    name_lines(axes, contexts, lines, _colors(study), names(study))


def _absent(panel: _Panel, study: LongContexts) -> str:
    """Name the models that have no line, since not one sequence of them fits."""
    lines = zip(study.models, names(study), strict=True)
    absent = [name for model, name in lines if np.isnan(panel.values(model)).all()]
    text = textwrap.fill(f"does not fit: {', '.join(absent)}", 44, break_on_hyphens=False)
    return f"\n{text}" if absent else ""


def _draw_line(
    axes: Axes, contexts: Array, values: Array, made_for: int | None, color: str, width: float
) -> None:
    """Draw a line, dashed past what the model was made for, crossed where nothing fits beyond."""
    within = contexts <= (made_for or np.inf)
    beyond = ~within
    beyond[np.flatnonzero(within)[-1:]] = True  # the two parts meet
    axes.plot(contexts[within], values[within], color=color, lw=width)
    axes.plot(contexts[beyond], values[beyond], color=color, linestyle=(0, (2, 1)), lw=0.75 * width)
    there = np.flatnonzero(~np.isnan(values))
    if there.size and there[-1] + 1 < contexts.size:
        axes.plot(contexts[there[-1]], values[there[-1]], color=color, marker="x", mew=2)


def _draw_dot(axes: Axes, contexts: Array, values: Array, context: int | None, color: str) -> None:
    if context is not None and contexts[0] <= context <= contexts[-1]:
        height = np.exp(np.interp(np.log(context), np.log(contexts), np.log(values)))
        axes.plot(context, height, color=color, marker="o", markersize=6.5, mec="white")


def _draw_level(axes: Axes, contexts: Array, level: float, text: str) -> None:
    """Draw a level over the contexts, beside the names, and shade what lies beyond it."""
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, max(top, 1.5 * level))
    ends = contexts[[0, -1]]
    axes.fill_between(ends, level, axes.get_ylim()[1], color="#ececec", lw=0, zorder=0)
    axes.hlines(level, *ends, color=_INK, lw=1.2, linestyle=":")
    axes.annotate(
        text, (ends[0], level), (4, -10), textcoords="offset points", fontsize=SMALL, color=_INK
    )


def _set_axes(axes: Axes, contexts: Array, unit: str, room: float) -> None:
    """Set scales and ticks; ``room`` is left for names, in shares of the contexts' width."""
    from matplotlib import ticker  # noqa: PLC0415 - an extra

    octaves = float(np.log2(contexts[-1] / contexts[0])) or 1.0
    axes.set_xlim(contexts[0], contexts[-1] * 2 ** (octaves * room))
    marked = contexts[[0, contexts.size // 2, -1]]  # 1k, 32k and 1M of the usual contexts
    axes.set_xticks(marked, [_tokens(context) for context in marked])
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    low, high = axes.get_ylim()
    subs = (1.0, 2.0, 5.0) if np.log10(high / low) < _FEW_DECADES else (1.0,)
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=subs, numticks=9))
    axes.yaxis.set_major_formatter(ticker.EngFormatter(unit=unit, sep=" " if unit else ""))
    axes.yaxis.set_minor_locator(ticker.NullLocator())


def _tokens(context: float) -> str:
    """Write 32768 as 32k and 1048576 as 1M, as lengths of contexts are called."""
    for size, letter in ((2**20, "M"), (2**10, "k")):
        if context >= size and context % size == 0:
            return f"{context / size:.0f}{letter}"
    return f"{context:.0f}"

"""A device's roofline with answers under it: where a prefill and decodes of some batches lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from memorywall.core.analysis import Analysis
from memorywall.core.errors import InvalidInputError
from memorywall.core.units import render, render_number
from memorywall.report.figures import LOOK, STYLES, load_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GREY = "#555555"
# How far the axes reach beyond the outermost point, as a factor.
_LEFT, _RIGHT, _BELOW, _ABOVE = 3.0, 3.0, 4.0, 3.0


def draw_answers(answers: Sequence[Analysis]) -> Figure:
    """Draw answers of one device and one arithmetic as points under the device's roofs.

    Across: FLOP per byte moved. Up: FLOP/s that the roofs allow, which is below them where
    operators of both kinds alternate. An answer that does not fit the device's memory is hollow.

    Raises:
        InvalidInputError: no answers, answers with arrays, or of several devices or arithmetics.
        MissingDependencyError: matplotlib is not installed.
    """
    _check(answers)
    matplotlib = load_matplotlib()
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=(7.2, 4.8), layout="constrained")
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.set_yscale("log")
        _limit(axes, answers)
        _draw_roofs(axes, answers[0])
        styles = dict(zip(dict.fromkeys(a.model for a in answers), STYLES, strict=False))
        for answer in answers:
            _draw_answer(axes, answer, *styles.get(answer.model, STYLES[-1]))
        for model, (color, marker) in styles.items():
            axes.plot([], [], color=color, marker=marker, linestyle="none", label=model)
        axes.set_xlabel("FLOP per byte moved")
        axes.set_ylabel("FLOP/s")
        device = answers[0].question.hardware
        axes.set_title(f"Roofline of {device.title or device.name}", loc="left")
        title = None if all(answer.fits for answer in answers) else "hollow: does not fit in memory"
        axes.legend(loc="upper left", frameon=False, title=title, alignment="left")
    return figure


def _check(answers: Sequence[Analysis]) -> None:
    kinds = {(a.hardware, a.question.hardware.arithmetic(a.question.arithmetic)) for a in answers}
    if len(kinds) != 1:
        raise InvalidInputError(
            f"A roofline picture requires answers of one device and arithmetic, got {len(kinds)}."
        )
    if any(answer.question.shape for answer in answers):
        raise InvalidInputError("A roofline picture requires answers of single points, got a grid.")


def _limit(axes: Axes, answers: Sequence[Analysis]) -> None:
    across = [float(answer.arithmetic_intensity) for answer in answers]
    up = [_rate(answer) for answer in answers]
    ridge = float(answers[0].ridge_point)
    peak = ridge * float(answers[0].question.hardware.bandwidth)
    axes.set_xlim(min(*across, ridge) / _LEFT, max(*across, ridge) * _RIGHT)
    axes.set_ylim(min(up) / _BELOW, peak * _ABOVE)


def _draw_roofs(axes: Axes, answer: Analysis) -> None:
    """Draw the memory roof up to the ridge point, and the compute roof from there."""
    device = answer.question.hardware
    dtype = device.arithmetic(answer.question.arithmetic)
    bandwidth, peak = float(device.bandwidth), float(device.peak(dtype))
    ridge = peak / bandwidth
    left, right = axes.get_xlim()
    axes.plot([left, ridge, right], [left * bandwidth, peak, peak], color=_GREY, lw=1.4, zorder=1)
    axes.annotate(
        f"memory roof, {render(bandwidth, 'byte/s')}",
        (left * 1.3, left * 1.6 * bandwidth),
        rotation=_slope(axes), rotation_mode="anchor", fontsize=9, color=_GREY,
    )  # fmt: skip
    axes.annotate(
        f"compute roof, {render(peak, 'FLOP/s')} in {dtype}", (right / 1.1, peak * 1.15),
        ha="right", fontsize=9, color=_GREY,
    )  # fmt: skip
    bottom = axes.get_ylim()[0]
    axes.plot([ridge, ridge], [bottom, peak], color=_GREY, lw=0.8, linestyle=":", zorder=0)
    axes.annotate(
        f"{render_number(ridge)} FLOP per byte", (ridge, bottom * 1.3),
        rotation=90, ha="right", va="bottom", fontsize=8, color=_GREY,
    )  # fmt: skip


def _slope(axes: Axes) -> float:
    """Return the angle, in degrees on paper, at which a line of slope 1 rises on both logs."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    width, height = axes.get_figure(root=True).get_size_inches()  # type: ignore[union-attr]
    across, up = math.log10(right / left), math.log10(top / bottom)
    return math.degrees(math.atan2(height * 0.83 / up, width * 0.9 / across))


def _draw_answer(axes: Axes, answer: Analysis, color: str, marker: str) -> None:
    intensity, rate = float(answer.arithmetic_intensity), _rate(answer)
    face = color if answer.fits else "white"
    axes.plot(
        intensity, rate, color=color, marker=marker, markerfacecolor=face, markersize=8,
        markeredgewidth=1.6, linestyle="none", zorder=3,
    )  # fmt: skip
    far_right = intensity > float(answer.ridge_point)
    axes.annotate(
        _label(answer), (intensity, rate), (0, -12) if far_right else (9, -5),
        textcoords="offset points", ha="center" if far_right else "left",
        va="top" if far_right else "center", fontsize=9, color=color,
    )  # fmt: skip


def _label(answer: Analysis) -> str:
    question = answer.question
    joint = "at" if answer.phase == "decode" else "of"
    return f"{answer.phase} {joint} {question.seq_len:,}, batch {question.batch_size:,}"


def _rate(answer: Analysis) -> float:
    """Return the FLOP/s of an answer at the roofs."""
    return float(answer.flops / answer.latency_s)

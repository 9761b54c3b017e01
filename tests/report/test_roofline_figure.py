"""Answers under a device's roofs: where the points lie, and what cannot be drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memorywall as mw
from memorywall.report.roofline_figure import draw_answers

DEVICE = "h100-sxm"


def decode(model: str = "llama-3.1-8b", **words: Any) -> mw.Analysis:
    return mw.analyze(model, on=words.pop("on", DEVICE), phase="decode", **words)


def marks(figure: Any) -> list[tuple[float, float, bool]]:
    """Return every point that is drawn: across, up, and whether it is hollow."""
    found = []
    for line in figure.axes[0].get_lines():
        if line.get_marker() not in ("None", None) and len(line.get_xdata()):
            hollow = line.get_markerfacecolor() == "white"
            found.append((float(line.get_xdata()[0]), float(line.get_ydata()[0]), hollow))
    return found


def test_points_lie_where_the_answers_say() -> None:
    fits = decode(batch_size=8, ceilings="spec")
    large = decode("llama-3.1-70b", batch_size=64, seq_len=4096, ceilings="spec")
    (x, y, hollow), (_, _, hollow_large) = marks(draw_answers([fits, large]))
    assert x == pytest.approx(fits.flops / fits.moved_bytes)
    # On the memory roof: 3.35 TB/s times FLOP per byte, to the share of time spent on arithmetic.
    assert y == pytest.approx(3.35e12 * x, rel=0.01)
    assert (hollow, hollow_large) == (False, True)  # 227 GB do not fit in 80 GB


def test_roofs_meet_at_the_ridge_point() -> None:
    # 989.4 TFLOP/s over 3.35 TB/s: 295 FLOP per byte.
    axes: Any = draw_answers([decode()]).axes[0]
    roof = next(line for line in axes.get_lines() if len(line.get_xdata()) == 3)
    _, ridge, _ = roof.get_xdata()
    assert ridge == pytest.approx(989.4e12 / 3.35e12)
    assert list(roof.get_ydata()) == pytest.approx([3.35e12 * axes.get_xlim()[0], *[989.4e12] * 2])


def test_words_of_the_picture() -> None:
    prefill = mw.analyze("llama-3.1-8b", on=DEVICE, phase="prefill", seq_len=2048)
    axes: Any = draw_answers([prefill, decode(batch_size=64, seq_len=2048)]).axes[0]
    said = {text.get_text() for text in axes.texts}
    assert {
        "prefill of 2,048, batch 1", "decode at 2,048, batch 64", "memory roof, 3.35 TB/s",
        "compute roof, 989 TFLOP/s in bf16", "295 FLOP per byte",
    } == said  # fmt: skip
    assert axes.get_legend().get_title().get_text() == ""  # nothing hollow to explain


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (list, "requires answers of one device and arithmetic, got 0"),
        (lambda: [decode(), decode(on="a100-sxm-80gb")], "got 2"),
        (lambda: [decode(batch_size=np.array([1, 2]))], "got a grid"),
    ],
)
def test_what_cannot_be_drawn(answers: Any, said: str) -> None:
    with pytest.raises(mw.MemoryWallError, match=said):
        draw_answers(answers())

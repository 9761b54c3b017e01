"""When a trend passes a level, and in which year decode becomes so memory-bound."""

from __future__ import annotations

import math

import numpy as np
import pytest

import memorywall as mw
from memorywall.core.errors import InvalidInputError
from memorywall.trends.crossing import crossing
from memorywall.trends.fit import Line
from tests.trends.known import series

RNG = np.random.default_rng(9)
YEARS = np.arange(0, 20, 0.5)
LINE = Line(series(YEARS, 10 ** (0.1 * YEARS + RNG.normal(0, 0.1, len(YEARS)))))


def test_a_level_is_passed_where_the_line_says() -> None:
    # 0.1 a year from 1: 10^2.5 is passed in 2025.
    found = crossing(LINE, 10**2.5)
    assert found.year == pytest.approx(2025, abs=1)
    assert LINE.predict([found.year], 0.8)[0].middle == pytest.approx(10**2.5)


def test_the_interval_ends_where_the_lines_own_holds_the_level() -> None:
    found = crossing(LINE, 10**2.5, 0.8)
    assert found.low < found.year < found.high
    early, late = LINE.predict([found.low, found.high], 0.8, new=False)
    assert early.high == pytest.approx(10**2.5)
    assert late.low == pytest.approx(10**2.5)


def test_a_slope_that_may_be_zero_has_no_end() -> None:
    flat = Line(series(range(8), [1.0, 2, 1, 2, 1, 2, 1, 2.1]))
    found = crossing(flat, 1e6)
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_decode_becomes_memory_bound_when_the_ridge_point_has_grown() -> None:
    answer = mw.memory_bound_year("llama-3.1-8b", batch_size=8, times=100)
    step = mw.analyze("llama-3.1-8b", on="h100-sxm", batch_size=8)
    # On any device memory_s / compute_s = ridge point / intensity; the H100's is 295.3 in bf16.
    ratio = float(step.cost.memory_s / step.cost.compute_s)
    assert ratio == pytest.approx(295.3 / answer.arithmetic_intensity, rel=1e-3)
    assert answer.crossing.level == pytest.approx(100 * answer.arithmetic_intensity)
    assert answer.dtype == "fp16"
    assert answer.latest_year == pytest.approx(2026.2, abs=0.1)
    # More of it comes later, and more sequences at once later still.
    for later in (
        mw.memory_bound_year("llama-3.1-8b", batch_size=8, times=200),
        mw.memory_bound_year("llama-3.1-8b", batch_size=16, times=100),
    ):
        assert later.crossing.year > answer.crossing.year


def test_what_it_is_asked() -> None:
    for times in (0, -1, "many", [1, 2]):
        with pytest.raises(InvalidInputError, match="times"):
            mw.memory_bound_year("gpt2", times=times)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="batch_size"):
        mw.memory_bound_year("gpt2", times=2, batch_size=[1, 2])  # type: ignore[arg-type]

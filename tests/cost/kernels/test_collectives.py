"""Collectives: the faster of two protocols."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import memorywall as mw
from memorywall.cost.kernels import find_kernel
from memorywall.cost.kernels.bounds import bound_of

H100 = mw.hardware("h100-sxm")  # 450 GB/s one way
CONSTANTS = {
    "quick_s": 5e-6, "quick_rank_s": 1e-6, "quick_share": 0.25, "bulk_s": 2e-5,
    "bulk_rank_s": 5e-7, "bulk_share": 0.8,
}  # fmt: skip
NAMES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")


@pytest.mark.parametrize("name", NAMES)
def test_small_payloads_take_the_quick_protocol_and_large_ones_the_other(name: str) -> None:
    formula = find_kernel(name).prepare({"ranks": 8}, H100, "", CONSTANTS)
    sent = (2 if name == "all_reduce" else 1) * 7 / 8
    # 8 KiB: 5 us + 7 x 1 us and the bytes at 112.5 GB/s.
    small = 5e-6 + 7e-6 + sent * 8192 / (0.25 * 450e9)
    # 1 GiB: 20 us + 7 x 0.5 us and the bytes at 360 GB/s.
    large = 2e-5 + 3.5e-6 + sent * 2**30 / (0.8 * 450e9)
    assert formula(np.array([8192, 2**30])) == pytest.approx([small, large])


@pytest.mark.parametrize("name", NAMES)
def test_one_rank_sends_nothing(name: str) -> None:
    kernel = find_kernel(name)
    assert kernel.prepare({"ranks": 1}, H100, "", CONSTANTS)(2**20) == 0
    assert bound_of(kernel, {"bytes": 2**20, "ranks": 1}, H100, "") == 0


@given(st.sampled_from(NAMES), st.integers(0, 40), st.integers(2, 64))
def test_no_collective_beats_its_link(name: str, size: int, ranks: int) -> None:
    kernel = find_kernel(name)
    found = kernel.prepare({"ranks": ranks}, H100, "", CONSTANTS)(2.0**size)
    assert found >= bound_of(kernel, {"bytes": 2.0**size, "ranks": ranks}, H100, "")

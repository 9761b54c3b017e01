"""Experts: hand arithmetic, routing, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import memorywall as mw
from memorywall.core.errors import InvalidInputError
from memorywall.cost.kernels.moe import KERNEL

H100 = mw.hardware("h100-sxm")
CONSTANTS = {
    "peak_share": 0.5, "bandwidth_share": 0.8, "tile_s": 1e-6, "overlap": 1.0, "launch_s": 2e-5,
    "permute_share": 0.5,
}  # fmt: skip
EIGHT: dict[str, Any] = {
    "hidden_size": 4096, "intermediate_size": 14_336, "experts": 8, "experts_per_token": 2,
}  # fmt: skip


def seconds(tokens: object, **shape: Any) -> Any:
    return KERNEL.prepare({**EIGHT, **shape}, H100, "bf16", CONSTANTS)(tokens)


def test_balanced_experts_by_hand() -> None:
    # 64 tokens x 2 of 8 experts: 16 rows each, one tile of 16 rows for each expert. The first
    # product has 8 x 2 x 14336 / 128 = 1,792 tiles of k = 4096, 13.6 waves of 132; the second
    # 8 x 4096 / 128 = 256 tiles of k = 14336, 1.94 waves.
    rate = 0.5 * 989e12 / 132
    first = 1792 / 132 * (2 * 16 * 128 * 4096 / rate + 1e-6)
    second = 256 / 132 * (2 * 16 * 128 * 14_336 / rate + 1e-6)
    # 8 experts of 3 x 4096 x 14336 weights, and rows of 2 x 4096 + 3 x 14336 elements.
    traffic = (8 * 3 * 4096 * 14_336 + 128 * (2 * 4096 + 3 * 14_336)) * 2 / (0.8 * 3350e9)
    permuted = 4 * 64 * 2 * 4096 / (0.5 * 3350e9)
    expected = 2e-5 + first + second + traffic + permuted
    # The peak of the data sheet is 989.4 TFLOP/s.
    assert seconds(64.0) == pytest.approx(expected, rel=1e-3)


def test_few_tokens_touch_few_experts() -> None:
    # One token reads 2 of 8 experts.
    flops, moved = KERNEL.work({**EIGHT, "tokens": 1}, H100, "bf16")
    assert moved == pytest.approx(2 * 3 * 4096 * 14_336 * 2 + 2 * 2 * 4096, rel=1e-6)
    assert flops == pytest.approx(2 * 2 * 3 * 4096 * 14_336, rel=1e-6)


def test_skewed_routing_takes_longer_on_the_fullest_rank() -> None:
    shape: dict[str, Any] = {
        "hidden_size": 4096, "intermediate_size": 2048, "experts": 128, "experts_per_token": 8,
        "expert": 16,
    }  # fmt: skip
    even, skewed = seconds(8192.0, **shape), seconds(8192.0, **shape, routing="power_law_1.2")
    assert skewed > 1.1 * even


def test_experts_without_a_gate_are_two_matrices() -> None:
    gated, plain = seconds(16.0, gated="yes"), seconds(16.0, gated="no")
    assert plain < 0.75 * gated


def test_layers_of_an_array_are_priced_apart() -> None:
    words = np.array(["balanced", "power_law_1.2", "balanced"], dtype=object)
    chosen = np.array([2.0, 4.0, 8.0])
    found = seconds(np.array([64.0, 64.0, 1.0]), experts_per_token=chosen, routing=words)
    for each, tokens, count, word in zip(found, (64.0, 64.0, 1.0), chosen, words, strict=True):
        alone = seconds(tokens, experts_per_token=count, routing=word)
        assert each == pytest.approx(alone, rel=1e-12)


@given(st.integers(0, 16), st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4]))
def test_more_tokens_take_no_less(tokens: int, expert: int, tensor: int) -> None:
    few, many = (seconds(2.0**n, expert=expert, tensor=tensor) for n in (tokens, tokens + 1))
    assert many >= few * (1 - 1e-9)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"experts": 64.5}, "experts must be a whole number"),
        ({"experts": 2**30}, "experts must be a whole number up to 65,536"),
        ({"experts_per_token": 9}, "must be at most experts"),
        ({"expert": 16}, "must be at most experts"),
    ],
)
def test_layers_that_cannot_be(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        seconds(1.0, **wrong)

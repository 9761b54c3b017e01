"""Calibrated predictions of experts and of latent attention, by hand."""

from __future__ import annotations

from typing import Any

import pytest

import memorywall as mw
from memorywall.core.calibration import Calibration, Curve
from memorywall.core.formats import FORMATS
from memorywall.core.forward import Forward
from memorywall.cost.calibrated import estimate
from tests.toys import TOY

BF16 = FORMATS["bf16"]
# A unit takes a second, and of a product as many as it has rows, up to four; what was not measured
# has its stand-in.
CURVES = {
    (name, "bf16"): Curve(name, "bf16", (1.0,), (1.0,))
    for name in (
        "copy", "add", "layernorm", "rmsnorm", "silu gated", "gelu", "rotary", "tanh",
        "attention decode", "attention decode grouped",
    )
} | {("linear", "bf16"): Curve("linear", "bf16", (1.0, 4.0), (1.0, 4.0))}  # fmt: skip


def by_class(config: dict[str, Any], forward: Forward) -> Any:
    return estimate(mw.model(config).lower(forward), Calibration(CURVES)).by_class


def test_products_of_experts_follow_the_rows_of_one() -> None:
    config = {
        **TOY, "model_type": "mixtral", "num_local_experts": 2, "num_experts_per_tok": 1,
    }  # fmt: skip
    # Three tokens touch 1.75 experts of two: 12/7 rows each. Three rows in all other products.
    experts = 2 * 3 * (4 * 12 + 6 * 4)
    others = 2 * 3 * (2 * 4 * 4 + 2 * 4 * 2 + 4 * 2)  # q and o, k and v, the router
    head = 2 * 3 * 4 * 10
    seconds = by_class(config, Forward(3, 1, 0, BF16, BF16, BF16, logits="all"))
    by_hand = 2 * (others * 3 + experts * 12 / 7) + head * 3
    assert seconds["gemm"] == pytest.approx(by_hand)
    # A token has one score kept, activations of 6, a row of 4 that is combined, two sums of 4, and
    # rotations of 4 and 2.
    assert seconds["elementwise"] == 2 * 3 * (1 + 6 + 4 + 2 * 4 + 4 + 2)


@pytest.mark.parametrize("form", ["absorbed", "reexpanded"])
def test_latents_are_joined_once_and_as_narrow_as_they_are(form: str) -> None:
    config = {
        "model_type": "deepseek_v3", "vocab_size": 9, "hidden_size": 8, "intermediate_size": 5,
        "num_hidden_layers": 2, "num_attention_heads": 4, "kv_lora_rank": 6, "q_lora_rank": None,
        "qk_nope_head_dim": 4, "qk_rope_head_dim": 2, "v_head_dim": 3, "first_k_dense_replace": 2,
    }  # fmt: skip
    seconds = by_class(config, Forward(2, 1, 7, BF16, BF16, BF16, mla=form))
    # Two layers, 2 x 8 positions, latents of 6 with rotated keys of 2.
    assert seconds["cache"] == 2 * 16 * 8

"""Gemma 4: decoders against transformers' classes, caches and images by hand."""

from __future__ import annotations

from typing import Any

import pytest

import memorywall as mw
from memorywall.core.errors import InvalidInputError
from tests import oracle
from tests.asking import analyze_alike
from tests.counting import products

_SLIDING = ["sliding_attention"] * 2 + ["full_attention"]
_SMALL: dict[str, Any] = {
    "model_type": "gemma4_text", "hidden_size": 32, "intermediate_size": 48,
    "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
    "global_head_dim": 16, "vocab_size": 100, "vocab_size_per_layer_input": 90,
    "sliding_window": 5, "hidden_size_per_layer_input": 4, "layer_types": _SLIDING * 2,
    "dtype": "bfloat16",
}  # fmt: skip
_MOE = {
    "enable_moe_block": True, "num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 12,
    "hidden_size_per_layer_input": 0, "attention_k_eq_v": True, "num_global_key_value_heads": 1,
}  # fmt: skip
_DECODERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "experts": _MOE,
    "shared keys": {"num_kv_shared_layers": 3, "use_double_wide_mlp": True},
    "shared keys, experts": {**_MOE, "hidden_size_per_layer_input": 4, "num_kv_shared_layers": 3},
    "biases, untied, capped": {
        "attention_bias": True, "tie_word_embeddings": False, "final_logit_softcapping": 30.0,
    },
    "listed by layer": {
        "per_layer_config": {
            layer: {"head_dim": 12, "num_key_value_heads": 1} for layer in ("02", "05")
        },
    },
    "unified": {"model_type": "gemma4_unified_text"},
    "bare": {"architectures": ["Gemma4TextModel"]},
}  # fmt: skip


@pytest.mark.parametrize("case", _DECODERS)
def test_decoders_against_transformers(case: str) -> None:
    config = {**_SMALL, **_DECODERS[case]}
    name = mw.model(config).architecture.class_name
    words: dict[str, Any] = {"on": "h100-sxm", "logits": "all", "causal": "full", "batch_size": 2}
    answer = analyze_alike(config, phase="prefill", seq_len=9, **words)
    assert answer.parameters == oracle.parameters(config, name)
    assert products(answer) == oracle.prefill_flops(config, name, 2, 9)
    step = analyze_alike(config, phase="decode", seq_len=9, **words)
    assert products(step) == oracle.decode_flops(config, name, 2, 9)


# A position of a window's layer keeps 8 heads of 256, of a full one 2 of 512, keys and values of
# two bytes: 25 x 8192 = 204,800 and 5 x 4096 = 20,480 bytes. Gemma 4 E2B: 1 head; 12 of the first
# 15 layers have windows of 512, 3 are full, and 20 layers read theirs: 12 x 1024 and 3 x 2048.
@pytest.mark.parametrize("phase", ["prefill", "decode"])
@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("gemma-4-26b-a4b-it", 8192 * 20_480 + 1024 * 204_800),
        ("gemma-4-e2b-it", 8192 * 3 * 2048 + 512 * 12 * 1024),
    ],
)
def test_caches_by_hand(name: str, kept: int, phase: str) -> None:
    answer = mw.analyze(name, on="h100-sxm", phase=phase, seq_len=8192)
    assert answer.footprint.kv_cache == kept


def test_an_image_takes_what_its_budget_allows() -> None:
    """Tokens are 48 x 48 pixels, 280 at most: of 1024 x 768, 19 rows (19.32) of 14 (14.49)."""
    images = mw.model("gemma-4-26b-a4b-it").traits.images
    assert images is not None
    assert images.resized(1024, 768) == (19 * 48, 14 * 48)
    assert images.tokens(1024, 768) == 19 * 14
    assert images.resized(20, 9000) == (48, 280 * 48)
    assert images.tokens(768, 768) == 16 * 16


def test_the_projector_takes_the_tokens_of_the_decoder() -> None:
    """100 x 200: the budget's 280 tokens are 11.83 by 23.66, so 11 x 23 = 253, not more.

    Resized again, their 528 x 1104 pixels would be 11.57 by 24.20: 264 tokens.
    """
    answer = mw.analyze("gemma-4-26b-a4b-it", on="h100-sxm", phase="encode", image_size=(100, 200))
    (product,) = [op for op in answer.ops if op.name == "projector.projection"]
    assert product.flops == 2 * 253 * 1152 * 2816


def test_an_image_looks_ahead_in_windows_alone() -> None:
    """256 tokens of an image have 256 x 255 / 2 pairs more, in 25 layers of 16 heads."""
    words: dict[str, Any] = {"on": "h100-sxm", "phase": "prefill", "seq_len": 300}
    with_image, without = (mw.analyze("gemma-4-26b-a4b-it", images=n, **words) for n in (1, 0))

    def scores(answer: mw.Analysis, layers: str) -> float:
        return sum(float(op.flops) for op in answer.ops if op.name == f"{layers}.attention.scores")

    more = 25 * 16 * (256 * 255 // 2) * 2 * 256
    assert scores(with_image, "sliding_layers") - scores(without, "sliding_layers") == more
    assert scores(with_image, "layers") == scores(without, "layers")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"num_kv_shared_layers": 5}, "num_kv_shared_layers"),
        ({"per_layer_config": {"two": {}}}, "per_layer_config"),
        ({"enable_moe_block": True}, "num_experts"),
        ({"num_key_value_heads": 3}, "num_attention_heads"),
        ({"use_bidirectional_attention": "all"}, "use_bidirectional_attention"),
    ],
)
def test_impossible_values_are_named(change: dict[str, Any], key: str) -> None:
    with pytest.raises((InvalidInputError, mw.MemoryWallError), match=key):
        mw.model({**_SMALL, **change})

"""Random small decoders with experts against transformers' classes, to the last digit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memorywall as mw
from tests import oracle
from tests.toys import products

ACTIVATIONS = ["silu", "gelu", "relu"]


def base(draw: st.DrawFn, model_type: str) -> dict[str, Any]:
    """Draw what all of them have."""
    kv_heads = draw(st.integers(1, 3))
    heads, head_dim = kv_heads * draw(st.integers(1, 3)), 2 * draw(st.integers(1, 5))
    return {
        "model_type": model_type,
        "vocab_size": draw(st.integers(3, 50)),
        "hidden_size": heads * head_dim,
        "intermediate_size": draw(st.integers(1, 30)),
        "num_hidden_layers": draw(st.integers(1, 4)),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "max_position_embeddings": 64,
        "tie_word_embeddings": draw(st.booleans()),
        "hidden_act": draw(st.sampled_from(ACTIVATIONS)),
        "pad_token_id": 0,
        "attention_bias": draw(st.booleans()),
        "num_experts_per_tok": draw(st.integers(1, 3)),
    }


# What each draws beside: (class prefix, keys).
CASES: dict[str, tuple[str, dict[str, st.SearchStrategy[Any]]]] = {
    "mixtral": (
        "Mixtral",
        {"num_local_experts": st.integers(3, 8), "sliding_window": st.sampled_from([None, 4])},
    ),
    "qwen2_moe": (
        "Qwen2Moe",
        {
            "num_experts": st.integers(3, 8),
            "moe_intermediate_size": st.integers(1, 20),
            "shared_expert_intermediate_size": st.integers(1, 20),
            "decoder_sparse_step": st.integers(1, 2),
            "mlp_only_layers": st.sampled_from([None, [], [0]]),
            "qkv_bias": st.booleans(),
            "use_sliding_window": st.booleans(),
            "sliding_window": st.integers(3, 6),
            "max_window_layers": st.integers(0, 3),
        },
    ),
    "qwen3_moe": (
        "Qwen3Moe",
        {
            "num_experts": st.integers(3, 8),
            "moe_intermediate_size": st.integers(1, 20),
            "decoder_sparse_step": st.integers(1, 2),
            "mlp_only_layers": st.sampled_from([None, [], [0]]),
            "use_sliding_window": st.booleans(),
            "sliding_window": st.integers(3, 6),
        },
    ),
    "olmoe": (
        "Olmoe",
        {"num_experts": st.integers(3, 8), "clip_qkv": st.sampled_from([None, 8.0])},
    ),
    "flex_olmo": ("FlexOlmo", {"num_experts": st.integers(3, 8)}),
    "minimax_m2": (
        "MiniMaxM2",
        {"num_local_experts": st.integers(3, 8), "rotary_dim": st.sampled_from([2])},
    ),
    "glm4_moe": (
        "Glm4Moe",
        {
            "n_routed_experts": st.integers(3, 8),
            "n_shared_experts": st.integers(1, 2),
            "moe_intermediate_size": st.integers(1, 20),
            "first_k_dense_replace": st.integers(0, 3),
            "use_qk_norm": st.booleans(),
            "partial_rotary_factor": st.sampled_from([0.5, 1.0]),
        },
    ),
    "dots1": (
        "Dots1",
        {
            "n_routed_experts": st.integers(3, 8),
            "n_shared_experts": st.integers(1, 2),
            "moe_intermediate_size": st.integers(1, 20),
            "first_k_dense_replace": st.integers(0, 3),
            "sliding_window": st.sampled_from([None, 4]),
            "max_window_layers": st.integers(0, 3),
        },
    ),
    "phimoe": (
        "Phimoe",
        {
            "num_local_experts": st.integers(3, 8),
            "num_experts_per_tok": st.just(2),
            "sliding_window": st.sampled_from([None, 4]),
            "lm_head_bias": st.booleans(),
        },
    ),
    "granitemoe": (
        "GraniteMoe",
        {"num_local_experts": st.integers(3, 8), "residual_multiplier": st.sampled_from([1, 0.2])},
    ),
    "ernie4_5_moe": (
        "Ernie4_5_Moe",
        {
            "moe_num_experts": st.integers(3, 8),
            "moe_k": st.integers(1, 3),
            "moe_num_shared_experts": st.integers(0, 2),
            "moe_intermediate_size": st.integers(1, 20),
            "moe_layer_start_index": st.integers(0, 2),
            "moe_layer_end_index": st.sampled_from([-1, 2]),
            "moe_layer_interval": st.integers(1, 2),
            "use_bias": st.booleans(),
        },
    ),
    "hunyuan_v1_moe": (
        "HunYuanMoEV1",
        {"num_experts": st.integers(3, 8), "moe_topk": st.integers(1, 3)},
    ),
    "gpt_oss": (
        "GptOss",
        {"num_local_experts": st.integers(3, 8), "sliding_window": st.integers(3, 6)},
    ),
}


def drawn(draw: st.DrawFn, model_type: str) -> dict[str, Any]:
    prefix, keys = CASES[model_type]
    config = base(draw, model_type)
    if "moe_k" in keys or "moe_topk" in keys:
        del config["num_experts_per_tok"]  # for transformers another name of the same
    config |= {key: draw(values) for key, values in keys.items()}
    config["architectures"] = [f"{prefix}{draw(st.sampled_from(['Model', 'ForCausalLM']))}"]
    return config


@pytest.mark.parametrize("model_type", CASES)
@settings(max_examples=12, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(1, 9))
def test_random_configs(model_type: str, data: Any, batch: int, tokens: int) -> None:
    config = data.draw(st.composite(drawn)(model_type))
    agrees(config, batch, tokens)


def agrees(config: dict[str, Any], batch: int, tokens: int, **words: Any) -> None:
    """Compare parameters, prefill, decode and cache of a config with transformers' class."""
    class_name = config["architectures"][0]
    words = {"on": "h100-sxm", "batch_size": batch, "causal": "full", "logits": "all", **words}
    prefill = mw.analyze(config, phase="prefill", seq_len=tokens, **words)
    assert prefill.parameters == oracle.parameters(config, class_name)
    assert products(prefill) == oracle.prefill_flops(config, class_name, batch, tokens)
    decode = mw.analyze(config, phase="decode", seq_len=tokens, **words)
    assert products(decode) == oracle.decode_flops(config, class_name, batch, tokens)

"""Random small decoders with experts against transformers' classes, to the last digit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memorywall as mw
from tests import oracle
from tests.asking import analyze_alike
from tests.counting import products

pytestmark = pytest.mark.sampled(every=4)  # the other models are in the slow tier

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


# Further draws of each: (class prefix, keys).
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
    prefill = analyze_alike(config, phase="prefill", seq_len=tokens, **words)
    assert prefill.parameters == oracle.parameters(config, class_name)
    assert products(prefill) == oracle.prefill_flops(config, class_name, batch, tokens)
    decode = analyze_alike(config, phase="decode", seq_len=tokens, **words)
    assert products(decode) == oracle.decode_flops(config, class_name, batch, tokens)


SMALL_V3: dict[str, Any] = {
    "model_type": "deepseek_v3",
    "architectures": ["DeepseekV3ForCausalLM"],
    "vocab_size": 9,
    "hidden_size": 8,
    "intermediate_size": 5,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "q_lora_rank": 3,
    "kv_lora_rank": 6,
    "qk_nope_head_dim": 4,
    "qk_rope_head_dim": 4,
    "v_head_dim": 3,
    "n_routed_experts": 4,
    "n_group": 1,
    "topk_group": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 5,
    "first_k_dense_replace": 1,
    "max_position_embeddings": 64,
}
LATENT = {
    "num_hidden_layers": st.integers(1, 4),
    "q_lora_rank": st.sampled_from([None, 5]),
    "kv_lora_rank": st.sampled_from([2, 4, 6]),  # V2 rotates pairs, which must lie evenly
    "qk_nope_head_dim": st.sampled_from([2, 4, 6]),
    "qk_rope_head_dim": st.sampled_from([2, 4]),
    "v_head_dim": st.integers(1, 9),
    "n_shared_experts": st.integers(1, 2),
    "n_routed_experts": st.sampled_from([4, 8]),
    "num_experts_per_tok": st.integers(1, 4),
    "moe_intermediate_size": st.integers(1, 20),
    "first_k_dense_replace": st.integers(0, 3),
}


PREFIXES = {
    "deepseek_v2": "DeepseekV2", "deepseek_v3": "DeepseekV3", "kimi_k2": "DeepseekV3",
    "axk1": "AXK1", "glm4_moe_lite": "Glm4MoeLite", "mistral4": "Mistral4", "youtu": "Youtu",
}  # fmt: skip


def latent_config(draw: st.DrawFn, model_type: str) -> dict[str, Any]:
    config = base(draw, model_type)
    del config["head_dim"]
    heads = config["num_key_value_heads"] = config["num_attention_heads"]
    config["hidden_size"] = heads * draw(st.integers(1, 6))
    config |= {key: draw(values) for key, values in LATENT.items()}
    prefix = PREFIXES[model_type]
    if model_type == "deepseek_v2":
        config["mlp_bias"] = draw(st.booleans())
    else:
        config |= {"n_group": 2, "topk_group": 2}
    if model_type == "axk1":  # its queries always go through latents
        config["q_lora_rank"] = 5
    if model_type == "glm4_moe_lite":  # it lists its layers, or one is dense
        del config["first_k_dense_replace"]
    config["architectures"] = [f"{prefix}{draw(st.sampled_from(['Model', 'ForCausalLM']))}"]
    return config


@pytest.mark.parametrize("model_type", PREFIXES)
@settings(max_examples=12, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(1, 9))
def test_latent_attention(model_type: str, data: Any, batch: int, tokens: int) -> None:
    # transformers caches latents, and projects all of them again in every pass.
    config = data.draw(st.composite(latent_config)(model_type))
    agrees(config, batch, tokens, mla="reexpanded")


def llama4_config(draw: st.DrawFn) -> dict[str, Any]:
    config = base(draw, "llama4_text")
    config |= {
        "intermediate_size_mlp": draw(st.integers(1, 20)),
        "num_local_experts": draw(st.integers(1, 4)),
        "num_experts_per_tok": 1,
        "interleave_moe_layer_step": draw(st.integers(1, 2)),
        "attention_chunk_size": draw(st.integers(2, 5)),
        "no_rope_layer_interval": draw(st.integers(1, 3)),
        "use_qk_norm": draw(st.booleans()),
        "architectures": [draw(st.sampled_from(["Llama4TextModel", "Llama4ForCausalLM"]))],
    }
    return config


@settings(max_examples=20, deadline=None)
@given(st.composite(llama4_config)(), st.integers(1, 3), st.integers(1, 9))
def test_llama4(config: dict[str, Any], batch: int, tokens: int) -> None:
    agrees(config, batch, tokens)


def dbrx_config(draw: st.DrawFn) -> dict[str, Any]:
    kv_heads = draw(st.integers(1, 2))
    heads = kv_heads * draw(st.integers(1, 2))
    return {
        "model_type": "dbrx",
        "architectures": [draw(st.sampled_from(["DbrxModel", "DbrxForCausalLM"]))],
        "vocab_size": draw(st.integers(3, 20)),
        "d_model": heads * 2 * draw(st.integers(1, 4)),
        "n_heads": heads,
        "n_layers": draw(st.integers(1, 3)),
        "max_seq_len": 64,
        "attn_config": {
            "kv_n_heads": kv_heads,
            "clip_qkv": 8,
            "rope_theta": 500_000,
        },
        "ffn_config": {
            "ffn_hidden_size": draw(st.integers(1, 20)),
            "moe_num_experts": draw(st.integers(2, 5)),
            "moe_top_k": draw(st.integers(1, 2)),
        },
    }


@settings(max_examples=8, deadline=None)
@given(st.composite(dbrx_config)(), st.integers(1, 3), st.integers(1, 9))
def test_dbrx(config: dict[str, Any], batch: int, tokens: int) -> None:
    agrees(config, batch, tokens)


NEEDED = {
    "dots1": {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    "hunyuan_v1_moe": {"head_dim": 2},
    "deepseek_v2": {"num_experts_per_tok": 2},
}


LATENT_TYPES = [model_type for model_type in PREFIXES if model_type != "kimi_k2"]


@pytest.mark.parametrize("model_type", [*CASES, *LATENT_TYPES, "llama4_text"])
def test_defaults_are_those_of_transformers(model_type: str) -> None:
    # 96 heads, so that every default number of key-value heads divides it.
    prefix = {"llama4_text": "Llama4", **PREFIXES}
    class_name = (prefix.get(model_type) or CASES[model_type][0]) + "ForCausalLM"
    heads = 32 if model_type in ("qwen2_moe", "dots1") else 96
    config = {
        "model_type": model_type, "architectures": [class_name], "vocab_size": 7,
        "hidden_size": 2 * heads, "intermediate_size": 3, "num_hidden_layers": 5,
        "num_attention_heads": heads, "pad_token_id": 0, **NEEDED.get(model_type, {}),
    }  # fmt: skip
    if model_type in PREFIXES:
        config["num_key_value_heads"] = heads
    if model_type == "ernie4_5_moe":
        config["num_key_value_heads"] = 4
    ours, theirs = mw.model(config), oracle.build(config, class_name)
    assert ours.parameters == sum(p.numel() for p in theirs.parameters())
    assert ours.architecture.max_positions == theirs.config.max_position_embeddings

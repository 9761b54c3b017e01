"""Random small configs of models of linear and recurrent attention."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

DELTA: dict[str, st.SearchStrategy[Any]] = {
    "linear_num_key_heads": st.integers(1, 2),
    "linear_key_head_dim": st.integers(1, 6),
    "linear_value_head_dim": st.integers(1, 6),
    "linear_conv_kernel_dim": st.integers(1, 4),
}
EXPERTS: dict[str, st.SearchStrategy[Any]] = {
    "num_experts": st.integers(3, 8),
    "num_experts_per_tok": st.integers(1, 3),
    "moe_intermediate_size": st.integers(1, 20),
}
SHARED = {"shared_expert_intermediate_size": st.integers(1, 20)}
INTERVAL = {"full_attention_interval": st.integers(1, 4)}

# Further draws of each: (class of the causal LM, bare class, keys).
CASES: dict[str, tuple[str, str, dict[str, st.SearchStrategy[Any]]]] = {
    "qwen3_next": (
        "Qwen3NextForCausalLM",
        "Qwen3NextModel",
        {
            **DELTA, **EXPERTS, **SHARED, **INTERVAL, "attention_bias": st.booleans(),
            "decoder_sparse_step": st.integers(1, 2), "mlp_only_layers": st.sampled_from([[], [0]]),
        },
    ),
    "qwen3_5_text": (
        "Qwen3_5ForCausalLM",
        "Qwen3_5TextModel",
        {**DELTA, **INTERVAL, "attention_bias": st.booleans()},
    ),
    "qwen3_5_moe_text": (
        "Qwen3_5MoeForCausalLM",
        "Qwen3_5MoeTextModel",
        {**DELTA, **EXPERTS, **SHARED, **INTERVAL},
    ),
    "olmo_hybrid": ("OlmoHybridForCausalLM", "OlmoHybridModel", DELTA),
    "lfm2": (
        "Lfm2ForCausalLM",
        "Lfm2Model",
        {
            "conv_L_cache": st.integers(1, 4), "conv_bias": st.booleans(),
            "block_auto_adjust_ff_dim": st.booleans(), "block_multiple_of": st.integers(1, 8),
            "block_ffn_dim_multiplier": st.sampled_from([None, 1.0, 1.3]),
            "full_attn_idxs": st.sampled_from([None, [0], [1, 2]]),
        },
    ),
    "lfm2_moe": (
        "Lfm2MoeForCausalLM",
        "Lfm2MoeModel",
        {
            **EXPERTS, "conv_L_cache": st.integers(1, 4), "conv_bias": st.booleans(),
            "num_dense_layers": st.integers(0, 3),
            "layer_types": st.sampled_from([["conv"] * 2 + ["full_attention"] + ["conv"]]),
        },
    ),
    "minimax": (
        "MiniMaxForCausalLM",
        "MiniMaxModel",
        {
            "num_local_experts": st.integers(3, 8), "num_experts_per_tok": st.integers(1, 3),
            "block_size": st.integers(1, 5), "mlp_alpha_factor": st.sampled_from([1, 2.5]),
        },
    ),
    "kimi_linear": (
        "KimiLinearForCausalLM",
        "KimiLinearModel",
        {
            "num_experts": st.integers(3, 8), "num_experts_per_token": st.integers(1, 3),
            "moe_intermediate_size": st.integers(1, 20), "num_shared_experts": st.integers(1, 2),
            "q_lora_rank": st.sampled_from([None, 5]), "kv_lora_rank": st.integers(1, 6),
            "qk_nope_head_dim": st.integers(1, 6), "qk_rope_head_dim": st.integers(1, 4),
            "v_head_dim": st.integers(1, 6), "first_k_dense_replace": st.integers(0, 3),
            "linear_attn_config": st.fixed_dictionaries(
                {
                    "head_dim": st.integers(1, 6), "num_heads": st.integers(1, 3),
                    "short_conv_kernel_size": st.integers(1, 4),
                    "full_attn_layers": st.just([3]), "kda_layers": st.just([1, 2, 4]),
                }
            ),
        },
    ),
    "recurrent_gemma": (
        "RecurrentGemmaForCausalLM",
        "RecurrentGemmaModel",
        {
            "conv1d_width": st.integers(2, 4), "head_dim": st.sampled_from([None, 6]),
            "attention_bias": st.booleans(),
            "attention_window_size": st.integers(3, 8), "lru_width": st.sampled_from([12, None]),
            "block_types": st.sampled_from([None, ["recurrent", "attention"]]),
        },
    ),
    "rwkv": ("RwkvForCausalLM", "RwkvModel", {"rescale_every": st.integers(0, 3)}),
}  # fmt: skip


def drawn(draw: st.DrawFn, model_type: str) -> dict[str, Any]:
    generating, bare, keys = CASES[model_type]
    heads = 4 if model_type == "recurrent_gemma" else 2 * draw(st.integers(1, 2))
    head_dim = 4 * draw(st.integers(1, 2))
    config: dict[str, Any] = {
        "model_type": model_type,
        "architectures": [draw(st.sampled_from([generating, bare]))],
        "vocab_size": draw(st.integers(3, 30)),
        "hidden_size": heads * head_dim,
        "intermediate_size": draw(st.integers(2, 30)),
        "num_hidden_layers": 4,
        "tie_word_embeddings": draw(st.booleans()),
        "pad_token_id": 0,
    }
    if model_type != "rwkv":
        config["num_attention_heads"] = heads
        config["num_key_value_heads"] = draw(st.sampled_from([1, 2]))
    if model_type == "kimi_linear":
        config |= {"num_key_value_heads": heads, "tie_word_embeddings": False}
    if model_type.startswith(("qwen", "minimax")):
        config["head_dim"] = head_dim * draw(st.integers(1, 2))
    config |= {key: draw(values) for key, values in keys.items()}
    if "linear_num_key_heads" in config:
        config["linear_num_value_heads"] = config["linear_num_key_heads"] * draw(st.integers(1, 2))
    kept = (key for key, value in config.items() if value is not None or key == "q_lora_rank")
    return {key: config[key] for key in kept}

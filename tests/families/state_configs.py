"""Random small configs of models with scans."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

CLASSES = {
    "mamba": "MambaForCausalLM",
    "falcon_mamba": "FalconMambaForCausalLM",
    "mamba2": "Mamba2ForCausalLM",
    "jamba": "JambaForCausalLM",
    "bamba": "BambaForCausalLM",
    "granitemoehybrid": "GraniteMoeHybridForCausalLM",
    "falcon_h1": "FalconH1ForCausalLM",
    "nemotron_h": "NemotronHForCausalLM",
    "zamba": "ZambaForCausalLM",
    "zamba2": "Zamba2ForCausalLM",
}


# Without tied words Zamba's classes share no weights at all, and Nemotron-H's class ties none.
_TIED = {"zamba": st.just(True), "zamba2": st.just(True), "nemotron_h": st.just(False)}


@st.composite
def configs(draw: st.DrawFn, model_type: str) -> dict[str, Any]:
    """Draw a config: keys of all types, keys of hybrids, and keys of the type."""
    groups, layers = draw(st.integers(1, 2)), draw(st.integers(5, 6))
    common = {
        "model_type": model_type,
        "architectures": [CLASSES[model_type]],
        "vocab_size": draw(st.integers(3, 50)),
        "hidden_size": 8 * groups * draw(st.integers(1, 3)),
        "num_hidden_layers": layers,
        "tie_word_embeddings": draw(_TIED.get(model_type, st.booleans())),
        "pad_token_id": 0,
    }
    if model_type not in ("mamba", "falcon_mamba", "mamba2"):
        common |= {
            "intermediate_size": draw(st.integers(1, 20)),
            "num_attention_heads": 4,
            "num_key_value_heads": draw(st.sampled_from([1, 2, 4])),
        }
    return common | draw(_OWN[model_type](common, groups, layers))


def _mamba(_: dict[str, Any], __: int, ___: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "state_size": st.integers(1, 9),
            "expand": st.integers(1, 3),
            "conv_kernel": st.integers(2, 5),
            "time_step_rank": st.sampled_from(["auto", 1, 4]),
            "use_bias": st.booleans(),
            "use_conv_bias": st.booleans(),
        }
    )


def _mamba2(common: dict[str, Any], groups: int, _: int) -> st.SearchStrategy[dict[str, Any]]:
    heads = 2 * groups
    return st.fixed_dictionaries(
        {
            "num_heads": st.just(heads),
            "head_dim": st.just(2 * common["hidden_size"] // heads),
            "n_groups": st.just(groups),
            "state_size": st.integers(2, 9),
            "conv_kernel": st.integers(2, 5),
            "chunk_size": st.integers(2, 7),
            "use_bias": st.booleans(),
            "use_conv_bias": st.booleans(),
        }
    )


def _hybrid_mamba2(groups: int) -> dict[str, st.SearchStrategy[Any]]:
    return {
        "mamba_n_heads": st.just(2 * groups),
        "mamba_n_groups": st.just(groups),
        "mamba_d_state": st.integers(2, 9),
        "mamba_d_conv": st.integers(2, 5),
        "mamba_chunk_size": st.integers(2, 7),
        "mamba_conv_bias": st.booleans(),
        "mamba_proj_bias": st.booleans(),
        "attention_bias": st.booleans(),
    }


def _jamba(_: dict[str, Any], __: int, ___: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "num_experts": st.sampled_from([1, 3, 4]),
            "num_experts_per_tok": st.just(1),
            "attn_layer_period": st.integers(2, 3),
            "attn_layer_offset": st.integers(0, 1),
            "expert_layer_period": st.integers(1, 3),
            "expert_layer_offset": st.just(0),
            "mamba_d_state": st.integers(1, 9),
            "mamba_d_conv": st.integers(2, 5),
            "mamba_dt_rank": st.sampled_from(["auto", 3]),
            "mamba_conv_bias": st.booleans(),
            "mamba_proj_bias": st.booleans(),
        }
    )


def _bamba(_: dict[str, Any], groups: int, layers: int) -> st.SearchStrategy[dict[str, Any]]:
    own = {
        "attn_layer_indices": st.sampled_from([[1], [0, layers - 1]]),
        "mlp_bias": st.booleans(),
    }
    return st.fixed_dictionaries(_hybrid_mamba2(groups) | own)


def _granite(_: dict[str, Any], groups: int, layers: int) -> st.SearchStrategy[dict[str, Any]]:
    kinds = st.lists(st.sampled_from(["mamba", "attention"]), min_size=layers, max_size=layers)
    own = {
        # transformers' cache needs a layer with attention, and one with a scan, to run the class.
        "layer_types": kinds.map(lambda drawn: ["mamba", "attention", *drawn[2:]]),
        "num_local_experts": st.sampled_from([0, 3]),
        "num_experts_per_tok": st.just(2),
        "shared_intermediate_size": st.integers(1, 9),
        "position_embedding_type": st.sampled_from(["rope", "nope", None]),
    }
    return st.fixed_dictionaries(_hybrid_mamba2(groups) | own)


def _falcon_h1(_: dict[str, Any], groups: int, __: int) -> st.SearchStrategy[dict[str, Any]]:
    own = {
        "mamba_d_ssm": st.sampled_from([None, 4 * groups, 12 * groups]),
        "mamba_rms_norm": st.booleans(),
        "projectors_bias": st.booleans(),
        "mlp_bias": st.booleans(),
        "head_dim": st.sampled_from([2, 6]),
    }
    return st.fixed_dictionaries(_hybrid_mamba2(groups) | own)


def _nemotron_h(_: dict[str, Any], groups: int, layers: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "hybrid_override_pattern": st.text(
                "M*-E", min_size=layers - 2, max_size=layers - 2
            ).map(lambda drawn: f"{drawn}M*"),
            "head_dim": st.integers(1, 6),
            "mamba_num_heads": st.just(2 * groups),
            "mamba_head_dim": st.integers(2, 6),
            "mamba_n_groups": st.just(groups),
            "ssm_state_size": st.integers(2, 9),
            "chunk_size": st.integers(2, 7),
            "use_bias": st.booleans(),
            "use_conv_bias": st.booleans(),
            "mlp_bias": st.booleans(),
            "n_routed_experts": st.integers(3, 5),
            "moe_intermediate_size": st.integers(1, 9),
            "moe_shared_expert_intermediate_size": st.integers(1, 9),
            "moe_latent_size": st.sampled_from([None, 3]),
        }
    )


def _zamba(_: dict[str, Any], __: int, ___: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "attn_layer_period": st.integers(2, 3),
            "attn_layer_offset": st.integers(0, 1),
            "n_mamba_heads": st.sampled_from([1, 2]),
            "mamba_d_state": st.integers(1, 9),
            "mamba_d_conv": st.integers(2, 5),
            "mamba_dt_rank": st.integers(1, 4),
            "mamba_conv_bias": st.booleans(),
            "mamba_proj_bias": st.booleans(),
        }
    )


def _zamba2(_: dict[str, Any], groups: int, layers: int) -> st.SearchStrategy[dict[str, Any]]:
    kinds = st.lists(st.sampled_from(["mamba", "hybrid"]), min_size=layers - 1, max_size=layers - 1)
    return st.fixed_dictionaries(
        {
            "num_key_value_heads": st.just(4),
            "layers_block_type": kinds.map(lambda drawn: [*drawn, "hybrid"]),
            "num_mem_blocks": st.integers(1, 3),
            "n_mamba_heads": st.just(2 * groups),
            "mamba_ngroups": st.just(groups),
            "mamba_d_state": st.integers(2, 9),
            "chunk_size": st.integers(2, 7),
            "adapter_rank": st.integers(1, 4),
            "use_shared_attention_adapter": st.booleans(),
            "use_mem_rope": st.booleans(),
            "add_bias_linear": st.booleans(),
        }
    )


_OWN = {
    "mamba": _mamba,
    "falcon_mamba": _mamba,
    "mamba2": _mamba2,
    "jamba": _jamba,
    "bamba": _bamba,
    "granitemoehybrid": _granite,
    "falcon_h1": _falcon_h1,
    "nemotron_h": _nemotron_h,
    "zamba": _zamba,
    "zamba2": _zamba2,
}

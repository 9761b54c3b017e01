"""The architectures of GGUF files: one row each, from metadata and tensors to a family's config.

The names of metadata and tensors are those of the GGUF specification (docs/gguf.md of ggml-org/ggml
and gguf-py/gguf/constants.py of ggml-org/llama.cpp, both MIT), written by llama.cpp's converters
from the configs of transformers (its folder conversion/): a row is the way back. To add an
architecture, add a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from memorywall.frontends._gguf_facts import Facts
from memorywall.frontends._gguf_layers import (
    bamba_layers,
    dense_first,
    direct_queries,
    falcon_norms,
    gemma4_heads,
    granite_layers,
    head_dim,
    jamba_layers,
    kv_heads,
    latent_heads,
    lfm2_layers,
    llama4_layers,
    mamba2_heads,
    nemotron_layers,
    nested_dbrx,
    one_kv_head,
    qwen_layers,
    rotated_share,
    shared_experts,
    spread,
    t5_gate,
    windows,
)

Reader = Callable[[Facts], Mapping[str, Any]]

SIZES = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "context_length": "max_position_embeddings",
}
_GPT2 = {
    "block_count": "n_layer",
    "embedding_length": "n_embd",
    "feed_forward_length": "n_inner",
    "attention.head_count": "n_head",
    "context_length": "n_positions",
}
_SCANS = {"block_count": "num_hidden_layers", "embedding_length": "hidden_size"}
_WINDOW = {"attention.sliding_window": "sliding_window"}
_CAPS = {
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
}
_CHOSEN = {"expert_used_count": "num_experts_per_tok"}
_DENSE_FIRST = dense_first("first_k_dense_replace")
_LATENT = {
    "attention.q_lora_rank": "q_lora_rank",
    "attention.kv_lora_rank": "kv_lora_rank",
    "rope.dimension_count": "qk_rope_head_dim",
}

# Widths by a tensor's axis: converters of some architectures write another number, or none.
_WIDTH = {"intermediate_size": ("ffn_down.weight", -1)}
_LOCAL = {
    "num_local_experts": ("ffn_down_exps.weight", 0),
    "intermediate_size": ("ffn_down_exps.weight", -1),
}
_ROUTED_WIDTH = _WIDTH | {"moe_intermediate_size": ("ffn_down_exps.weight", -1)}
_NUMBERED = _ROUTED_WIDTH | {"num_experts": ("ffn_down_exps.weight", 0)}
_ROUTED = _ROUTED_WIDTH | {"n_routed_experts": ("ffn_down_exps.weight", 0)}
_SHARED = {"shared_expert_intermediate_size": ("ffn_down_shexp.weight", -1)}

_BIASED = {"attention_bias": "attn_q.bias"}
_BIASES = _BIASED | {"mlp_bias": "ffn_down.bias"}


@dataclass(frozen=True, slots=True)
class Row:
    """An architecture: the family's ``model_type``, and where the values of its config stand.

    Attributes:
        keys: the metadata's key to the config's.
        widths: the config's key to a tensor and an axis; before the metadata.
        parts: the config's key to a tensor: true where it is in the file.
        fixed: values that all files of the architecture share.
        more: readers of what takes more than a name.
        instead: other rows, each with what a file of it has: the first that applies is taken.
    """

    model_type: str
    keys: Mapping[str, str] = field(default_factory=lambda: SIZES)
    widths: Mapping[str, tuple[str, int]] = field(default_factory=lambda: _WIDTH)
    parts: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    more: tuple[Reader, ...] = (head_dim,)
    instead: tuple[tuple[Callable[[Facts], bool], Row], ...] = ()


def _mixes(facts: Facts) -> bool:
    return facts.size("expert_count") > 0


def _slides(facts: Facts) -> bool:
    return facts.size("attention.sliding_window") > 0


def _scores_by_sigmoid(facts: Facts) -> bool:
    """Whether experts are scored one by one, with a correction: DeepSeek-V3 and what follows it."""
    return facts.has("exp_probs_b.bias") or facts.size("expert_gating_func") == 2


def _norms_steps(facts: Facts) -> bool:
    return facts.get("ssm.dt_b_c_rms") is True


def _scales(facts: Facts) -> bool:
    return facts.get("embedding_scale") is not None


_DEEPSEEK = Row(
    "deepseek_v2", SIZES | _LATENT | _CHOSEN, _ROUTED,
    more=(latent_heads, direct_queries, _DENSE_FIRST, shared_experts("n_shared_experts")),
)  # fmt: skip


def _like_deepseek(model_type: str, **keys: str) -> Row:
    return Row(model_type, {**_DEEPSEEK.keys, **keys}, _ROUTED, more=_DEEPSEEK.more)


_INDEXER = {
    "attention.indexer.head_count": "index_n_heads",
    "attention.indexer.key_length": "index_head_dim",
    "attention.indexer.top_k": "index_topk",
}
_MAMBA = Row(
    "mamba",
    _SCANS | {
        "ssm.inner_size": "intermediate_size", "ssm.state_size": "state_size",
        "ssm.conv_kernel": "conv_kernel", "ssm.time_step_rank": "time_step_rank",
    },
    widths={}, more=(),
)  # fmt: skip
_SCAN_PARTS = {
    "ssm.time_step_rank": "mamba_n_heads",
    "ssm.state_size": "mamba_d_state",
    "ssm.conv_kernel": "mamba_d_conv",
    "ssm.group_count": "mamba_n_groups",
}
_NEMOTRON_H = Row(
    "nemotron_h",
    SIZES | _CHOSEN | {
        "ssm.time_step_rank": "mamba_num_heads", "ssm.state_size": "ssm_state_size",
        "ssm.conv_kernel": "conv_kernel", "ssm.group_count": "n_groups",
    },
    _ROUTED | {"moe_shared_expert_intermediate_size": ("ffn_down_shexp.weight", -1)},
    more=(head_dim, nemotron_layers),
)  # fmt: skip
_QWEN_DELTA = (head_dim, qwen_layers, rotated_share("partial_rotary_factor"))
_LLAMA = Row(
    "llama", parts=_BIASES,
    instead=((_mixes, Row("mixtral", SIZES | _CHOSEN | {"expert_count": "num_local_experts"},
                          _WIDTH | _LOCAL)),),
)  # fmt: skip
_QWEN2 = Row("qwen2")
_QWEN3 = Row("qwen3", parts=_BIASED)
_QWEN3_MOE = Row("qwen3_moe", SIZES | _CHOSEN, _NUMBERED, _BIASED)
_T5 = Row("t5", {
    "embedding_length": "d_model", "feed_forward_length": "d_ff", "block_count": "num_layers",
    "decoder_block_count": "num_decoder_layers", "attention.head_count": "num_heads",
    "attention.key_length": "d_kv",
    "attention.relative_buckets_count": "relative_attention_num_buckets",
}, widths={}, more=(t5_gate,))  # fmt: skip
_NEOX_SHARE = rotated_share("rotary_pct")
_PARTIAL = rotated_share("partial_rotary_factor")

# By general.architecture.
ROWS: dict[str, Row] = {
    "afmoe": Row(
        "afmoe", SIZES | _WINDOW | _CHOSEN, _NUMBERED,
        more=(
            head_dim, windows, dense_first("num_dense_layers"),
            shared_experts("num_shared_experts"),
        ),
    ),
    "apertus": Row("apertus", parts=_BIASED),
    "arcee": Row("arcee", parts=_BIASES),
    "baichuan": Row("llama"),
    "bert": Row(
        "bert", widths=_WIDTH | {
            "type_vocab_size": ("token_types.weight", 0),
            "max_position_embeddings": ("position_embd.weight", 0),
        },
    ),
    "bloom": Row("bloom", {
        "block_count": "n_layer", "embedding_length": "hidden_size",
        "attention.head_count": "n_head",
    }, widths={}, more=()),
    "chatglm": Row("glm", parts={"attention_bias": "attn_q.bias"}, more=(head_dim, _PARTIAL)),
    "cohere2": Row("cohere2", SIZES | _WINDOW, parts=_BIASED, more=(head_dim, windows)),
    "command-r": Row("cohere", parts=_BIASED | {"use_qk_norm": "attn_q_norm.weight"}),
    "dbrx": Row("dbrx", {
        "block_count": "n_layers", "embedding_length": "d_model",
        "attention.head_count": "n_heads", "context_length": "max_seq_len",
    }, widths={}, more=(nested_dbrx,)),
    "deepseek2": Row(
        _DEEPSEEK.model_type, _DEEPSEEK.keys, _ROUTED, more=_DEEPSEEK.more,
        instead=((_scores_by_sigmoid, _like_deepseek("deepseek_v3")),),
    ),
    "deepseek32": _like_deepseek("deepseek_v32", **_INDEXER),
    "dots1": Row(
        "dots1", SIZES | _CHOSEN, _ROUTED, _BIASED,
        more=(head_dim, _DENSE_FIRST, shared_experts("n_shared_experts")),
    ),
    "ernie4_5": Row("ernie4_5", parts={"use_bias": "attn_q.bias"}),
    "ernie4_5-moe": Row(
        "ernie4_5_moe", SIZES | {
            "expert_used_count": "moe_k",
            "interleave_moe_layer_step": "moe_layer_interval",
        },
        _ROUTED_WIDTH | {"moe_num_experts": ("ffn_down_exps.weight", 0)},
        {"use_bias": "attn_q.bias"},
        more=(
            head_dim, dense_first("moe_layer_start_index"),
            shared_experts("moe_num_shared_experts"),
        ),
    ),
    "eurobert": Row("eurobert", parts=_BIASES),
    "exaone": Row("llama"),
    "exaone-moe": Row(
        "exaone_moe", SIZES | _WINDOW | _CHOSEN, _NUMBERED,
        more=(head_dim, windows, _DENSE_FIRST, shared_experts("num_shared_experts")),
    ),
    "exaone4": Row("exaone4", SIZES | _WINDOW, more=(head_dim, windows)),
    "falcon": Row(
        "falcon", SIZES | {"attention.head_count_kv": "num_kv_heads"},
        {"ffn_hidden_size": ("ffn_down.weight", -1)}, {"bias": "attn_qkv.bias"},
        more=(falcon_norms,),
    ),
    "falcon-h1": Row(
        "falcon_h1", SIZES | _SCAN_PARTS | {"ssm.inner_size": "mamba_d_ssm"},
        parts=_BIASES | {"mamba_rms_norm": "ssm_norm.weight"},
        more=(head_dim, mamba2_heads("mamba_d_head")),
    ),
    "gemma": Row("gemma"),
    "gemma2": Row("gemma2", SIZES | _WINDOW | _CAPS),
    "gemma3": Row("gemma3_text", SIZES | _WINDOW | _CAPS, more=(head_dim, windows)),
    "gemma3n": Row(
        "gemma3n_text", SIZES | _WINDOW | _CAPS | {
            "embedding_length_per_layer_input": "hidden_size_per_layer_input",
            "attention.shared_kv_layers": "num_kv_shared_layers",
            "altup.num_inputs": "altup_num_inputs",
        }, _WIDTH | {
            "laurel_rank": ("laurel_l.weight", 0),
            "vocab_size_per_layer_input": ("per_layer_token_embd.weight", 0),
        }, more=(head_dim, windows),
    ),
    "gemma4": Row(
        "gemma4_text", _WINDOW | _CAPS | {
            "block_count": "num_hidden_layers", "embedding_length": "hidden_size",
            "attention.head_count": "num_attention_heads",
            "context_length": "max_position_embeddings",
            "embedding_length_per_layer_input": "hidden_size_per_layer_input",
            "attention.shared_kv_layers": "num_kv_shared_layers",
            "expert_used_count": "top_k_experts",
        }, _NUMBERED | {"vocab_size_per_layer_input": ("per_layer_token_embd.weight", 0)},
        {"enable_moe_block": "ffn_down_exps.weight"}, more=(windows, gemma4_heads),
    ),
    "glm-dsa": _like_deepseek("glm_moe_dsa", **_INDEXER),
    "glm4": Row("glm4", parts=_BIASED, more=(head_dim, _PARTIAL)),
    "glm4moe": Row(
        "glm4_moe", SIZES | _CHOSEN, _ROUTED,
        _BIASED | {"use_qk_norm": "attn_q_norm.weight"},
        more=(head_dim, _PARTIAL, _DENSE_FIRST, shared_experts("n_shared_experts")),
    ),
    "gpt-oss": Row(
        "gpt_oss", SIZES | _WINDOW | _CHOSEN, _LOCAL, more=(head_dim, windows),
    ),
    "gpt2": Row("gpt2", _GPT2, {"n_inner": ("ffn_down.weight", -1)}, more=()),
    "gptneox": Row(
        "gpt_neox", SIZES | {"use_parallel_residual": "use_parallel_residual"},
        parts={"attention_bias": "attn_qkv.bias"}, more=(_NEOX_SHARE,),
    ),
    "granite": Row("granite", parts=_BIASES),
    "granitehybrid": Row(
        "bamba", SIZES | _SCAN_PARTS, parts=_BIASES,
        more=(bamba_layers, mamba2_heads("mamba_d_head")),
        instead=((_scales, Row(
            "granitemoehybrid", SIZES | _SCAN_PARTS | _CHOSEN, _LOCAL, _BIASED,
            more=(granite_layers, mamba2_heads("mamba_d_head")),
        )),),
    ),
    "granitemoe": Row(
        "granitemoe", SIZES | _CHOSEN, _LOCAL, _BIASED,
        instead=((lambda facts: facts.has("ffn_down_shexp.weight"), Row(
            "granitemoehybrid", SIZES | _CHOSEN, _LOCAL, _BIASED,
            {"position_embedding_type": "rope"}, more=(granite_layers,),
        )),),
    ),
    "hunyuan-dense": Row("hunyuan_v1_dense", parts=_BIASED),
    "hunyuan-moe": Row(
        "hunyuan_v1_moe", SIZES | {"expert_used_count": "moe_topk"},
        {"num_experts": ("ffn_down_exps.weight", 0),
         "intermediate_size": ("ffn_down_exps.weight", -1)}, _BIASED,
    ),
    "internlm2": Row("llama", parts=_BIASED),
    "jais2": Row("jais2", parts={"mlp_bias": "ffn_down.bias", "attention_bias": "attn_q.bias"}),
    "jamba": Row("jamba", SIZES | _CHOSEN | {
        "ssm.state_size": "mamba_d_state", "ssm.conv_kernel": "mamba_d_conv",
        "ssm.time_step_rank": "mamba_dt_rank",
    }, _WIDTH | {
        "num_experts": ("ffn_down_exps.weight", 0),
        "intermediate_size": ("ffn_down_exps.weight", -1),
    }, more=(jamba_layers,)),
    "lfm2": Row(
        "lfm2", SIZES | {"shortconv.l_cache": "conv_L_cache"},
        parts={"conv_bias": "shortconv.conv.bias"}, fixed={"block_auto_adjust_ff_dim": False},
        more=(lfm2_layers,),
    ),
    "lfm2moe": Row(
        "lfm2_moe", SIZES | _CHOSEN | {
            "shortconv.l_cache": "conv_L_cache",
        }, _NUMBERED, {"conv_bias": "shortconv.conv.bias"},
        more=(lfm2_layers, dense_first("num_dense_layers")),
    ),
    "llama": _LLAMA,
    "llama4": Row(
        "llama4_text", SIZES | _CHOSEN, _LOCAL | {
            "intermediate_size_mlp": ("ffn_down.weight", -1),
        }, _BIASED, more=(head_dim, llama4_layers),
    ),
    "mamba": Row(
        "mamba", _MAMBA.keys, {}, more=(),
        instead=((_norms_steps, Row("falcon_mamba", _MAMBA.keys, {}, more=())),),
    ),
    "mamba2": Row(
        "mamba2", _SCANS | {
            "ssm.time_step_rank": "num_heads", "ssm.state_size": "state_size",
            "ssm.conv_kernel": "conv_kernel", "ssm.group_count": "n_groups",
        }, widths={}, more=(mamba2_heads("head_dim", "expand"),),
    ),
    "mellum": Row("mellum", SIZES | _WINDOW | _CHOSEN, _NUMBERED, more=(head_dim, windows)),
    # MiniCPM is a Llama with Granite's three scales.
    "minicpm": Row("granite", parts=_BIASES, instead=((_mixes, Row(
        "granitemoe", SIZES | _CHOSEN, _LOCAL, _BIASED)),)),
    "minicpm3": Row("minicpm3", SIZES | _LATENT, more=(latent_heads, direct_queries)),
    "minimax-m2": Row(
        "minimax_m2", SIZES | _CHOSEN | {"rope.dimension_count": "rotary_dim"}, _LOCAL,
    ),
    "mistral3": _LLAMA,
    "modern-bert": Row(
        "modernbert", SIZES | {
            "attention.sliding_window": "local_attention",
            "attention.sliding_window_pattern": "global_attn_every_n_layers",
        }, more=(),
    ),
    "mpt": Row("mpt", {
        "block_count": "n_layers", "embedding_length": "d_model",
        "attention.head_count": "n_heads", "context_length": "max_seq_len",
    }, widths={}, more=()),
    "nemotron": Row("nemotron", parts=_BIASES, more=(head_dim, _PARTIAL)),
    "nemotron_h": _NEMOTRON_H,
    "nemotron_h_moe": _NEMOTRON_H,
    "nomic-bert": Row(
        "nomic_bert", widths=_WIDTH | {"type_vocab_size": ("token_types.weight", 0)}, more=(),
    ),
    "olmo": Row("olmo", SIZES | {"attention.clamp_kqv": "clip_qkv"}),
    "olmo2": Row("olmo2", instead=((_slides, Row(
        "olmo3", SIZES | _WINDOW, more=(head_dim, windows))),)),
    "olmoe": Row(
        "olmoe", SIZES | _CHOSEN | {"attention.clamp_kqv": "clip_qkv"},
        {"num_experts": ("ffn_down_exps.weight", 0),
         "intermediate_size": ("ffn_down_exps.weight", -1)},
    ),
    # Orion has StableLM's norms and rotates whole heads.
    "orion": Row("stablelm", fixed={"partial_rotary_factor": 1.0}, more=()),
    "phi2": Row("phi", more=(_PARTIAL, kv_heads)),
    "phi3": Row("phi3", SIZES | _WINDOW, more=(head_dim, spread("sliding_window"))),
    "phimoe": Row(
        "phimoe", SIZES | _WINDOW | _CHOSEN, _LOCAL,
        {"attention_bias": "attn_q.bias", "lm_head_bias": "output.bias"},
        more=(head_dim, spread("sliding_window")),
    ),
    "qwen": Row("qwen2", more=(head_dim, spread("num_key_value_heads", "num_attention_heads"))),
    "qwen2": _QWEN2,
    "qwen2moe": Row("qwen2_moe", SIZES | _CHOSEN, _NUMBERED | _SHARED),
    "qwen2vl": _QWEN2,
    "qwen3": _QWEN3,
    "qwen35": Row("qwen3_5_text", parts=_BIASED, more=_QWEN_DELTA),
    "qwen35moe": Row(
        "qwen3_5_moe_text", SIZES | _CHOSEN, _NUMBERED | _SHARED, _BIASED, more=_QWEN_DELTA,
    ),
    "qwen3moe": _QWEN3_MOE,
    "qwen3next": Row(
        "qwen3_next", SIZES | _CHOSEN, _NUMBERED | _SHARED, _BIASED, more=_QWEN_DELTA,
    ),
    "qwen3vl": _QWEN3,
    "qwen3vlmoe": _QWEN3_MOE,
    "seed_oss": Row("seed_oss", parts=_BIASES | {"attention_out_bias": "attn_output.bias"}),
    "smollm3": Row("smollm3", parts=_BIASES),
    "stablelm": Row(
        "stablelm", SIZES | {"use_parallel_residual": "use_parallel_residual"},
        parts={"use_qkv_bias": "attn_q.bias", "qk_layernorm": "attn_q_norm.weight"},
        more=(_PARTIAL,),
    ),
    "starcoder": Row("gpt_bigcode", _GPT2, {"n_inner": ("ffn_down.weight", -1)},
                     more=(one_kv_head,)),
    "starcoder2": Row("starcoder2", parts={"use_bias": "ffn_down.bias"}, more=()),
    "t5": _T5,
    "t5encoder": Row(
        "t5", _T5.keys, {}, fixed={"architectures": ["T5EncoderModel"]}, more=_T5.more,
    ),
    "xverse": Row("llama"),
}  # fmt: skip

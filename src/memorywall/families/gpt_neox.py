"""Decoders whose attention and feed-forward read the same input: GPT-NeoX, GPT-J, Phi, Cohere.

Both halves of a layer are added to the residual at once, each behind its own norm or both behind
one. StableLM, and GPT-NeoX if its config says so, can also run them one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.decoder import Decoder, lower
from memorywall.reading.config_values import Config
from memorywall.reading.dialects import ATTENTION_BIAS, PARTIAL_ROTARY, Dialect, read_decoder
from memorywall.reading.heads import ALL_HEADS
from memorywall.reading.windows import alternating

_BIAS = ("attention_bias", True)
_GPTJ_NAMES = {
    "hidden_size": "n_embd",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
    "intermediate_size": "n_inner",
    "max_position_embeddings": "n_positions",
    "hidden_act": "activation_function",
}
_GELU_NEW = ("hidden_act", "gelu_new")
_ROTARY_DIM = ("rotary_dim", 64)

DIALECTS = {
    "gpt_neox": Dialect(
        "GPTNeoX", qkv_bias=_BIAS, out_bias=_BIAS, mlp_bias=True, gated=False,
        activation=("hidden_act", "gelu"), norm="layernorm", norms="each", reads_kv_heads=False,
        reads_head_dim=False, rotary=0.25, rotary_key="rotary_pct",
    ),
    "gptj": Dialect(
        "GPTJ", names=_GPTJ_NAMES, mlp_bias=True, head_bias=True, gated=False, expansion=4,
        activation=_GELU_NEW, norm="layernorm", norms="shared", reads_kv_heads=False,
        reads_head_dim=False, rotary_elements=_ROTARY_DIM, heads=ALL_HEADS[:1],
    ),
    "codegen": Dialect(
        "CodeGen", names=_GPTJ_NAMES, mlp_bias=True, head_bias=True, gated=False, expansion=4,
        activation=_GELU_NEW, norm="layernorm", norms="shared", reads_kv_heads=False,
        reads_head_dim=False, rotary_elements=_ROTARY_DIM, heads=(),
    ),
    "phi": Dialect(
        "Phi", qkv_bias=True, out_bias=True, mlp_bias=True, head_bias=True, gated=False,
        activation=_GELU_NEW, norm="layernorm", norms="shared", qk_norm="head",
        qk_norm_kind="layernorm", qk_normed=("qk_layernorm", False), rotary=0.5,
        rotary_key=PARTIAL_ROTARY, heads=ALL_HEADS[:2],
    ),
    "stablelm": Dialect(
        "StableLm", qkv_bias=("use_qkv_bias", False), norm="layernorm", qk_norm="all",
        qk_norm_kind="layernorm_unbiased", qk_normed=("qk_layernorm", False), kv_heads=32,
        reads_head_dim=False, rotary=0.25, rotary_key=PARTIAL_ROTARY, positions=4096,
        heads=ALL_HEADS[:2],
    ),
    "cohere": Dialect(
        "Cohere", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, norm="layernorm_unbiased",
        norms="shared", qk_norm="all", qk_norm_kind="layernorm_unbiased",
        qk_normed=("use_qk_norm", False), on_logits="scale", positions=8192, tied=True, heads=(),
    ),
    # Only the layers with a window rotate.
    "cohere2": Dialect(
        "Cohere2", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, norm="layernorm_unbiased",
        norms="shared", reads_head_dim=False,
        layers=alternating(
            4096, 4, key="sliding_window_pattern",
            rotated=lambda window, slides: slides and window is not None,
        ),
        on_logits="scale", positions=8192, tied=True, heads=(),
    ),
}  # fmt: skip


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config of one of the model types in ``DIALECTS``."""
    model_type = str(data["model_type"])
    dialect = DIALECTS[model_type]
    config = Config(data, where, dialect.names)
    decoder = read_decoder(config, dialect)
    if model_type == "gpt_neox" and not config.flag("use_parallel_residual", True):
        decoder = replace(decoder, norms="before")
    if model_type == "stablelm" and config.flag("use_parallel_residual", False):
        decoder = replace(decoder, norms="shared")
    config.check()
    return decoder


FAMILY = Family("gpt_neox", tuple(DIALECTS), read, lower)

"""Decoders with a plain feed-forward under rotary positions: Nemotron, StarCoder 2 and others.

As Llama's, except for the feed-forward, which is not gated; most of them keep layer norms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.decoder import Decoder, lower
from memorywall.reading.dialects import (
    ATTENTION_BIAS,
    MLP_BIAS,
    PARTIAL_ROTARY,
    Dialect,
    read_dialect,
)
from memorywall.reading.heads import ALL_HEADS
from memorywall.reading.windows import sliding

_SQUARED = ("hidden_act", "relu2")
_USE_BIAS = ("use_bias", True)
_BIAS = ("attention_bias", True)

DIALECTS = {
    # Its layer norm adds one to the gain, once for all rows.
    "nemotron": Dialect(
        "Nemotron", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, mlp_bias=MLP_BIAS,
        gated=False, activation=_SQUARED, norm="layernorm", rotary=0.5, rotary_key=PARTIAL_ROTARY,
        positions=4096,
    ),
    "starcoder2": Dialect(
        "Starcoder2", qkv_bias=_USE_BIAS, out_bias=_USE_BIAS, mlp_bias=_USE_BIAS, gated=False,
        activation=("hidden_act", "gelu_pytorch_tanh"), norm="layernorm", kv_heads=2,
        layers=sliding(None), positions=4096, tied=True, heads=ALL_HEADS[:2],
    ),
    "arcee": Dialect(
        "Arcee", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, mlp_bias=MLP_BIAS, gated=False,
        activation=_SQUARED, positions=4096,
    ),
    "apertus": Dialect(
        "Apertus", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, gated=False,
        activation=("hidden_act", "xielu"), qk_norm="head", positions=65_536, heads=ALL_HEADS[1:2],
    ),
    "jais2": Dialect(
        "Jais2", qkv_bias=_BIAS, out_bias=_BIAS, mlp_bias=("mlp_bias", True), gated=False,
        activation=_SQUARED, norm="layernorm", positions=8192, heads=(),
    ),
    "persimmon": Dialect(
        "Persimmon", qkv_bias=True, out_bias=True, mlp_bias=True, gated=False, activation=_SQUARED,
        norm="layernorm", qk_norm="head", qk_norm_kind="layernorm",
        qk_normed=("qk_layernorm", True), reads_kv_heads=False, reads_head_dim=False, rotary=0.5,
        rotary_key=PARTIAL_ROTARY, positions=16_384, heads=ALL_HEADS[:2],
    ),
}  # fmt: skip


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config of one of the model types in ``DIALECTS``."""
    return read_dialect(data, where, DIALECTS)


FAMILY = Family("nemotron", tuple(DIALECTS), read, lower)

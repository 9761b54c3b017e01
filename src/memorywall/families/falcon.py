"""Falcon: halves of a layer side by side behind one norm or two, few key-value heads or one.

Falcon-7B has one key-value head; 40B and 180B have the ``new_decoder_architecture``, with groups of
heads and a norm for each half; Falcon-RW runs the halves one after the other and adds ALiBi.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.decoder import Decoder, lower
from memorywall.reading.config_values import Config
from memorywall.reading.dialects import Dialect, read_decoder

_BIAS = ("bias", False)
_DIALECT = Dialect(
    "Falcon", names={"intermediate_size": "ffn_hidden_size", "hidden_act": "activation"},
    qkv_bias=_BIAS, out_bias=_BIAS, mlp_bias=_BIAS, gated=False, expansion=4,
    activation=("hidden_act", "gelu"), norm="layernorm", reads_kv_heads=False,
    reads_head_dim=False, tied=True,
)  # fmt: skip


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config with ``model_type`` falcon."""
    config = Config(data, where, _DIALECT.names)
    decoder = read_decoder(config, _DIALECT)
    decoder = replace(decoder, norms=_norms(config)).with_attention(kv_heads=_kv_heads(config))
    if config.flag("alibi", False):
        decoder = decoder.with_attention(rotary=0, on_scores="alibi")
    config.check()
    return decoder


def _kv_heads(config: Config) -> int:
    """Return K: ``num_kv_heads`` counts in the new architecture, where multi-query does not."""
    heads = config.size("num_attention_heads")
    if config.flag("new_decoder_architecture", False):
        kv_heads = config.size("num_kv_heads", heads)
        config.divides("num_kv_heads", kv_heads, "num_attention_heads", heads)
        return kv_heads
    return 1 if config.flag("multi_query", True) else heads


def _norms(config: Config) -> str:
    """Return where the norms stand."""
    parallel = config.flag("parallel_attn", True)
    if not config.flag("new_decoder_architecture", False):
        config.refuse("num_ln_in_parallel_attn", (2,), "the old architecture has one norm")
        return "shared" if parallel else "before"
    config.refuse("parallel_attn", (False,), "the new architecture runs the halves side by side")
    return "each" if config.size("num_ln_in_parallel_attn", 2, most=2) == 2 else "shared"


FAMILY = Family("falcon", ("falcon",), read, lower)

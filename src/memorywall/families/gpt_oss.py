"""gpt-oss: attention sinks, every other layer with a window, experts and router with biases.

The published checkpoints store the experts in mxfp4, as their configs say
(``frontends/quantised.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.decoder import Decoder, lower
from memorywall.reading.config_values import Config
from memorywall.reading.dialects import Dialect, read_decoder
from memorywall.reading.expert_keys import NUM_LOCAL_EXPERTS, Mixture
from memorywall.reading.heads import ALL_HEADS
from memorywall.reading.windows import alternating

_BIAS = ("attention_bias", True)
_DIALECT = Dialect(
    "GptOss", qkv_bias=_BIAS, out_bias=_BIAS, kv_heads=8, head_dim=64, layers=alternating(128, 2),
    positions=131_072, heads=ALL_HEADS[:2], activation=("", "swiglu_clamped"),
    experts=Mixture(
        (NUM_LOCAL_EXPERTS, 128), ("num_experts_per_tok", 4), bias=True, router_bias=True
    ),
)  # fmt: skip


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config with ``model_type`` gpt_oss."""
    config = Config(data, where)
    decoder = read_decoder(config, _DIALECT)
    config.check()
    return decoder.with_attention(sinks=True)


FAMILY = Family("gpt_oss", ("gpt_oss",), read, lower)

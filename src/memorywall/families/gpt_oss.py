"""gpt-oss: attention sinks, every other layer with a window, experts and router with biases.

The published checkpoints store the experts in mxfp4; that is for whoever reads the file, and a
format of all weights can be named. The head dimension need not be the hidden size over the heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from memorywall.core.model import Family
from memorywall.families._blocks import Attention, FeedForward
from memorywall.families._config import Config
from memorywall.families._experts import Experts
from memorywall.families._heads import decoder_classes, decoder_head
from memorywall.families._sparse import SparseDecoder, grouped, lower

_CLASSIFIERS = ("ForSequenceClassification", "ForTokenClassification")


def read(data: Mapping[str, Any], where: str) -> SparseDecoder:
    """Read a config with ``model_type`` gpt_oss."""
    config = Config(data, where)
    class_name = config.class_name(
        "GptOssForCausalLM", decoder_classes("GptOss", "GptOssForCausalLM", _CLASSIFIERS)
    )
    attention, experts = _read_attention(config), _read_experts(config)
    architecture = SparseDecoder(
        class_name=class_name,
        head=decoder_head(config, class_name, tied=config.flag("tie_word_embeddings", False)),
        dtype=config.dtype(),
        vocab_size=config.size("vocab_size"),
        hidden_size=config.size("hidden_size"),
        max_positions=config.size("max_position_embeddings", 131_072),
        layers=grouped(
            (replace(attention, window=window), experts) for window in _read_windows(config)
        ),
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _read_attention(config: Config) -> Attention:
    heads = config.size("num_attention_heads")
    kv_heads = config.size("num_key_value_heads", 8)
    if config.data.get("num_key_value_heads", 0) is None:
        kv_heads = heads
    config.divides("num_key_value_heads", kv_heads, "num_attention_heads", heads)
    head_dim, biased = config.size("head_dim", 64), config.flag("attention_bias", True)
    return Attention(
        heads, kv_heads, head_dim, qkv_bias=biased, out_bias=biased, rotary=head_dim, sinks=True
    )


def _read_windows(config: Config) -> list[int | None]:
    """Return how far each layer looks back: by default the first, third, ... through a window."""
    layers = config.size("num_hidden_layers")
    kinds = config.layer_types(layers, ("full_attention", "sliding_attention"))
    if kinds is None:
        kinds = [("sliding_attention", "full_attention")[layer % 2] for layer in range(layers)]
    window = config.size("sliding_window", 128)
    return [window if kind == "sliding_attention" else None for kind in kinds]


def _read_experts(config: Config) -> Experts:
    count = config.size("num_local_experts", 128)
    return Experts(
        count,
        config.size("num_experts_per_tok", 4, most=max(1, count)),
        FeedForward(config.size("intermediate_size"), "swiglu_clamped", gated=True, bias=True),
        router_bias=True,
    )


FAMILY = Family("gpt_oss", ("gpt_oss",), read, lower)

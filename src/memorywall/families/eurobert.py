"""EuroBERT: Llama's layers, looking both ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.encoder import Embedding, Encoder, EncoderLayers, lower
from memorywall.layers.encoder_heads import Branch, Dense
from memorywall.layers.output_head import Head
from memorywall.layers.tape import Attention, FeedForward
from memorywall.reading.config_values import Config
from memorywall.reading.encoders import (
    LABELS,
    MASKED,
    TOKENS,
    Part,
    Tops,
    branches,
    read_attention,
    read_class,
)

_TOPS: Tops = {
    "Model": (),
    "ForMaskedLM": (MASKED,),
    "ForSequenceClassification": (Part("pooled", "gelu", LABELS),),
    "ForTokenClassification": (TOKENS,),
}
# Which rows a classifier of sequences reads, by ``classifier_pooling``.
_POOLED = {"bos": "first", "mean": "mean", "late": "late"}


def read(data: Mapping[str, Any], where: str) -> Encoder:
    """Read a config with ``model_type`` eurobert."""
    config = Config(data, where)
    class_name, parts = read_class(config, "EuroBert", _TOPS)
    pooling = _POOLED[config.choice("classifier_pooling", tuple(_POOLED), "late")]
    parts = tuple(replace(p, rows=pooling) if p.rows == "pooled" else p for p in parts)
    hidden, words = config.size("hidden_size"), config.size("vocab_size")
    mlp_bias = config.flag("mlp_bias", False)
    decoder = Head(
        "lm_head",
        words,
        bias=mlp_bias,
        tied=config.flag("tie_word_embeddings", False),
        axis="vocab",
    )
    architecture = Encoder(
        class_name=class_name,
        dtype=config.dtype(),
        hidden_size=hidden,
        max_positions=config.size("max_position_embeddings", 8192),
        layers=(EncoderLayers(tuple(range(config.size("num_hidden_layers")))),),
        embedding=Embedding(words, hidden, norm=""),
        attention=_read_attention(config),
        mlp=FeedForward(
            config.size("intermediate_size"),
            config.activation("hidden_act", "silu"),
            gated=True,
            bias=mlp_bias,
        ),
        top=branches(config, parts, hidden, Branch("each", (Dense(decoder),))),
        norm="rmsnorm",
        norm_first=True,
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _read_attention(config: Config) -> Attention:
    """Read query heads that share keys, and heads as wide as the config says."""
    attention = read_attention(config, bias=config.flag("attention_bias", False))
    kv_heads = config.size("num_key_value_heads", attention.heads)
    config.divides("num_key_value_heads", kv_heads, "num_attention_heads", attention.heads)
    head_dim = config.size("head_dim", attention.head_dim)
    return replace(attention, kv_heads=kv_heads, head_dim=head_dim, rotary=head_dim)


FAMILY = Family("eurobert", ("eurobert",), read, lower)

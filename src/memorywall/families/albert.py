"""ALBERT: the weights of one layer, executed as often as there are layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.encoder import Embedding, Encoder, EncoderLayers, lower
from memorywall.layers.encoder_heads import masked_branch
from memorywall.layers.tape import FeedForward
from memorywall.reading.config_values import Config
from memorywall.reading.encoders import (
    LABELS,
    MASKED,
    ROBERTA_TOPS,
    Part,
    Tops,
    branches,
    read_attention,
    read_class,
    refuse_decoder,
)

_TOPS: Tops = {
    **ROBERTA_TOPS,
    "ForPreTraining": (Part("first", "tanh", LABELS), MASKED),
}

_MOST = 64  # groups, and layers in a group: far above any in use


def read(data: Mapping[str, Any], where: str) -> Encoder:
    """Read a config with ``model_type`` albert."""
    config = Config(data, where)
    refuse_decoder(config)
    class_name, parts = read_class(config, "Albert", _TOPS)
    hidden = config.size("hidden_size")
    activation = config.activation("hidden_act", "gelu_new")
    tied = config.flag("tie_word_embeddings", True)
    embedding = _read_embedding(config, untied=MASKED in parts and not tied)
    masked = masked_branch(embedding.width, embedding.words, activation, tied=tied)
    architecture = Encoder(
        class_name=class_name,
        dtype=config.dtype(),
        hidden_size=hidden,
        max_positions=embedding.positions,
        layers=_read_layers(config),
        embedding=embedding,
        attention=read_attention(config),
        mlp=FeedForward(config.size("intermediate_size"), activation, bias=True),
        top=branches(config, parts, hidden, masked),
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _read_embedding(config: Config, *, untied: bool) -> Embedding:
    """Read narrow tables that are always projected; an untied head keeps a second, idle bias."""
    words = config.size("vocab_size")
    return Embedding(
        words,
        config.size("embedding_size", 128),
        positions=config.size("max_position_embeddings", 512),
        token_types=config.size("type_vocab_size", 2),
        projected=True,
        unread=words if untied else 0,
    )


def _read_layers(config: Config) -> tuple[EncoderLayers, ...]:
    """Assign the layers to the groups; each group has ``inner_group_num`` separate layers.

    The inner layers of a group take turns; they are listed one after the other, which adds up to
    the same.
    """
    total = config.size("num_hidden_layers")
    groups = config.size("num_hidden_groups", 1, most=min(total, _MOST))
    inner = config.size("inner_group_num", 1, most=_MOST)
    if groups == inner == 1:
        return (EncoderLayers(tuple(range(total)), shared=True),)
    bounds = [-(-group * total // groups) for group in range(groups + 1)]
    places = [tuple(range(bounds[group], bounds[group + 1])) for group in range(groups)]
    return tuple(
        EncoderLayers(places[group], f"layers_{group}_{number}", shared=True)
        for group in range(groups)
        for number in range(inner)
    )


FAMILY = Family("albert", ("albert",), read, lower)

"""DistilBERT: BERT without types of tokens and without a pooler, its keys under other names."""

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
    "ForSequenceClassification": (Part("first", "relu", LABELS),),
    "ForMultipleChoice": (Part("first", "relu", 1),),
    "ForTokenClassification": (TOKENS,),
    "ForQuestionAnswering": (TOKENS,),
}


def read(data: Mapping[str, Any], where: str) -> Encoder:
    """Read a config with ``model_type`` distilbert; a table of sines is as large as a learned."""
    config = Config(data, where)
    class_name, parts = read_class(config, "DistilBert", _TOPS)
    hidden, words = config.size("dim"), config.size("vocab_size")
    positions = config.size("max_position_embeddings", 512)
    activation = config.activation("activation", "gelu")
    tied = config.flag("tie_word_embeddings", True)
    masked = masked_branch(hidden, words, activation, tied=tied)
    architecture = Encoder(
        class_name=class_name,
        dtype=config.dtype(),
        hidden_size=hidden,
        max_positions=positions,
        layers=(EncoderLayers(tuple(range(config.size("n_layers")))),),
        embedding=Embedding(words, hidden, positions),
        attention=read_attention(config, keys=("n_heads", "dim")),
        mlp=FeedForward(config.size("hidden_dim"), activation, bias=True),
        top=branches(config, parts, hidden, masked),
        notes=config.all_notes(),
    )
    config.check()
    return architecture


FAMILY = Family("distilbert", ("distilbert",), read, lower)

"""ESM-2 and ESM-1b, of proteins: norms first, positions learned or rotary."""

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
    refuse_decoder,
    usable_positions,
)

_TOPS: Tops = {
    "Model": (Part("first", "tanh"),),
    "ForMaskedLM": (MASKED,),
    "ForSequenceClassification": (Part("first", "tanh", LABELS),),
    "ForTokenClassification": (TOKENS,),
}


def read(data: Mapping[str, Any], where: str) -> Encoder:
    """Read a config with ``model_type`` esm; its activation is always GELU."""
    config = Config(data, where)
    refuse_decoder(config)
    config.refuse("is_folding_model", (True,), "the folding trunk is not supported")
    class_name, parts = read_class(config, "Esm", _TOPS)
    hidden, words = config.size("hidden_size"), config.size("vocab_size")
    kinds = ("absolute", "rotary")
    learned = config.choice("position_embedding_type", kinds, "absolute") == "absolute"
    rows = config.size("max_position_embeddings", 1026)
    tied = config.flag("tie_word_embeddings", True)
    attention = read_attention(config, rotary=not learned)
    layers = config.size("num_hidden_layers")
    architecture = Encoder(
        class_name=class_name,
        dtype=config.dtype(),
        hidden_size=hidden,
        max_positions=usable_positions(config, rows, padded=True),
        layers=(EncoderLayers(tuple(range(layers))),),
        embedding=Embedding(
            words,
            hidden,
            positions=rows if learned else 0,
            norm="layernorm" if config.flag("emb_layer_norm_before", False) else "",
            # The head that predicts contacts: a weight for every attention map, and a bias.
            unread=layers * attention.heads + 1,
        ),
        attention=attention,
        mlp=FeedForward(config.size("intermediate_size"), "gelu", bias=True),
        top=branches(config, parts, hidden, masked_branch(hidden, words, "gelu", tied=tied)),
        norm_first=True,
        notes=config.all_notes(),
    )
    config.check()
    return architecture


FAMILY = Family("esm", ("esm",), read, lower)

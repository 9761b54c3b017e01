"""ModernBERT: rotary positions, GeGLU, norms first, and layers that look near or all around."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.encoder import Embedding, Encoder, EncoderLayers, lower
from memorywall.layers.encoder_heads import Branch, Dense, masked_branch
from memorywall.layers.output_head import Head
from memorywall.layers.tape import FeedForward
from memorywall.reading.config_values import Config
from memorywall.reading.encoders import (
    LABELS,
    MASKED,
    TOKENS,
    Part,
    Tops,
    read_attention,
    read_class,
)

_TOPS: Tops = {
    "Model": (),
    "ForMaskedLM": (MASKED,),
    "ForSequenceClassification": (Part("pooled", width=LABELS),),
    "ForMultipleChoice": (Part("pooled", width=1),),
    "ForTokenClassification": (TOKENS,),
    "ForQuestionAnswering": (TOKENS,),
}
_POOLED = {"cls": "first", "mean": "mean"}
_KINDS = ("full_attention", "sliding_attention")


def read(data: Mapping[str, Any], where: str) -> Encoder:
    """Read a config with ``model_type`` modernbert."""
    config = Config(data, where)
    class_name, parts = read_class(config, "ModernBert", _TOPS)
    hidden, words = config.size("hidden_size"), config.size("vocab_size")
    pooling = _POOLED[config.choice("classifier_pooling", tuple(_POOLED), "cls")]
    norm = "layernorm" if config.flag("norm_bias", False) else "layernorm_unbiased"
    architecture = Encoder(
        class_name=class_name,
        dtype=config.dtype(),
        hidden_size=hidden,
        max_positions=config.size("max_position_embeddings", 8192),
        layers=_read_layers(config),
        embedding=Embedding(words, hidden, norm=norm),
        attention=read_attention(config, bias=config.flag("attention_bias", False), rotary=True),
        mlp=FeedForward(
            config.size("intermediate_size"),
            config.activation("hidden_activation", "gelu"),
            gated=True,
            bias=config.flag("mlp_bias", False),
        ),
        top=tuple(_branch(config, part, hidden, norm, pooling) for part in parts),
        norm=norm,
        norm_first=True,
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _branch(config: Config, part: Part, hidden: int, norm: str, pooling: str) -> Branch:
    """Return one dense layer with a norm, then the decoder or a classifier."""
    activation = config.activation("classifier_activation", "gelu")
    bias = config.flag("classifier_bias", False)
    if part is MASKED:
        return masked_branch(
            hidden,
            config.size("vocab_size"),
            activation,
            tied=config.flag("tie_word_embeddings", True),
            norm=norm,
            bias=bias,
            decoder_bias=config.flag("decoder_bias", True),
        )
    rows = pooling if part.rows == "pooled" else part.rows
    dense = Dense(Head("transform", hidden, bias=bias), activation, norm)
    classifier = Dense(Head("classifier", part.width or config.labels(), bias=True, axis="labels"))
    return Branch(rows, (dense, classifier))


def _read_layers(config: Config) -> tuple[EncoderLayers, ...]:
    """Read which layers look how far: the first, those all around, those near.

    The first has no norm before its attention: the embeddings are normalised. ``local_attention``
    is how many tokens are seen, half of them to each side, beside itself.
    """
    total = config.size("num_hidden_layers")
    window = config.size("local_attention", 128) // 2 + 1
    every = config.size("global_attn_every_n_layers", 3)
    kinds = config.layer_types(total, _KINDS)
    first = None if kinds is None or kinds[0] == "full_attention" else window
    if kinds is None:
        near = [layer for layer in range(1, total) if layer % every]
    else:
        near = [layer for layer in range(1, total) if kinds[layer] == "sliding_attention"]
    runs = (
        EncoderLayers((0,), "first_layer", first, bare=True),
        EncoderLayers(tuple(layer for layer in range(1, total) if layer not in near)),
        EncoderLayers(tuple(near), "local_layers", window),
    )
    return tuple(run for run in runs if run.count)


FAMILY = Family("modernbert", ("modernbert",), read, lower)

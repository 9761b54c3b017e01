"""BERTs with a gated feed-forward and without a table of positions: MosaicBERT, JinaBERT, GTE.

Their checkpoints run custom code. Both inputs of the feed-forward's gate are one product without a
bias; its output has one. MosaicBERT and JinaBERT add ALiBi to the scores, GTE rotates.

Sources: mosaicml/examples examples/benchmarks/bert/src/bert_layers.py (MosaicBERT);
jinaai/jina-bert-implementation modeling_bert.py and jinaai/jina-bert-v2-qk-post-norm (JinaBERT);
Alibaba-NLP/new-impl modeling.py (GTE).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.encoder import Embedding, Encoder, EncoderLayers, lower
from memorywall.layers.encoder_heads import masked_branch
from memorywall.layers.tape import Attention, FeedForward
from memorywall.reading.config_values import Config
from memorywall.reading.encoders import (
    BERT_TOPS,
    LABELS,
    MASKED,
    TOKENS,
    Part,
    Tops,
    branches,
    read_attention,
    read_class,
    refuse_decoder,
)

_GTE_TOPS: Tops = {
    "Model": (),
    "ForMaskedLM": (MASKED,),
    "ForSequenceClassification": (Part("first", "tanh", LABELS),),
    "ForTokenClassification": (TOKENS,),
    "ForQuestionAnswering": (TOKENS,),
}


@dataclass(frozen=True, slots=True)
class _Dialect:
    """The differences of one model type; defaults of keys are those of its config class.

    Attributes:
        prefix: of its classes.
        tops: its classes.
        placed: ``position_embedding_type`` of configs without the key, or "" if it is not read.
        positions: for configs that leave ``max_position_embeddings`` out.
        token_types: for configs that leave ``type_vocab_size`` out.
        feed_forward: ``feed_forward_type`` of configs without the key; "" if it is not read.
        qk_norm: how queries and keys are normalised; "" for not at all.
    """

    prefix: str
    tops: Tops
    placed: str = ""
    positions: int = 512
    token_types: int = 2
    feed_forward: str = ""
    qk_norm: str = ""


_JINA = _Dialect("JinaBert", BERT_TOPS, placed="absolute", feed_forward="original")
_GTE = _Dialect("New", _GTE_TOPS, placed="rope", positions=2048, token_types=1)
_DIALECTS = {
    "mosaic_bert": _Dialect("Bert", BERT_TOPS),
    "jina_bert": _JINA,
    "jina_bert_qk_norm": replace(_JINA, qk_norm="all"),
    "new": _GTE,
    "gte": replace(_GTE, prefix="Gte"),
}
_GATED = {"geglu": "gelu", "reglu": "relu"}


def read(data: Mapping[str, Any], where: str) -> Encoder:
    """Read a config of one of the model types in ``_DIALECTS``."""
    config = Config(data, where)
    dialect = _DIALECTS[str(data["model_type"])]
    refuse_decoder(config)
    config.refuse("layer_norm_type", ("rms_norm",), "RMS norms are not supported")
    class_name, parts = read_class(config, dialect.prefix, dialect.tops)
    placed = "alibi"
    if dialect.placed:
        known = ("absolute", "alibi", "rope")
        placed = config.choice("position_embedding_type", known, dialect.placed)
    words, hidden = config.size("vocab_size"), config.size("hidden_size")
    positions = config.size("max_position_embeddings", dialect.positions)
    mlp = _read_mlp(config, dialect)
    tied = config.flag("tie_word_embeddings", True)
    masked = masked_branch(hidden, words, mlp.activation, tied=tied)
    architecture = Encoder(
        class_name=class_name,
        dtype=config.dtype(),
        hidden_size=hidden,
        max_positions=positions,
        layers=(EncoderLayers(tuple(range(config.size("num_hidden_layers")))),),
        embedding=Embedding(
            words, hidden, positions=positions if placed == "absolute" else 0,
            token_types=config.count("type_vocab_size", dialect.token_types),
        ),
        attention=_read_attention(config, dialect, placed),
        mlp=mlp,
        top=branches(config, parts, hidden, masked),
        notes=config.all_notes(),
    )  # fmt: skip
    config.check()
    return architecture


def _read_attention(config: Config, dialect: _Dialect, placed: str) -> Attention:
    attention = read_attention(config, rotary=placed == "rope")
    if placed == "alibi":
        attention = replace(attention, on_scores="alibi")
    return replace(attention, qk_norm=dialect.qk_norm, qk_norm_kind="layernorm")


def _read_mlp(config: Config, dialect: _Dialect) -> FeedForward:
    """Read the feed-forward: gated without biases before the gate, or BERT's."""
    width, activation = config.size("intermediate_size"), config.activation("hidden_act", "gelu")
    if dialect.feed_forward:
        kind = config.choice("feed_forward_type", ("original", *_GATED), dialect.feed_forward)
        if kind == "original":
            return FeedForward(width, activation, bias=True)
        activation = _GATED[kind]
    return FeedForward(width, activation, gated=True, out_bias=True)


FAMILY = Family("gated_bert", tuple(_DIALECTS), read, lower)

"""BERT and its siblings: learned positions, and layers of attention and a plain feed-forward.

The model types differ in the tables of their embeddings, in where norms stand, and in what their
classes put on top; ``_DIALECTS`` lists that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.encoder import Embedding, Encoder, EncoderLayers, lower
from memorywall.layers.encoder_heads import Branch, masked_branch
from memorywall.layers.tape import FeedForward
from memorywall.reading.config_values import Config
from memorywall.reading.encoders import (
    BERT_TOPS,
    LABELS,
    MASKED,
    ROBERTA_TOPS,
    TOKENS,
    Part,
    Tops,
    branches,
    read_attention,
    read_class,
    refuse_decoder,
    refuse_summaries,
    usable_positions,
)

_ELECTRA_TOPS: Tops = {
    "Model": (),
    "ForMaskedLM": (MASKED,),
    "ForPreTraining": (Part("each", "hidden_act", 1),),
    "ForSequenceClassification": (Part("first", "gelu", LABELS),),
    "ForMultipleChoice": (Part("first", "gelu", 1),),
    "ForTokenClassification": (TOKENS,),
    "ForQuestionAnswering": (TOKENS,),
}


@dataclass(frozen=True, slots=True)
class _Dialect:
    """The differences of one model type; defaults of keys are those of its transformers config.

    Attributes:
        prefix: of its transformers classes.
        tops: its classes.
        token_types: for configs that leave ``type_vocab_size`` out.
        padded: whether positions are counted from the one after ``pad_token_id``.
        norm_first: whether norms stand before each half of a layer.
        embedding_norm: whether the embeddings are normalised.
        positions: ``max_position_embeddings`` of configs without the key.
        width_key, width: the key of a separate width of the embeddings, and its default.
        tasks: whether ``use_task_id`` is read.
        transform: activation of the masked-language head; "" for that of the layers.
        second_bias: whether an untied masked-language head keeps a second bias, never read: it
            replaces the first only if the two are tied.
        output_width: default of ``output_embedding_size``, the width of a decoder that is never
            tied; 0 where the decoder is as wide as the embeddings.
    """

    prefix: str
    tops: Tops
    positions: int = 512
    token_types: int = 2
    padded: bool = False
    norm_first: bool = False
    embedding_norm: bool = True
    width_key: str = ""
    width: int = 0
    tasks: bool = False
    transform: str = ""
    second_bias: bool = True
    output_width: int = 0


_ROBERTA = _Dialect("Roberta", ROBERTA_TOPS, padded=True, transform="gelu")
_DIALECTS = {
    "bert": _Dialect("Bert", BERT_TOPS),
    "roberta": _ROBERTA,
    "xlm-roberta": replace(_ROBERTA, prefix="XLMRoberta"),
    "camembert": replace(_ROBERTA, prefix="Camembert"),
    "data2vec-text": replace(_ROBERTA, prefix="Data2VecText"),
    "roberta-prelayernorm": replace(_ROBERTA, prefix="RobertaPreLayerNorm", norm_first=True),
    "xlm-roberta-xl": replace(
        _ROBERTA, prefix="XLMRobertaXL", token_types=1, norm_first=True, embedding_norm=False,
        positions=514,
    ),
    "ernie": _Dialect("Ernie", BERT_TOPS, tasks=True),
    "megatron-bert": _Dialect("MegatronBert", BERT_TOPS, norm_first=True, embedding_norm=False),
    "electra": _Dialect(
        "Electra", _ELECTRA_TOPS, width_key="embedding_size", width=128, transform="gelu",
        second_bias=False,
    ),
    "rembert": _Dialect(
        "RemBert", ROBERTA_TOPS, width_key="input_embedding_size", width=256, second_bias=False,
        output_width=1664,
    ),
}  # fmt: skip


def read(data: Mapping[str, Any], where: str) -> Encoder:
    """Read a config of one of the model types in ``_DIALECTS``."""
    config = Config(data, where)
    dialect = _DIALECTS[str(data["model_type"])]
    refuse_decoder(config)
    class_name, parts = read_class(config, dialect.prefix, dialect.tops)
    if dialect.tops is _ELECTRA_TOPS and class_name.endswith("MultipleChoice"):
        refuse_summaries(config)
    embedding = _read_embedding(config, dialect, masked=MASKED in parts)
    hidden = config.size("hidden_size")
    architecture = Encoder(
        class_name=class_name,
        dtype=config.dtype(),
        hidden_size=hidden,
        max_positions=usable_positions(config, embedding.positions, padded=dialect.padded),
        layers=(EncoderLayers(tuple(range(config.size("num_hidden_layers")))),),
        embedding=embedding,
        attention=read_attention(config),
        mlp=FeedForward(
            config.size("intermediate_size"), config.activation("hidden_act", "gelu"), bias=True
        ),
        top=branches(config, parts, hidden, _masked(config, dialect, embedding)),
        norm_first=dialect.norm_first,
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _read_embedding(config: Config, dialect: _Dialect, *, masked: bool) -> Embedding:
    hidden, words = config.size("hidden_size"), config.size("vocab_size")
    width = config.size(dialect.width_key, dialect.width) if dialect.width_key else hidden
    tasks = dialect.tasks and config.flag("use_task_id", False)
    untied = masked and not config.flag("tie_word_embeddings", True)
    return Embedding(
        words,
        width,
        positions=config.size("max_position_embeddings", dialect.positions),
        token_types=config.size("type_vocab_size", dialect.token_types),
        task_types=config.size("task_type_vocab_size", 3) if tasks else 0,
        norm="layernorm" if dialect.embedding_norm else "",
        # ELECTRA projects where the widths differ, RemBERT always.
        projected=width != hidden or bool(dialect.output_width),
        unread=words if untied and dialect.second_bias else 0,
    )


def _masked(config: Config, dialect: _Dialect, embedding: Embedding) -> Branch:
    activation = dialect.transform or config.activation("hidden_act", "gelu")
    if dialect.output_width:
        width, tied = config.size("output_embedding_size", dialect.output_width), False
    else:
        width, tied = embedding.width, config.flag("tie_word_embeddings", True)
    return masked_branch(width, embedding.words, activation, tied=tied)


FAMILY = Family("bert", tuple(_DIALECTS), read, lower)

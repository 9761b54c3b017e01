"""RoFormer and other BERTs whose positions rotate queries and keys instead of being added.

The model types differ in biases, in the feed-forward and in what their classes put on top;
``_DIALECTS`` lists that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.encoder import Embedding, Encoder, EncoderLayers, lower
from memorywall.layers.encoder_heads import masked_branch
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
    refuse_decoder,
)

_ROFORMER_TOPS: Tops = {
    "Model": (),
    "ForMaskedLM": (MASKED,),
    "ForSequenceClassification": (Part("first", "hidden_act", LABELS),),
    "ForTokenClassification": (TOKENS,),
    "ForQuestionAnswering": (TOKENS,),
}
_JINA_TOPS: Tops = {
    "Model": (Part("first", "tanh"),),
    "ForMaskedLM": (MASKED,),
    "ForSequenceClassification": (Part("first", "tanh", LABELS),),
    "ForTokenClassification": (TOKENS,),
    "ForQuestionAnswering": (TOKENS,),
}
_NOMIC_TOPS: Tops = {
    "Model": (),
    "ForMaskedLM": (MASKED,),
    "ForSequenceClassification": (Part("first", "tanh", LABELS),),
    "ForTokenClassification": (TOKENS,),
}


# Variants of Nomic's own code that transformers' class does not have.
_FIXED = {
    "causal": True, "mlp_fc1_bias": True, "mlp_fc2_bias": True, "qkv_proj_bias": True,
    "parallel_block": True, "parallel_block_tied_norm": True, "use_rms_norm": True,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Dialect:
    """The differences of one model type; defaults of keys are those of its transformers config.

    Attributes:
        prefix: of its transformers classes.
        tops: its classes.
        positions, token_types: for configs that leave these keys out.
        activation: ``hidden_act`` of configs that leave the key out.
        bias: whether linear layers have biases.
        gated: whether the feed-forward is.
        table: whether the angles of all positions are kept, and ``embedding_size`` is read.
        transform: activation of the masked-language head; "" for that of the layers.
    """

    prefix: str
    tops: Tops
    positions: int
    token_types: int = 2
    activation: str = "gelu"
    bias: bool = True
    gated: bool = False
    table: bool = False
    transform: str = ""


_DIALECTS = {
    "roformer": _Dialect("RoFormer", _ROFORMER_TOPS, 1536, table=True),
    "jina_embeddings_v3": _Dialect(
        "JinaEmbeddingsV3", _JINA_TOPS, 8194, token_types=1, transform="gelu"
    ),
    "nomic_bert": _Dialect(
        "NomicBert", _NOMIC_TOPS, 2048, activation="silu", bias=False, gated=True
    ),
}


def read(data: Mapping[str, Any], where: str) -> Encoder:
    """Read a config of one of the model types in ``_DIALECTS``."""
    config = Config(data, where)
    dialect = _DIALECTS[str(data["model_type"])]
    refuse_decoder(config)
    _refuse_variants(config)
    if data.get("lora_adaptations"):
        config.notes.append("The adapters of lora_adaptations are not counted.")
    class_name, parts = read_class(config, dialect.prefix, dialect.tops)
    hidden = config.size("hidden_size")
    activation = config.activation("hidden_act", dialect.activation)
    attention = _read_attention(config, dialect)
    tied = config.flag("tie_word_embeddings", True)
    embedding = _read_embedding(config, dialect, attention, untied=MASKED in parts and not tied)
    transform = dialect.transform or activation
    masked = masked_branch(embedding.width, embedding.words, transform, tied=tied)
    width = config.size("intermediate_size")
    architecture = Encoder(
        class_name=class_name,
        dtype=config.dtype(),
        hidden_size=hidden,
        max_positions=config.size("max_position_embeddings", dialect.positions),
        layers=(EncoderLayers(tuple(range(config.size("num_hidden_layers")))),),
        embedding=embedding,
        attention=attention,
        mlp=FeedForward(width, activation, gated=dialect.gated, bias=dialect.bias),
        top=branches(config, parts, hidden, masked),
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _refuse_variants(config: Config) -> None:
    """Refuse what published configs of these model types ask for, and transformers does not build.

    Rotated values it does build; they are too rare to be worth an operator.
    """
    config.leave("rotary_value", (True,), "values that are rotated are")
    config.refuse("norm_type", ("rms_norm",), "RoFormer 2 is not supported")
    config.refuse("prenorm", (True,), "norms before each half of a layer are not supported")
    config.refuse("num_experts", range(1, 2**16), "experts are not supported")
    if config.share("rotary_emb_fraction", 1.0) != 1:
        config.refuse(
            "rotary_emb_fraction", (config.data["rotary_emb_fraction"],), "the class rotates all"
        )
    for key, value in _FIXED.items():
        config.refuse(key, (value,), "the class has no such variant")


def _read_attention(config: Config, dialect: _Dialect) -> Attention:
    attention = read_attention(config, bias=dialect.bias, rotary=True)
    config.only("head_dim", attention.head_dim, "only the heads' share is supported")
    return attention


def _read_embedding(
    config: Config, dialect: _Dialect, attention: Attention, *, untied: bool
) -> Embedding:
    """Read the tables; an untied masked-language head keeps a second bias, never read."""
    words, hidden = config.size("vocab_size"), config.size("hidden_size")
    width = config.size("embedding_size", hidden) if dialect.table else hidden
    return Embedding(
        words,
        width,
        token_types=config.size("type_vocab_size", dialect.token_types),
        projected=width != hidden,
        angles=attention.head_dim if dialect.table else 0,
        unread=words if untied else 0,
    )


FAMILY = Family("roformer", tuple(_DIALECTS), read, lower)

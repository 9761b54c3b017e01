"""Configs that speak as Llama's does, each model type with its own accent.

A ``Dialect`` says where a model type departs from Llama; ``read_dialect`` reads such a config.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from memorywall.families._blocks import Attention, FeedForward
from memorywall.families._config import Config
from memorywall.families._decoder import Decoder, Layers
from memorywall.families._heads import ALL_HEADS, decoder_classes, decoder_head
from memorywall.families._windows import everywhere

# Whether something is there: always, never, or as a key says, with the default of that key.
Switch: TypeAlias = bool | tuple[str, bool]

ATTENTION_BIAS = ("attention_bias", False)
MLP_BIAS = ("mlp_bias", False)
PARTIAL_ROTARY = "partial_rotary_factor"


@dataclass(frozen=True, slots=True)
class Dialect:
    """What sets one model type apart; defaults of keys are those of its transformers config.

    Attributes:
        prefix: of its transformers classes.
        generating, base: its causal LM and its bare model where they are not named by the prefix.
        heads: what transformers has for it beside those two.
        names: its own names of keys that others share.
        qkv_bias, out_bias, mlp_bias, head_bias: on the projections of attention, the feed-forward
            and the language model's head.
        gated: whether the feed-forward is.
        expansion: width of the feed-forward in hidden sizes, for configs that leave it out.
        activation: the key that names its function, if any, and the default.
        norm, norms: kind and place of the norms, as in ``Decoder``.
        qk_norm, qk_norm_kind, qk_normed: what norms queries and keys have, and whether they do.
        kv_heads, head_dim: for configs that leave the key out; None: as many as the query heads,
            and the hidden size over the heads.
        reads_kv_heads, reads_head_dim: whether there is such a key at all.
        layers: reads how many layers of which kinds there are.
        rotary: share of a head that is rotated, for configs that leave ``rotary_key`` out, or where
            there is no such key; None for no rotation.
        on_scores, on_logits: as in ``Attention`` and ``Decoder``.
        positions: ``max_position_embeddings`` of configs that leave the key out.
        tied: whether the head is the word embedding, for configs that leave the key out.
        embedding_scale, residual_scale: as in ``Decoder``.
        clips: whether ``clip_qkv`` is read.
        refused: keys and values that are not covered, with the reason.
    """

    prefix: str
    generating: str = ""
    base: str = ""
    heads: tuple[str, ...] = ALL_HEADS
    names: Mapping[str, str] = field(default_factory=dict)
    qkv_bias: Switch = False
    out_bias: Switch = False
    mlp_bias: Switch = False
    head_bias: bool = False
    gated: bool = True
    expansion: int | None = None
    activation: tuple[str, str] = ("hidden_act", "silu")
    norm: str = "rmsnorm"
    norms: str = "before"
    qk_norm: str = ""
    qk_norm_kind: str = "rmsnorm"
    qk_normed: Switch = True
    kv_heads: int | None = None
    head_dim: int | None = None
    reads_kv_heads: bool = True
    reads_head_dim: bool = True
    layers: Callable[[Config, int], tuple[Layers, ...]] = everywhere
    rotary: float | None = 1.0
    rotary_key: str = ""
    on_scores: str = ""
    on_logits: str = ""
    positions: int = 2048
    tied: bool = False
    embedding_scale: bool = False
    residual_scale: bool = False
    clips: bool = False
    refused: tuple[tuple[str, tuple[object, ...], str], ...] = ()


def switched(config: Config, switch: Switch) -> bool:
    """Tell whether something is there."""
    return switch if isinstance(switch, bool) else config.flag(*switch)


def read_dialect(data: Mapping[str, Any], where: str, dialects: Mapping[str, Dialect]) -> Decoder:
    """Read a config of one of the model types in a table of dialects."""
    dialect = dialects[str(data["model_type"])]
    config = Config(data, where, dialect.names)
    decoder = read_decoder(config, dialect)
    config.check()
    return decoder


def read_decoder(config: Config, dialect: Dialect) -> Decoder:
    """Read what a config says in a dialect; its faults are noted, not yet raised."""
    for key, values, reason in dialect.refused:
        config.refuse(key, values, reason)
    class_name = _class_name(config, dialect)
    tied = config.flag("tie_word_embeddings", dialect.tied)
    head = decoder_head(config, class_name, tied=tied)
    if head is not None and head.name == "lm_head":
        head = replace(head, bias=dialect.head_bias)
    return Decoder(
        class_name=class_name,
        head=head,
        dtype=config.dtype(),
        vocab_size=config.size("vocab_size"),
        hidden_size=config.size("hidden_size"),
        max_positions=config.size("max_position_embeddings", dialect.positions),
        layers=dialect.layers(config, config.size("num_hidden_layers")),
        attention=_read_attention(config, dialect),
        mlp=_read_mlp(config, dialect),
        norm=dialect.norm,
        norms=dialect.norms,
        embedding_scale=dialect.embedding_scale,
        residual_scale=dialect.residual_scale,
        on_logits=dialect.on_logits,
        notes=config.all_notes(),
    )


def _class_name(config: Config, dialect: Dialect) -> str:
    generating = dialect.generating or f"{dialect.prefix}ForCausalLM"
    known = decoder_classes(dialect.prefix, generating, dialect.heads)
    if dialect.base:
        known = (generating, dialect.base, *known[2:])
    return config.class_name(generating, known)


def _read_mlp(config: Config, dialect: Dialect) -> FeedForward:
    default = dialect.expansion
    width = None if default is None else default * config.size("hidden_size")
    return FeedForward(
        config.size("intermediate_size", width),
        config.activation(*dialect.activation),
        gated=dialect.gated,
        bias=switched(config, dialect.mlp_bias),
    )


def _read_attention(config: Config, dialect: Dialect) -> Attention:
    heads, kv_heads, head_dim = _read_heads(config, dialect)
    share = dialect.rotary
    if share is not None and dialect.rotary_key:
        share = config.rotary_share(share, dialect.rotary_key)
    return Attention(
        heads,
        kv_heads,
        head_dim,
        qkv_bias=switched(config, dialect.qkv_bias),
        out_bias=switched(config, dialect.out_bias),
        rotary=0 if share is None else max(1, int(head_dim * share)),
        qk_norm=dialect.qk_norm if switched(config, dialect.qk_normed) else "",
        qk_norm_kind=dialect.qk_norm_kind,
        on_scores=dialect.on_scores,
        clip=dialect.clips and config.bound("clip_qkv") is not None,
    )


def _read_heads(config: Config, dialect: Dialect) -> tuple[int, int, int]:
    """Return N, K and H.

    Null is not absent: a null ``num_key_value_heads`` is as many as the query heads, a null
    ``head_dim`` the hidden size over the heads.
    """
    hidden, heads = config.size("hidden_size"), config.size("num_attention_heads")
    given = dialect.reads_kv_heads and config.data.get("num_key_value_heads", 0) is not None
    kv_heads = config.size("num_key_value_heads", dialect.kv_heads or heads) if given else heads
    config.divides("num_key_value_heads", kv_heads, "num_attention_heads", heads)
    head_dim = dialect.head_dim
    if dialect.reads_head_dim and config.has("head_dim"):
        return heads, kv_heads, config.size("head_dim")
    if head_dim is None or (dialect.reads_head_dim and "head_dim" in config.data):
        unless = "head_dim" if dialect.reads_head_dim else None
        config.divides("num_attention_heads", heads, "hidden_size", hidden, unless=unless)
        head_dim = max(1, hidden // heads)
    if dialect.reads_head_dim:
        config.default("head_dim", head_dim)
    return heads, kv_heads, head_dim

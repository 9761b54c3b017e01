"""Configs with Llama's keys, and the differences of each model type.

A ``Dialect`` lists the differences of a model type from Llama, including experts instead of the
feed-forward; ``read_dialect`` reads such a config.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from memorywall.layers.decoder import AnyAttention, AnyMixer, AnyMlp, Decoder, grouped
from memorywall.layers.output_head import Head
from memorywall.layers.tape import Attention, FeedForward
from memorywall.reading.config_values import LARGEST_DEPTH, Config
from memorywall.reading.expert_keys import Mixture, read_experts
from memorywall.reading.heads import ALL_HEADS, decoder_classes, decoder_head
from memorywall.reading.windows import Look, everywhere

# Whether a part exists: always, never, or by a key, with the default of that key.
Switch: TypeAlias = bool | tuple[str, bool]

ATTENTION_BIAS = ("attention_bias", False)
MLP_BIAS = ("mlp_bias", False)
PARTIAL_ROTARY = "partial_rotary_factor"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The differences of one model type; defaults of keys are those of its transformers config.

    Attributes:
        prefix: of its transformers classes.
        generating, base: its causal LM and its bare model if they are not named by the prefix.
        heads: its other transformers classes.
        names: its names of common keys.
        qkv_bias, out_bias, mlp_bias, head_bias: on the projections of attention, the feed-forward
            and the language model's head.
        gated: whether the feed-forward is.
        width: key of the width of the feed-forward, if any, with its default.
        expansion: that width in hidden sizes, for configs without the key.
        activation: the key of its function, if any, and the default.
        norm, norms: kind and place of the norms, as in ``Decoder``.
        experts: those that replace the feed-forward in all or some layers, if any.
        mixers: reads the token mixers that replace attention in each layer; None if there are none.
        state_dtype: as in ``Decoder``.
        gated_attention: whether attention's output is gated.
        attention: reads an attention other than Llama's; the fields below are then not read.
        qk_norm, qk_norm_kind, qk_normed: the norms of queries and keys, and whether they exist.
        kv_heads, head_dim: for configs without the key; None: the number of query heads, and the
            hidden size over the heads.
        reads_kv_heads, reads_head_dim: whether the config has such a key.
        layers: reads the window and rotation of each layer.
        rotary: share of a head that is rotated, for configs without ``rotary_key``, or if there is
            no such key; None for no rotation.
        rotary_elements: key of the number of rotated elements, with its default; None: by the
            share.
        on_scores, on_logits: as in ``Attention`` and ``Decoder``.
        positions: ``max_position_embeddings`` of configs without the key.
        tied: whether the head is the word embedding, for configs without the key.
        embedding_scale, residual_scale: as in ``Decoder``.
        clips: whether ``clip_qkv`` is read.
        refused: unsupported keys and values, with the reason.
    """

    prefix: str
    generating: str = ""
    base: str = ""
    heads: tuple[str, ...] = ALL_HEADS
    names: Mapping[str, str] = field(default_factory=dict)
    qkv_bias: Switch = False
    out_bias: Switch = False
    mlp_bias: Switch = False
    head_bias: Switch = False
    gated: bool = True
    width: tuple[str, int | None] = ("intermediate_size", None)
    expansion: int | None = None
    activation: tuple[str, str] = ("hidden_act", "silu")
    norm: str = "rmsnorm"
    norms: str = "before"
    experts: Mixture | None = None
    mixers: Callable[[Config, int], Sequence[AnyMixer | None]] | None = None
    state_dtype: str | None = None
    gated_attention: bool = False
    attention: Callable[[Config], AnyAttention] | None = None
    qk_norm: str = ""
    qk_norm_kind: str = "rmsnorm"
    qk_normed: Switch = True
    kv_heads: int | None = None
    head_dim: int | None = None
    reads_kv_heads: bool = True
    reads_head_dim: bool = True
    layers: Callable[[Config, int], list[Look]] = everywhere
    rotary: float | None = 1.0
    rotary_key: str = ""
    rotary_elements: tuple[str, int | None] | None = None
    on_scores: str = ""
    on_logits: str = ""
    positions: int = 2048
    tied: bool = False
    embedding_scale: bool = False
    residual_scale: bool = False
    clips: bool = False
    refused: tuple[tuple[str, Sequence[object], str], ...] = ()


def switched(config: Config, switch: Switch) -> bool:
    """Return whether a part exists."""
    return switch if isinstance(switch, bool) else config.flag(*switch)


def read_dialect(data: Mapping[str, Any], where: str, dialects: Mapping[str, Dialect]) -> Decoder:
    """Read a config of one of the model types in a table of dialects."""
    dialect = dialects[str(data["model_type"])]
    config = Config(data, where, dialect.names)
    decoder = read_decoder(config, dialect)
    config.check()
    return decoder


def read_decoder(config: Config, dialect: Dialect) -> Decoder:
    """Read a config in a dialect; faults are collected, not yet raised."""
    for key, values, reason in dialect.refused:
        config.refuse(key, values, reason)
    class_name = _class_name(config, dialect)
    depth = config.size("num_hidden_layers", most=LARGEST_DEPTH)
    mixers, mlps = _read_mixers(config, dialect, depth), _read_mlps(config, dialect, depth)
    return Decoder(
        class_name=class_name,
        head=_read_head(config, dialect, class_name),
        dtype=config.dtype(),
        vocab_size=config.size("vocab_size"),
        hidden_size=config.size("hidden_size"),
        max_positions=config.size("max_position_embeddings", dialect.positions),
        layers=grouped(zip(mixers, mlps, strict=True)),
        norm=dialect.norm,
        norms=dialect.norms,
        embedding_scale=dialect.embedding_scale,
        residual_scale=dialect.residual_scale,
        on_logits=dialect.on_logits,
        state_dtype=dialect.state_dtype,
        notes=config.all_notes(),
    )


def _class_name(config: Config, dialect: Dialect) -> str:
    generating = dialect.generating or f"{dialect.prefix}ForCausalLM"
    known = decoder_classes(dialect.prefix, generating, dialect.heads)
    if dialect.base:
        known = (generating, dialect.base, *known[2:])
    return config.class_name(generating, known)


def _read_head(config: Config, dialect: Dialect, class_name: str) -> Head | None:
    tied = config.flag("tie_word_embeddings", dialect.tied)
    head = decoder_head(config, class_name, tied=tied)
    if head is not None and head.axis == "vocab":
        return replace(head, bias=switched(config, dialect.head_bias))
    return head


def _read_mixers(config: Config, dialect: Dialect, layers: int) -> list[AnyMixer]:
    """Return each layer's attention or its replacement; only parts that a layer has are read."""
    others: Sequence[AnyMixer | None] = [None] * layers
    if dialect.mixers is not None:
        others = dialect.mixers(config, layers)
    if all(mixer is not None for mixer in others):
        return [mixer for mixer in others if mixer is not None]
    attention, looks = read_attention(config, dialect), dialect.layers(config, layers)
    return [
        _looking(attention, *look) if mixer is None else mixer
        for mixer, look in zip(others, looks, strict=True)
    ]


def _looking(attention: AnyAttention, window: int | None, rotated: bool) -> AnyAttention:
    """Return the attention of a layer with a window and with or without rotation."""
    if not isinstance(attention, Attention) or (window is None and rotated):
        return attention
    return replace(attention, window=window, rotary=attention.rotary if rotated else 0)


def _read_mlps(config: Config, dialect: Dialect, layers: int) -> list[AnyMlp]:
    """Return each layer's feed-forward or experts; only parts that a layer has are read."""
    sparse = [False] * layers if dialect.experts is None else dialect.experts.layers(config, layers)
    kinds = {has: _read_mlp(config, dialect, sparse=has) for has in dict.fromkeys(sparse)}
    return [kinds[has] for has in sparse]


def _read_mlp(config: Config, dialect: Dialect, *, sparse: bool) -> AnyMlp:
    key, activation = dialect.activation
    if key:
        activation = config.activation(key, activation)
    bias = switched(config, dialect.mlp_bias)
    if dialect.experts is not None and sparse:
        return read_experts(config, dialect.experts, activation, bias=bias)
    key, width = dialect.width
    if dialect.expansion is not None:
        width = dialect.expansion * config.size("hidden_size")
    width = config.size(key, width) if key else width or 1
    return FeedForward(width, activation, gated=dialect.gated, bias=bias)


def read_attention(config: Config, dialect: Dialect) -> AnyAttention:
    """Read the attention of a config in a dialect."""
    if dialect.attention is not None:
        return dialect.attention(config)
    heads, kv_heads, head_dim = _read_heads(config, dialect)
    return Attention(
        heads,
        kv_heads,
        head_dim,
        qkv_bias=switched(config, dialect.qkv_bias),
        out_bias=switched(config, dialect.out_bias),
        rotary=_read_rotary(config, dialect, head_dim),
        qk_norm=dialect.qk_norm if switched(config, dialect.qk_normed) else "",
        qk_norm_kind=dialect.qk_norm_kind,
        on_scores=dialect.on_scores,
        gated=dialect.gated_attention,
        clip=dialect.clips and config.bound("clip_qkv") is not None,
    )


def _read_rotary(config: Config, dialect: Dialect, head_dim: int) -> int:
    """Return the number of rotated elements of a head."""
    share = dialect.rotary
    if share is None:
        return 0
    if dialect.rotary_key:
        share = config.rotary_share(share, dialect.rotary_key)
    elements = max(1, int(head_dim * share))
    if dialect.rotary_elements is None:
        return elements
    key, default = dialect.rotary_elements
    return config.size(key, default or elements, most=head_dim)


def _read_heads(config: Config, dialect: Dialect) -> tuple[int, int, int]:
    """Return N, K and H.

    A null key differs from an absent one: a null ``num_key_value_heads`` is the number of query
    heads, a null ``head_dim`` the hidden size over the heads.
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

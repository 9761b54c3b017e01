"""T5 and similar models: no biases, RMS norms, and positions as a bias on the scores.

A table of relative positions holds one number for each bucket of distances and head. It is read
whole in every pass, and makes a bias [N, T, S] that every layer's softmax reads like a mask,
without FLOPs. UMT5 has a table in every layer, T5 and mT5 one in each half.

The scale of the last hidden states by D^-1/2 in version 1.0 folds into the gain of the preceding
norm, and is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from memorywall.core.axes import named
from memorywall.core.errors import shown
from memorywall.core.forward import Forward
from memorywall.core.model import Family
from memorywall.core.program import Block, Program
from memorywall.core.tensors import Tensor
from memorywall.core.traits import Source, Traits
from memorywall.layers.element_costs import ACTIVATION_FLOPS
from memorywall.layers.encoder_decoder import (
    HalfLayers,
    Seq2SeqTape,
    decoder_layers,
    encoder_layers,
    final_norm,
    halves,
)
from memorywall.layers.output_head import Head, record_head
from memorywall.layers.tape import Attention, FeedForward
from memorywall.reading.config_values import Config


@dataclass(frozen=True, slots=True)
class _Dialect:
    """The differences of one model type.

    Attributes:
        prefix: of its transformers classes.
        feed_forward: ``feed_forward_proj`` of configs that leave it out.
        every_layer: whether every layer has a table of distances, or only each half.
    """

    prefix: str
    feed_forward: str = "gated-gelu"
    every_layer: bool = False


_DIALECTS = {
    "t5": _Dialect("T5", "relu"),
    "mt5": _Dialect("MT5"),
    "umt5": _Dialect("UMT5", every_layer=True),
}


@dataclass(frozen=True, slots=True)
class T5:
    """A T5 as its config describes it; see ``T5Encoder`` for one without a decoder.

    ``buckets`` are the rows of each half's table of distances; None where every layer has one.
    """

    class_name: str
    head: Head | None
    dtype: str
    vocab_size: int
    hidden_size: int
    buckets: int | None
    encoder: HalfLayers
    decoder: HalfLayers
    notes: tuple[str, ...] = ()
    max_positions: int | None = None

    @property
    def traits(self) -> Traits:
        """An encoder with a decoder."""
        return Traits(
            causal=True, caches=True, masks=True, head=self.head is not None, source=Source()
        )


@dataclass(frozen=True, slots=True)
class T5Encoder:
    """The encoder of a T5 by itself, as image generators take it to read their prompts."""

    class_name: str
    dtype: str
    vocab_size: int
    hidden_size: int
    buckets: int | None
    encoder: HalfLayers
    notes: tuple[str, ...] = ()
    max_positions: int | None = None

    @property
    def traits(self) -> Traits:
        """An encoder of text without a head."""
        return Traits(head=False)


def read(data: Mapping[str, Any], where: str) -> T5 | T5Encoder:
    """Read a config of one of the model types in ``_DIALECTS``."""
    config = Config(data, where)
    dialect = _DIALECTS[str(data["model_type"])]
    generating = f"{dialect.prefix}ForConditionalGeneration"
    alone = f"{dialect.prefix}EncoderModel"
    class_name = config.class_name(generating, (generating, f"{dialect.prefix}Model", alone))
    encoder = _read_stack(config, dialect)
    buckets = config.size("relative_attention_num_buckets", 32)
    common: dict[str, Any] = {
        "class_name": class_name,
        "dtype": config.dtype(),
        "vocab_size": config.size("vocab_size"),
        "hidden_size": config.size("d_model"),
        "buckets": None if dialect.every_layer else buckets,
        "encoder": encoder,
        "notes": config.all_notes(),
    }
    if class_name == alone:
        config.check()
        return T5Encoder(**common)
    # A checkpoint with an untied head, as in version 1.1 and mT5, stores it separately.
    tied = config.flag("tie_word_embeddings", True)
    head = Head("lm_head", config.size("vocab_size"), tied=tied, axis="vocab")
    layers = config.size("num_decoder_layers", encoder.layers)
    config.check()
    return T5(
        **common,
        head=head if class_name == generating else None,
        decoder=replace(encoder, layers=layers),
    )


def _read_stack(config: Config, dialect: _Dialect) -> HalfLayers:
    heads = config.size("num_heads")
    buckets = config.size("relative_attention_num_buckets", 32)
    return HalfLayers(
        config.size("num_layers"),
        Attention(heads, heads, config.size("d_kv", 64)),
        _read_mlp(config, dialect.feed_forward),
        "rmsnorm",
        buckets=buckets if dialect.every_layer else None,
    )


def _read_mlp(config: Config, default: str) -> FeedForward:
    """Read ``feed_forward_proj``: an activation function, or ``gated-`` and one."""
    key = "feed_forward_proj"
    name = config.word(key, default)
    gate, dash, function = name.rpartition("-")
    if dash and gate == "gated" and function == "gelu":
        function = "gelu_new"  # what gated-gelu has always meant
    if (dash and gate != "gated") or function not in ACTIVATION_FLOPS:
        config.faults[key] = (
            f"{key!r} must be an activation function, or 'gated-' and one, got {shown(name)}"
        )
        function = "relu"
    return FeedForward(config.size("d_ff"), function, gated=bool(dash))


def lower(model: T5 | T5Encoder, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    axes = named(vocab=model.vocab_size, hidden=model.hidden_size)
    words = Tensor("shared.weight", axes, forward.weights, "weight")
    if isinstance(model, T5Encoder):
        return Program(_encode(model, forward, words)[0])
    encoder, memory = _encode(model, forward.of_source(), words)

    start, hidden, bias = _embeddings(model, forward, "decoder", words)
    decoder = decoder_layers(model.decoder, forward, hidden, memory, bias=bias)
    decoder_top, last = final_norm(model.decoder, forward, "decoder", hidden)

    head = Seq2SeqTape(forward, "head")
    if model.head is not None:
        record_head(head, last, model.head, forward.head_axes, words)
    return halves(forward, encoder, (start, decoder, decoder_top, head.close()))


def _encode(
    model: T5 | T5Encoder, source: Forward, words: Tensor
) -> tuple[tuple[Block, ...], Tensor]:
    """Note the encoder over a source; return its blocks and what leaves it [B S, D]."""
    read_in, encoded, bias = _embeddings(model, source, "encoder", words)
    layers = encoder_layers(model.encoder, source, encoded, bias=bias)
    top, memory = final_norm(model.encoder, source, "encoder", encoded)
    return (read_in, layers, top), memory


def _embeddings(
    model: T5 | T5Encoder, forward: Forward, half: str, words: Tensor
) -> tuple[Block, Tensor, Tensor | None]:
    """Note the words of one half and its bias, if all of its layers share one.

    Returns the block, [B T, D] and [N, T S].
    """
    tape = Seq2SeqTape(forward, f"{half}.embeddings")
    width = named(hidden=model.hidden_size)
    hidden = Tensor(f"{half}.hidden", forward.row_axes + width, forward.activations)
    tape.look_up(words, hidden)
    bias = None
    if model.buckets is not None:
        bias = tape.distances(model.buckets, model.encoder.attention)
    return tape.close(), hidden, bias


FAMILY = Family("t5", tuple(_DIALECTS), read, lower)

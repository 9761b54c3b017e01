"""The first Transformer and others: Marian, BART, mBART, Pegasus, BlenderBot, M2M-100, PLBart.

Layers of one kind, biases everywhere, one table of words for encoder, decoder and head. The model
types differ in where norms stand, in the positions and in the keys' defaults; ``_DIALECTS`` lists
that. The bias that these models add to the logits is a buffer, no weight, and as other biases
starts its product's accumulator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.core.axes import named
from memorywall.core.forward import Forward
from memorywall.core.model import Family
from memorywall.core.program import Block, Program
from memorywall.core.tensors import Tensor
from memorywall.core.traits import Source, Traits
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
    """The differences of one model type; defaults of keys are those of its transformers config.

    Attributes:
        prefix: of its transformers classes.
        generating: the class with a head, less the prefix.
        norm_after: whether norms stand after each sum, and none on top.
        embedding_norm: whether a norm stands on the embeddings.
        extra_positions: rows of the table of positions before the first; None where positions are
            computed and no table is kept.
        positions, activation, scaled: ``max_position_embeddings``, ``activation_function`` and
            ``scale_embedding`` of configs that leave them out.
    """

    prefix: str
    generating: str = "ForConditionalGeneration"
    norm_after: bool = False
    embedding_norm: bool = False
    extra_positions: int | None = 0
    positions: int = 1024
    activation: str = "gelu"
    scaled: bool = False


_DIALECTS = {
    "marian": _Dialect("Marian", "MTModel", norm_after=True),
    "bart": _Dialect("Bart", norm_after=True, embedding_norm=True, extra_positions=2),
    "mbart": _Dialect("MBart", embedding_norm=True, extra_positions=2),
    "plbart": _Dialect(
        "PLBart", norm_after=True, embedding_norm=True, extra_positions=2, scaled=True
    ),
    "pegasus": _Dialect("Pegasus"),
    "blenderbot": _Dialect("Blenderbot", positions=128),
    "blenderbot-small": _Dialect(
        "BlenderbotSmall", norm_after=True, embedding_norm=True, positions=512
    ),
    "m2m_100": _Dialect("M2M100", extra_positions=None, activation="relu", scaled=True),
}


@dataclass(frozen=True, slots=True)
class Bart:
    """An encoder-decoder of this family, as its config describes it.

    ``decoder_vocab_size`` is None where encoder and decoder share their words;
    ``position_rows`` is None where no table of positions is kept.
    """

    class_name: str
    head: Head | None
    dtype: str
    vocab_size: int
    decoder_vocab_size: int | None
    hidden_size: int
    max_positions: int
    position_rows: int | None
    embedding_norm: bool
    scaled: bool
    encoder: HalfLayers
    decoder: HalfLayers
    notes: tuple[str, ...] = ()

    @property
    def traits(self) -> Traits:
        """An encoder with a decoder."""
        return Traits(
            causal=True, caches=True, masks=True, head=self.head is not None, source=Source()
        )


def read(data: Mapping[str, Any], where: str) -> Bart:
    """Read a config of one of the model types in ``_DIALECTS``."""
    config = Config(data, where)
    dialect = _DIALECTS[str(data["model_type"])]
    generating = dialect.prefix + dialect.generating
    class_name = config.class_name(generating, (generating, f"{dialect.prefix}Model"))
    apart = _decoder_words(config)
    if apart is None:
        reason = "a table of words for each half is not supported"
        config.refuse("tie_word_embeddings", (False,), reason)
    positions = config.size("max_position_embeddings", dialect.positions)
    extra = dialect.extra_positions
    head = Head(
        "lm_head",
        apart or config.size("vocab_size"),
        tied=config.flag("tie_word_embeddings", True),
        axis="vocab",
    )
    architecture = Bart(
        class_name=class_name,
        head=head if class_name == generating else None,
        dtype=config.dtype(),
        vocab_size=config.size("vocab_size"),
        decoder_vocab_size=apart,
        hidden_size=config.size("d_model"),
        max_positions=positions,
        position_rows=None if extra is None else positions + extra,
        embedding_norm=dialect.embedding_norm,
        scaled=config.flag("scale_embedding", dialect.scaled),
        encoder=_read_stack(config, dialect, "encoder"),
        decoder=_read_stack(config, dialect, "decoder"),
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _decoder_words(config: Config) -> int | None:
    """Return how many words a Marian's decoder has where they are not the encoder's."""
    marian = config.data.get("model_type") == "marian"
    if not marian or config.flag("share_encoder_decoder_embeddings", True):
        return None
    return config.size("decoder_vocab_size", config.size("vocab_size"))


def _read_stack(config: Config, dialect: _Dialect, half: str) -> HalfLayers:
    hidden, heads = config.size("d_model"), config.size(f"{half}_attention_heads")
    config.divides(f"{half}_attention_heads", heads, "d_model", hidden)
    head_dim = max(1, hidden // heads)
    return HalfLayers(
        config.size(f"{half}_layers"),
        Attention(heads, heads, head_dim, qkv_bias=True, out_bias=True),
        FeedForward(
            config.size(f"{half}_ffn_dim"),
            config.activation("activation_function", dialect.activation),
            bias=True,
        ),
        norm_after=dialect.norm_after,
    )


def lower(model: Bart, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    source = forward.of_source()
    axes = named(vocab=model.vocab_size, hidden=model.hidden_size)
    words = Tensor("shared.weight", axes, forward.weights, "weight")
    own_words = words
    if model.decoder_vocab_size is not None:
        axes = named(vocab=model.decoder_vocab_size, hidden=model.hidden_size)
        own_words = Tensor("decoder.words.weight", axes, forward.weights, "weight")

    read_in, encoded = _embeddings(model, source, "encoder", words)
    layers = encoder_layers(model.encoder, source, encoded)
    encoder_top, memory = final_norm(model.encoder, source, "encoder", encoded)

    start, hidden = _embeddings(model, forward, "decoder", own_words)
    decoder = decoder_layers(model.decoder, forward, hidden, memory)
    decoder_top, last = final_norm(model.decoder, forward, "decoder", hidden)

    head = Seq2SeqTape(forward, "head")
    if model.head is not None:
        record_head(head, last, model.head, forward.head_axes, own_words)
    return halves(
        forward, (read_in, layers, encoder_top), (start, decoder, decoder_top, head.close())
    )


def _embeddings(model: Bart, forward: Forward, half: str, words: Tensor) -> tuple[Block, Tensor]:
    """Note words and positions of one half, and their norm; return the block and [B T, D].

    Positions that are computed are added as tables are, and not read from memory.
    """
    tape = Seq2SeqTape(forward, f"{half}.embeddings")
    width = named(hidden=model.hidden_size)
    hidden = Tensor(f"{half}.hidden", forward.row_axes + width, forward.activations)
    summed = tape.like("sum", hidden) if model.embedding_norm else hidden
    if model.position_rows is None:
        tape.look_up(words, summed, scaled=model.scaled, computed=True)
    else:
        table = tape.positions(model.position_rows, model.hidden_size)
        tape.look_up(words, summed, table, scaled=model.scaled)
    if model.embedding_norm:
        tape.norm("norm", summed, "layernorm", out=hidden)
    return tape.close(), hidden


FAMILY = Family("bart", tuple(_DIALECTS), read, lower)

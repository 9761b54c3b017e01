"""Whisper: an encoder of speech under a decoder of text.

Two convolutions turn a mel spectrogram of 30 seconds, two frames per position, into the encoder's
1500 positions, independent of the speech; the spectrogram itself is not counted.
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

_KERNEL = 3  # of both convolutions, along time
_STRIDE = 2  # of the second


@dataclass(frozen=True, slots=True)
class Whisper:
    """A Whisper as its config describes it."""

    class_name: str
    head: Head | None
    dtype: str
    vocab_size: int
    mel_bins: int
    hidden_size: int
    max_positions: int
    fixed_source: int
    encoder: HalfLayers
    decoder: HalfLayers
    notes: tuple[str, ...] = ()

    @property
    def traits(self) -> Traits:
        """An encoder of speech with a decoder; every source has as many positions."""
        return Traits(
            causal=True,
            caches=True,
            masks=True,
            head=self.head is not None,
            source=Source(self.fixed_source),
        )


def read(data: Mapping[str, Any], where: str) -> Whisper:
    """Read a config with ``model_type`` whisper."""
    config = Config(data, where)
    generating = "WhisperForConditionalGeneration"
    class_name = config.class_name(generating, (generating, "WhisperModel"))
    tied = config.flag("tie_word_embeddings", True)
    head = Head("proj_out", config.size("vocab_size"), tied=tied, axis="vocab")
    architecture = Whisper(
        class_name=class_name,
        head=head if class_name == generating else None,
        dtype=config.dtype(),
        vocab_size=config.size("vocab_size"),
        mel_bins=config.size("num_mel_bins", 80),
        hidden_size=config.size("d_model"),
        max_positions=config.size("max_target_positions", 448),
        fixed_source=config.size("max_source_positions", 1500),
        encoder=_read_stack(config, "encoder"),
        decoder=_read_stack(config, "decoder"),
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _read_stack(config: Config, half: str) -> HalfLayers:
    hidden, heads = config.size("d_model"), config.size(f"{half}_attention_heads")
    config.divides(f"{half}_attention_heads", heads, "d_model", hidden)
    head_dim = max(1, hidden // heads)
    return HalfLayers(
        config.size(f"{half}_layers"),
        Attention(heads, heads, head_dim, qkv_bias=True, out_bias=True, key_bias=False),
        FeedForward(
            config.size(f"{half}_ffn_dim"),
            config.activation("activation_function", "gelu"),
            bias=True,
        ),
    )


def lower(model: Whisper, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    source = forward.of_source()
    read_in, encoded = _listen(model, source)
    layers = encoder_layers(model.encoder, source, encoded)
    encoder_top, memory = final_norm(model.encoder, source, "encoder", encoded)

    tape = Seq2SeqTape(forward, "decoder.embeddings")
    width = named(hidden=model.hidden_size)
    words = tape.weight("words.weight", named(vocab=model.vocab_size) + width)
    hidden = Tensor("decoder.hidden", forward.row_axes + width, forward.activations)
    table = tape.positions(model.max_positions, model.hidden_size)
    tape.look_up(words, hidden, table)
    decoder = decoder_layers(model.decoder, forward, hidden, memory)
    decoder_top, last = final_norm(model.decoder, forward, "decoder", hidden)

    head = Seq2SeqTape(forward, "head")
    if model.head is not None:
        record_head(head, last, model.head, forward.head_axes, words)
    return halves(
        forward,
        (read_in, layers, encoder_top),
        (tape.close(), decoder, decoder_top, head.close()),
    )


def _listen(model: Whisper, forward: Forward) -> tuple[Block, Tensor]:
    """Note the convolutions and the positions; return the block and [B S, D]."""
    tape = Seq2SeqTape(forward, "encoder.embeddings")
    width, rows = model.hidden_size, forward.row_axes
    frames = named(batch=forward.batch, tokens=_STRIDE * forward.tokens)
    x = tape.activation("mel", frames + named(channels=model.mel_bins))
    x = tape.apply("conv1_activation", "gelu", tape.conv("conv1", x, frames, width, _KERNEL))
    x = tape.conv("conv2", x, rows, width, _KERNEL)
    x = tape.apply("conv2_activation", "gelu", x)
    hidden = Tensor("encoder.hidden", rows + named(hidden=width), forward.activations)
    tape.add("positions", x, tape.positions(model.fixed_source, width), out=hidden)
    return tape.close(), hidden


FAMILY = Family("whisper", ("whisper",), read, lower)

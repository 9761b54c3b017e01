"""MPNet: BERT with a bias by distance on the scores, one table for all layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.core.axes import named
from memorywall.core.forward import Forward
from memorywall.core.model import Family
from memorywall.core.numbers import minimum
from memorywall.core.program import Block, Program
from memorywall.core.tensors import Tensor
from memorywall.layers.encoder import (
    Embedding,
    Encoder,
    EncoderLayers,
    embeddings,
    head,
    hidden_states,
    layers,
)
from memorywall.layers.encoder_heads import masked_branch
from memorywall.layers.tape import FeedForward, Tape
from memorywall.reading.config_values import Config
from memorywall.reading.encoders import MASKED, ROBERTA_TOPS, branches, read_attention, read_class


@dataclass(frozen=True, slots=True)
class MPNet(Encoder):
    """An MPNet; ``buckets`` are the distances that its bias distinguishes."""

    buckets: int = 32


def read(data: Mapping[str, Any], where: str) -> MPNet:
    """Read a config with ``model_type`` mpnet; positions begin after a padding row, which is 1."""
    config = Config(data, where)
    class_name, parts = read_class(config, "MPNet", ROBERTA_TOPS)
    hidden, words = config.size("hidden_size"), config.size("vocab_size")
    rows = config.size("max_position_embeddings", 512)
    tied = config.flag("tie_word_embeddings", True)
    idle = words if MASKED in parts and not tied else 0  # a second bias, never read
    architecture = MPNet(
        class_name=class_name,
        dtype=config.dtype(),
        hidden_size=hidden,
        max_positions=max(1, rows - 2),
        layers=(EncoderLayers(tuple(range(config.size("num_hidden_layers")))),),
        embedding=Embedding(words, hidden, rows, unread=idle),
        attention=read_attention(config),
        mlp=FeedForward(
            config.size("intermediate_size"), config.activation("hidden_act", "gelu"), bias=True
        ),
        top=branches(config, parts, hidden, masked_branch(hidden, words, "gelu", tied=tied)),
        notes=config.all_notes(),
        buckets=config.size("relative_attention_num_buckets", 32),
    )
    config.check()
    return architecture


def lower(model: MPNet, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    hidden = hidden_states(forward, model.hidden_size)
    first = embeddings(model, forward, hidden)
    distances, bias = _distances(model, forward)
    (run,) = model.layers
    middle = layers(model, run, forward, hidden, lambda *_: (bias,))
    return Program((first, distances, middle, head(model, forward, hidden, first.ops[0].reads[0])))


def _distances(model: MPNet, forward: Forward) -> tuple[Block, Tensor]:
    """Note the look-up of every pair's bias: [T, T] by heads, the same for all sequences."""
    tape = Tape(forward, "distances")
    tokens = forward.tokens
    bias = tape.activation("bias", named(tokens=tokens, keys=tokens, heads=model.attention.heads))
    touched = minimum(tokens * tokens, model.buckets)
    tape.embed("bias", bias, ("bias", ("positions", model.buckets), touched))
    return tape.close(), bias


FAMILY = Family("mpnet", ("mpnet",), read, lower)

"""RWKV-4: a recurrence in place of attention, and a feed-forward that looks one token back.

Peng et al., "RWKV: Reinventing RNNs for the Transformer Era", arXiv:2305.13048. Beside the three
numbers a channel of its recurrence each layer keeps its last two inputs, since every projection
reads a mixture of a token and the one before. Letters: B batch, T new tokens, D hidden, F
feed-forward, A the recurrence's channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.core.axes import named
from memorywall.core.forward import Forward
from memorywall.core.geometry import Elementwise, Space
from memorywall.core.model import Family
from memorywall.core.program import Block, Program
from memorywall.core.tensors import Tensor
from memorywall.core.traits import State, Traits
from memorywall.layers.decoder import hidden_states
from memorywall.layers.element_costs import FLOPS_PER_ELEMENT
from memorywall.layers.output_head import Head, record_head
from memorywall.layers.recurrence_flops import wkv
from memorywall.layers.recurrent import record_scan, recurrent_state
from memorywall.layers.tape import Tape
from memorywall.reading.config_values import LARGEST_DEPTH, Config
from memorywall.reading.heads import decoder_classes, decoder_head


@dataclass(frozen=True, slots=True)
class Rwkv:
    """An RWKV-4, as its config describes it.

    Attributes:
        channels: A, of the recurrence.
        rescale_every: the hidden states are halved after every this number of layers, so that half
            precision does not overflow; 0 for never.
    """

    class_name: str
    head: Head | None
    dtype: str
    vocab_size: int
    hidden_size: int
    channels: int
    width: int
    num_layers: int
    rescale_every: int
    max_positions: int | None
    notes: tuple[str, ...] = ()

    @property
    def traits(self) -> Traits:
        """A generative model that keeps state in place of a cache."""
        return Traits(causal=True, head=self.head is not None, state=State("fp32"))


def read(data: Mapping[str, Any], where: str) -> Rwkv:
    """Read a config of the model type ``rwkv``."""
    config = Config(data, where)
    class_name = config.class_name(
        "RwkvForCausalLM", decoder_classes("Rwkv", "RwkvForCausalLM", ())
    )
    hidden = config.size("hidden_size", 4096)
    model = Rwkv(
        class_name=class_name,
        head=decoder_head(config, class_name, tied=config.flag("tie_word_embeddings", False)),
        dtype=config.dtype(),
        vocab_size=config.size("vocab_size"),
        hidden_size=hidden,
        channels=config.size("attention_hidden_size", hidden),
        width=config.size("intermediate_size", 4 * hidden),
        num_layers=config.size("num_hidden_layers", 32, most=LARGEST_DEPTH),
        rescale_every=config.count("rescale_every", 6),
        max_positions=config.size("context_length", 1024),
        notes=config.all_notes(),
    )
    config.check()
    return model


def lower(model: Rwkv, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    hidden = hidden_states(forward, model.hidden_size)
    embeddings = _embed(model, forward, hidden)
    blocks = [embeddings, _layer(model, forward, hidden)]
    if model.rescale_every and model.num_layers >= model.rescale_every:
        tape = Tape(forward, "rescale")
        tape.each("halve", "scale", hidden, out=hidden)
        every = model.rescale_every
        after = tuple(range(every - 1, model.num_layers, every))
        blocks.append(tape.close(len(after), layers=after))
    tape = Tape(forward, "head")
    x = tape.norm("norm", hidden, "layernorm")
    if model.head is not None:
        record_head(tape, x, model.head, forward.head_axes, embeddings.ops[0].reads[0])
    return Program((*blocks, tape.close()))


def _embed(model: Rwkv, forward: Forward, hidden: Tensor) -> Block:
    """Note the embeddings and the norm that stands before the first layer: [B T, D]."""
    tape = Tape(forward, "embeddings")
    x = tape.like("words", hidden)
    tape.embed("words", x, ("words", ("vocab", model.vocab_size), forward.rows))
    tape.norm("norm", x, "layernorm", out=hidden)
    return tape.close()


def _layer(model: Rwkv, forward: Forward, hidden: Tensor) -> Block:
    """Note the layers: [B T, D] in and out."""
    tape = Tape(forward, "layers")
    x = _mix_in_time(tape, tape.norm("time_norm", hidden, "layernorm"), model)
    middle = tape.add("time_add", hidden, x)
    x = _mix_channels(tape, tape.norm("channel_norm", middle, "layernorm"), model)
    tape.add("channel_add", middle, x, out=hidden)
    return tape.close(model.num_layers, layers=tuple(range(model.num_layers)))


def _mix_in_time(tape: Tape, x: Tensor, model: Rwkv) -> Tensor:
    """Project three mixtures, run the recurrence, gate it and project back."""
    key, value, receptance = _shift(tape, "time.shift", x, ("key", "value", "receptance"))
    channels, width = named(ssm_heads=model.channels), x.row_axes
    key = tape.linear("time.key", key, channels)
    value = tape.linear("time.value", value, channels)
    receptance = tape.linear("time.receptance", receptance, channels)
    # Numerator, denominator and largest exponent of every channel.
    state = recurrent_state(tape, "time.state", (("parts", 3), *channels))
    weights = [tape.weight(f"time.{name}", channels) for name in ("decay", "first")]
    out = tape.like("time.wkv", key)
    record_scan(tape, "time.wkv", wkv(key.axes), (key, value, *weights), state, out)
    out = tape.gate("time.gate", "sigmoid", receptance, out)
    return tape.linear("time.output", out, width)


def _mix_channels(tape: Tape, x: Tensor, model: Rwkv) -> Tensor:
    """Expand, square what is positive, contract and gate."""
    key, receptance = _shift(tape, "channels.shift", x, ("key", "receptance"))
    inner = tape.apply(
        "channels.activation", "relu2", tape.linear("channels.key", key, named(ffn=model.width))
    )
    value = tape.linear("channels.value", inner, x.row_axes)
    receptance = tape.linear("channels.receptance", receptance, x.row_axes)
    return tape.gate("channels.gate", "sigmoid", receptance, value)


def _shift(tape: Tape, path: str, x: Tensor, names: tuple[str, ...]) -> list[Tensor]:
    """Mix every token with the one before, in as many ways as there are names.

    One operator reads x once and writes all mixtures, as fused kernels do. The last token of each
    sequence is kept for the next pass.
    """
    forward, width = tape.forward, x.row_axes
    axes = named(batch=forward.batch) + width
    last = Tensor(f"{tape.block}.{path}.last", axes, forward.activations, "state")
    weights = [tape.weight(f"{path}.mix_{name}", width) for name in names]
    mixed = [tape.like(f"{path}.{name}", x) for name in names]
    geometry = Elementwise((Space(len(names) * FLOPS_PER_ELEMENT["mix"], x.axes),), "mix")
    reads = (x, *weights, last) if forward.step else (x, *weights)
    tape.op(path, geometry, reads, *mixed, last)
    return mixed


FAMILY = Family("rwkv", ("rwkv",), read, lower)

"""Heads of an encoder: pooler, classifier, masked-language head, alone or together.

Letters: B batch, T tokens, D hidden.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.axes import Axes, named
from memorywall.core.forward import Forward
from memorywall.core.geometry import Elementwise, Space
from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import FLOPS_PER_ELEMENT
from memorywall.layers.output_head import Head, record_head
from memorywall.layers.tape import Tape


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer of a top, then an activation function and a norm, "" for none."""

    head: Head
    activation: str = ""
    norm: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """Layers one after the other on ``rows`` of the hidden states, as in ``Part``."""

    rows: str
    layers: tuple[Dense, ...]


def masked_branch(
    width: int,
    vocab_size: int,
    activation: str,
    *,
    tied: bool,
    norm: str = "layernorm",
    bias: bool = True,
    decoder_bias: bool = True,
) -> Branch:
    """Return the masked-language head: dense to ``width``, activation, norm, decoder."""
    transform = Dense(Head("transform", width, bias=bias), activation, norm)
    decoder = Dense(Head("decoder", vocab_size, bias=decoder_bias, tied=tied, axis="vocab"))
    return Branch("each", (transform, decoder))


def record_branch(tape: Tape, hidden: Tensor, branch: Branch, embedding: Tensor) -> None:
    """Note the layers of one branch; ``embedding`` is what a tied layer multiplies by.

    One row per sequence is read for every convention on logits except 'none'.
    """
    rows = _rows(tape.forward, branch.rows)
    x = _mean(tape, "pool", hidden, rows) if branch.rows == "mean" else hidden
    for layer in branch.layers:
        name = layer.head.name
        x = record_head(tape, x, layer.head, rows, embedding)
        if layer.activation:
            x = tape.apply(f"{name}_activation", layer.activation, x)
        if layer.norm:
            x = tape.norm(f"{name}_norm", x, layer.norm)
    if branch.rows == "late":
        _mean(tape, "mean", x, one_row(tape.forward))


def one_row(forward: Forward) -> Axes:
    """Return the axes of one row of each sequence, of no length where no head is asked for."""
    return named(batch=0 if forward.logits == "none" else forward.batch)


def _rows(forward: Forward, which: str) -> Axes:
    """Return the axes of the rows of all sequences that a branch reads."""
    if which == "each":
        return forward.head_axes
    late = which == "late" and forward.logits != "none"
    return forward.row_axes if late else one_row(forward)


def _mean(tape: Tape, name: str, x: Tensor, rows: Axes) -> Tensor:
    """Average x [B T, D] over the tokens of each sequence; nothing is read for no rows."""
    out = tape.activation(name, rows + x.row_axes, x.row)
    every = (*rows, ("tokens", tape.forward.tokens), *x.row_axes)
    geometry = Elementwise((Space(FLOPS_PER_ELEMENT["mean"], every),), "mean", (0,), ("tokens",))
    tape.op(name, geometry, (x.part(None),), out)
    return out

"""Hyper-connections: several residual streams, which are mixed around each half of a layer.

Manifold-constrained hyper-connections (Xie et al., arXiv 2512.24880), as DeepSeek-V4 has them. The
n streams of a token, [n, D], are normalised as one row and projected to n weights that collapse
them into the input of a half, n that expand its output, and n x n that mix them, made doubly
stochastic by Sinkhorn's iterations. The norm scales what is projected, so that no normalised
streams are written, and the iterations run on chip.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.axes import named
from memorywall.core.geometry import Elementwise, Space
from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import ACTIVATION_FLOPS, FLOPS_PER_ELEMENT
from memorywall.layers.tape import Tape


@dataclass(frozen=True, slots=True)
class HyperConnections:
    """Shape of hyper-connections: n streams, and Sinkhorn's iterations."""

    streams: int
    iterations: int


def collapse(tape: Tape, hidden: Tensor, h: HyperConnections, name: str) -> tuple[Tensor, Tensor]:
    """Return the input of a half, [B T, D], and the weights of streams; hidden is [B T, n, D]."""
    mixed = h.streams**2
    lines = 2 * h.iterations - 1  # rows and columns in turn, the first time columns alone
    cost = FLOPS_PER_ELEMENT["modulate"] + FLOPS_PER_ELEMENT["softmax"]
    cost += lines * FLOPS_PER_ELEMENT["sinkhorn"]
    matrix = Space(cost, hidden.rows_axes + named(parts=mixed))
    weights = _weights(tape, hidden, 2 * h.streams, mixed, (matrix,), name)
    return _collapsed(tape, hidden, weights, name), weights


def expand(tape: Tape, hidden: Tensor, y: Tensor, weights: Tensor, name: str, out: Tensor) -> None:
    """Mix the streams, and add the output y of a half to each, times weights."""
    cost, streams = FLOPS_PER_ELEMENT["streams"], hidden.row_axes[0][1]
    work = (Space(cost, hidden.axes), Space(cost, hidden.axes + named(parts=streams)))
    tape.op(f"{name}.expand", Elementwise(work, "streams", (0, 1)), (hidden, y, weights), out)


def collapse_last(tape: Tape, hidden: Tensor, name: str) -> Tensor:
    """Return the hidden states after the last layer, [B T, D]."""
    weights = _weights(tape, hidden, int(hidden.row_axes[0][1]), 0, (), name)
    return _collapsed(tape, hidden, weights, name)


def _weights(
    tape: Tape, hidden: Tensor, gates: int, mixed: int, matrix: tuple[Space, ...], name: str
) -> Tensor:
    """Project streams to the weights of a token: sigmoids, and a matrix that mixes streams.

    Sigmoids that collapse, that expand, and the matrix have a scale each.
    """
    count = gates + mixed
    raw = tape.linear(f"{name}.fn", hidden, named(parts=count))
    learned = (
        tape.weight(f"{name}.base", named(parts=count)),
        tape.weight(f"{name}.scale", named(parts=3 if mixed else 1)),
    )
    cost = FLOPS_PER_ELEMENT["modulate"] + ACTIVATION_FLOPS["sigmoid"]
    norm = Space(FLOPS_PER_ELEMENT["rmsnorm_plain"], hidden.axes)
    work = (norm, Space(cost, hidden.rows_axes + named(parts=gates)), *matrix)
    weights = tape.like(f"{name}.weights", raw)
    function = "sinkhorn" if mixed else "sigmoid"
    tape.op(f"{name}.weights", Elementwise(work, function), (raw, *learned), weights)
    return weights


def _collapsed(tape: Tape, hidden: Tensor, weights: Tensor, name: str) -> Tensor:
    """Sum the streams of a token, times weights."""
    out = tape.activation(f"{name}.collapse", hidden.rows_axes + hidden.row_axes[1:])
    space = Space(FLOPS_PER_ELEMENT["streams"], hidden.axes)
    geometry = Elementwise((space,), "streams", (0,), ("streams",))
    tape.op(f"{name}.collapse", geometry, (hidden, weights), out)
    return out

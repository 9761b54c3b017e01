"""Projectors from a tower's hidden states to the rows that a decoder reads instead of words.

Letters: B images, T tokens of each in the tower, D hidden, k a side of what becomes one row.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.axes import Axes, named
from memorywall.core.forward import Forward
from memorywall.core.geometry import Elementwise, Space
from memorywall.core.program import Block
from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import FLOPS_PER_ELEMENT, NORM_WEIGHTS
from memorywall.layers.encoder_heads import Dense
from memorywall.layers.output_head import record_head
from memorywall.layers.tape import Tape, normalised


@dataclass(frozen=True, slots=True)
class Projector:
    """Steps from hidden states to rows, in their order.

    Attributes:
        dropped: tokens before the patches that are left behind.
        averaged: k, where k x k patches become their mean.
        norm: kind of a norm, "" for none.
        joined: k, where k x k patches become one row side by side, k k D wide.
        norm_joined: whether the norm is of such rows; else of the patches before.
        layers: linear layers, each with what follows it.
    """

    layers: tuple[Dense, ...]
    dropped: int = 0
    averaged: int = 1
    norm: str = ""
    joined: int = 1
    norm_joined: bool = False

    def rows(self, grid: tuple[int, int]) -> int:
        """Rows that a grid of patches becomes."""
        side = self.averaged * self.joined
        return (grid[0] // side) * (grid[1] // side)


def lower_projector(
    projector: Projector, forward: Forward, hidden: Tensor, rows: int
) -> tuple[Block, Tensor]:
    """Return the block from hidden [B T, D] to a number of rows per image."""
    tape = Tape(forward, "projector")
    x = _project(tape, projector, hidden, rows)
    return tape.close(), x


def lower_added(
    projector: Projector, forward: Forward, hidden: Tensor, rows: int, count: int
) -> Block:
    """Return a number of such projectors, whose rows are each added to those of a decoder layer."""
    tape = Tape(forward, "added_projector")
    x = _project(tape, projector, hidden, rows)
    tape.add("added", tape.like("decoder_rows", x), x)
    return tape.close(count, layers=tuple(range(count)))


def _project(tape: Tape, projector: Projector, hidden: Tensor, rows: int) -> Tensor:
    forward, width = tape.forward, hidden.row_axes
    k = projector.joined
    kept = named(batch=forward.batch, tokens=rows * (projector.averaged * k) ** 2)
    x = hidden.part(kept + width)
    if projector.averaged > 1:
        x = _average(tape, x, named(batch=forward.batch, tokens=rows * k * k))
    each = named(batch=forward.batch, tokens=rows)
    joined = each + named(sides=k * k) + width
    if projector.norm and not projector.norm_joined:
        x = _norm(tape, x, projector.norm, width, joined)
    elif k > 1:
        x = tape.move("joined", (x,), tape.activation("joined", joined, 2))
    if projector.norm and projector.norm_joined:
        x = _norm(tape, x, projector.norm, named(sides=k * k) + width, joined)
    for layer in projector.layers:
        x = record_head(tape, x, layer.head, each, x)
        if layer.activation:
            x = tape.apply(f"{layer.head.name}_activation", layer.activation, x)
    return x


def _average(tape: Tape, x: Tensor, rows: Axes) -> Tensor:
    """Average neighbouring patches: one FLOP for every number that is read."""
    out = tape.activation("mean", rows + x.row_axes)
    space = Space(FLOPS_PER_ELEMENT["mean"], x.touched or x.axes)
    tape.op("mean", Elementwise((space,), "mean", (0,), ("tokens",)), (x,), out)
    return out


def _norm(tape: Tape, x: Tensor, kind: str, along: Axes, axes: Axes) -> Tensor:
    """Normalise x ``along`` some axes, and leave them in another shape."""
    out = tape.activation("norm", axes, 2)
    weights = [tape.weight(f"norm.{part}", along, len(along)) for part in NORM_WEIGHTS[kind]]
    tape.op("norm", normalised(kind, axes, along), (x, *weights), out)
    return out

"""Disentangled attention: queries and keys are scored with a table of distances as well.

Letters: B batch, T tokens, D hidden, N heads, H head dim, P rows of the table that are read.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.axes import Axes, named
from memorywall.core.forward import Forward
from memorywall.core.geometry import Attention, Gemm
from memorywall.core.numbers import minimum
from memorywall.core.program import Block
from memorywall.core.tensors import Tensor
from memorywall.layers.tape import Tape, Terms


@dataclass(frozen=True, slots=True)
class Distances:
    """How distances are scored.

    Attributes:
        reach: distinct distances to each side; the table has twice as many rows.
        growing: whether only the rows within the length of the text are read.
        terms: ``c2p`` scores each query with the distances, ``p2c`` each key.
        shared: whether they go through the projections of the words.
        key_bias: whether their projection to keys has a bias.
        normed: whether the table is normalised first.
    """

    reach: int
    growing: bool
    terms: tuple[str, ...]
    shared: bool
    key_bias: bool
    normed: bool


def record_table(d: Distances, width: int, forward: Forward) -> tuple[Block, Tensor]:
    """Note the look-up that serves all layers, and return its rows: [P, D]."""
    tape = Tape(forward, "distances")
    if d.normed:
        table = tape.weight("table.weight", named(positions=2 * d.reach, hidden=width))
        rows = tape.norm("norm", table, "layernorm")
    else:
        count = 2 * (minimum(forward.tokens, d.reach) if d.growing else d.reach)
        out = tape.activation("rows", named(positions=count, hidden=width))
        rows = tape.embed("rows", out, ("table", ("positions", 2 * d.reach), count))
    return tape.close(), rows


def scored(d: Distances, rows: Tensor) -> Terms:
    """Return what notes the terms of one layer: queries with distances, keys with distances."""

    def terms(tape: Tape, queries: Tensor, keys: Tensor) -> tuple[Tensor, ...]:
        found = []
        if "c2p" in d.terms:
            projected = _project(tape, rows, "k", keys.axes[-2:], shared=d.shared, bias=d.key_bias)
            found.append(_score(tape, "c2p", queries, projected, keys))
        if "p2c" in d.terms:
            projected = _project(tape, rows, "q", queries.row_axes, shared=d.shared, bias=True)
            found.append(_score(tape, "p2c", keys, projected, keys))
        return tuple(found)

    return terms


def _project(
    tape: Tape, rows: Tensor, which: str, width: Axes, *, shared: bool, bias: bool
) -> Tensor:
    """Project rows to the queries or keys of all heads: [P, D] to [P, N H]."""
    name = f"attention.distances_{which}_proj"
    path = f"attention.{which}_proj" if shared else name
    count, inner = rows.rows_axes, rows.row_axes
    reads: tuple[Tensor, ...] = (rows, tape.weight(f"{path}.weight", width + inner))
    if bias:
        reads = (*reads, tape.weight(f"{path}.bias", width, len(width)))
    out = tape.activation(name, count + width, len(width))
    tape.op(name, Gemm(count, inner, (width,)), reads, out)
    return out


def _score(tape: Tape, term: str, x: Tensor, projected: Tensor, keys: Tensor) -> Tensor:
    """Score every vector of x with every row: 2 H FLOPs each. A pair picks its own on adding."""
    batch, tokens, heads, head_dim = keys.axes  # queries are as many as keys
    rows = projected.axes[0]
    out = tape.activation(f"attention.{term}", (batch, tokens, heads, rows))
    geometry = Attention(
        "distances", batch[1], heads[1], heads[1], (head_dim,), tokens[1], rows[1],
        tokens[1] * rows[1],
    )  # fmt: skip
    tape.op(f"attention.{term}", geometry, (x, projected), out)
    return out

"""Disentangled attention: queries and keys are scored with a table of distances as well.

Letters: B batch, T tokens, D hidden, N heads, H head dim, P rows of the table that are read.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.forward import Forward
from memorywall.core.numbers import minimum
from memorywall.core.program import Block
from memorywall.core.tensors import Tensor
from memorywall.families._blocks import Tape, Terms
from memorywall.families._config import Config


@dataclass(frozen=True, slots=True)
class Distances:
    """How distances are scored.

    Attributes:
        reach: distances told apart to each side; the table has twice as many rows.
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


def read_distances(config: Config, *, second: bool) -> Distances | None:
    """Read how distances are scored; ``position_buckets`` tells far ones apart coarsely."""
    if not config.flag("relative_attention", False):
        return None
    terms = _read_terms(config)
    shared = second and config.flag("share_att_key", False)
    if not terms or (shared and len(terms) < 2):
        config.check()
        config.refuse("relative_attention", (True,), "it is covered with c2p and p2c only")
    reach = _positive(config, "max_relative_positions") or config.size(
        "max_position_embeddings", 512
    )
    if second:
        reach = _positive(config, "position_buckets") or reach
    return Distances(
        reach,
        growing=not second,
        terms=terms,
        shared=shared,
        key_bias=second,
        normed=second and is_normed(config),
    )


def is_normed(config: Config) -> bool:
    """Tell whether the table of distances is normalised."""
    words = config.word("norm_rel_ebd", "none").lower().split("|")
    return "layer_norm" in [word.strip() for word in words]


def _positive(config: Config, key: str) -> int:
    """Return a size, or 0 where the key is absent or -1, as it is written for none."""
    value = config.data.get(key)
    return 0 if value is None or value == -1 else config.count(key, 0)


def _read_terms(config: Config) -> tuple[str, ...]:
    """Read ``pos_att_type``, a list or a text such as ``c2p|p2c``."""
    value = config.data.get("pos_att_type")
    words = value.lower().split("|") if isinstance(value, str) else value
    words = [] if words is None else words
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        config.faults["pos_att_type"] = "'pos_att_type' must list c2p, p2c or both"
        return ()
    return tuple(word for word in ("c2p", "p2c") if word in [w.strip() for w in words])


def record_table(d: Distances, width: int, forward: Forward) -> tuple[Block, Tensor]:
    """Note the look-up that serves all layers, and return its rows: [P, D]."""
    tape = Tape(forward, "distances")
    if d.normed:
        rows = tape.norm("norm", tape.weight("table.weight", 2 * d.reach, width), "layernorm")
    else:
        count = 2 * (minimum(forward.tokens, d.reach) if d.growing else d.reach)
        out = tape.activation("rows", count, width)
        rows = tape.embed("rows", out, ("table", 2 * d.reach, count))
    return tape.close(), rows


def scored(d: Distances, rows: Tensor) -> Terms:
    """Return what notes the terms of one layer: queries with distances, keys with distances."""

    def terms(tape: Tape, queries: Tensor, keys: Tensor) -> tuple[Tensor, ...]:
        width = int(queries.shape[-1])
        found = []
        if "c2p" in d.terms:
            projected = _project(tape, rows, "k", width, shared=d.shared, bias=d.key_bias)
            found.append(_score(tape, "c2p", queries, projected, keys))
        if "p2c" in d.terms:
            projected = _project(tape, rows, "q", width, shared=d.shared, bias=True)
            found.append(_score(tape, "p2c", keys, projected, keys))
        return tuple(found)

    return terms


def _project(
    tape: Tape, rows: Tensor, which: str, width: int, *, shared: bool, bias: bool
) -> Tensor:
    """Project rows to the queries or keys of all heads: [P, D] to [P, N H]."""
    name = f"attention.distances_{which}_proj"
    path = f"attention.{which}_proj" if shared else name
    count, inner = rows.shape
    reads: tuple[Tensor, ...] = (rows, tape.weight(f"{path}.weight", width, inner))
    if bias:
        reads = (*reads, tape.weight(f"{path}.bias", width))
    out = tape.activation(name, count, width)
    tape.op(name, "gemm", 2 * inner * width * count, reads, out, function="linear")
    return out


def _score(tape: Tape, term: str, x: Tensor, projected: Tensor, keys: Tensor) -> Tensor:
    """Score every vector of x with every row: 2 H FLOPs each. A pair picks its own on adding."""
    vectors, head_dim = keys.shape  # B N T and H, for queries as for keys
    rows = projected.shape[0]
    out = tape.activation(f"attention.{term}", vectors, rows)
    flops = 2 * head_dim * vectors * rows
    tape.op(f"attention.{term}", "attention", flops, (x, projected), out)
    return out

"""Heads on an image's hidden states: one vector per image, a classifier, or none.

Letters: B images, T tokens, P patches, D hidden.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from memorywall.core.axes import Axes, named
from memorywall.core.forward import Forward
from memorywall.core.geometry import Elementwise, Space
from memorywall.core.numbers import Number
from memorywall.core.program import Block
from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import FLOPS_PER_ELEMENT, NORM_WEIGHTS
from memorywall.layers.encoder_heads import Dense, one_row
from memorywall.layers.output_head import record_head
from memorywall.layers.tape import Attention, Tape, normalised
from memorywall.layers.vision_tower import VisionLayers


@dataclass(frozen=True, slots=True)
class Pooling:
    """The head of a tower or of a stack of text.

    Attributes:
        norm: which rows the last norm reads: ``each``, those that are ``pooled``, or "" for none.
        rows: what the layers read: ``first``, one row of each; ``mean`` of the patches; ``both`` of
            these side by side; ``probe``, what a learned query attends to; ``patches``, all.
        layers: linear layers, each with its following function.
        beside: whether each linear layer reads a separate row, and the output is their mean; else
            they run in sequence.
        probed: whether a learned query attends to the tokens, with or without a reader.
    """

    norm: str = "each"
    rows: str = "first"
    layers: tuple[Dense, ...] = ()
    beside: bool = False
    probed: bool = False


def lower_pooling(
    top: Pooling,
    stack: VisionLayers,
    forward: Forward,
    hidden: Tensor,
    prefix: str = "",
    *,
    before: int = 0,
) -> tuple[Block, Tensor]:
    """Return the block on top of hidden [B T, D], and what comes out.

    ``before`` is how many tokens stand before the patches.
    """
    tape = Tape(forward, f"{prefix}head")
    x = tape.norm("norm", hidden, stack.norm) if top.norm == "each" else hidden
    patches = forward.tokens - before
    found = _probe(tape, stack, x) if top.probed else x
    if top.rows == "probe":
        x = found
    elif top.rows in ("mean", "both"):
        x = _mean(tape, x, patches, beside=top.rows == "both")
    if top.norm == "pooled":
        x = _norm(tape, x, stack.norm)
    rows = one_row(forward)
    if top.rows == "patches":
        rows = rows + named(tokens=patches)
    return _finish(tape, top, x, rows)


def _finish(tape: Tape, top: Pooling, x: Tensor, rows: Axes) -> tuple[Block, Tensor]:
    """Record the linear layers on a number of rows."""
    if top.beside:
        found = [record_head(tape, x, layer.head, rows, x) for layer in top.layers]
        x = tape.add("mean", *found)  # halved as well, which is less than one FLOP per row element
        return tape.close(), x
    for layer in top.layers:
        x = record_head(tape, x, layer.head, rows, x)
        if layer.activation:
            x = tape.apply(f"{layer.head.name}_activation", layer.activation, x)
    return tape.close(), x


def _mean(tape: Tape, x: Tensor, patches: Number, *, beside: bool) -> Tensor:
    """Average the patches of each image, beside its first token or not: [B, 2 D] or [B, D]."""
    batch, width = named(batch=tape.forward.batch), x.row_axes
    out = tape.activation("mean", batch + named(parts=1 + beside) + width, 2)
    space = Space(FLOPS_PER_ELEMENT["mean"], batch + named(tokens=patches) + width)
    read = x.part(batch + named(tokens=patches + beside) + width)
    tape.op("mean", Elementwise((space,), "mean", (0,), ("tokens",)), (read,), out)
    return out


def _norm(tape: Tape, x: Tensor, kind: str) -> Tensor:
    """Normalise one row of each image: [B, D]."""
    width = x.row_axes
    axes = named(batch=tape.forward.batch) + width
    out = tape.activation("norm", axes, x.row)
    weights = [tape.weight(f"norm.{part}", width, x.row) for part in NORM_WEIGHTS[kind]]
    tape.op("norm", normalised(kind, axes, width), (x.part(axes), *weights), out)
    return out


class _ProbeTape(Tape):
    """Notes what one query of each image does."""

    def look(self, q: Tensor, k: Tensor, v: Tensor, a: Attention, tokens: Number) -> Tensor:
        """Attend from q [B, D] to a number of tokens of each image."""
        return self._attend(q, k, v, a, "attention", sources=tokens)


def _probe(tape: Tape, stack: VisionLayers, x: Tensor) -> Tensor:
    """Let a learned query attend to x [B T, D], then a feed-forward: [B, D]."""
    forward, a = tape.forward, stack.attention
    single = _ProbeTape(replace(forward, tokens=1), tape.block)
    hidden, width = x.row_axes, named(kv_heads=a.kv_heads, head_dim=a.head_dim)
    learned = single.weight("probe.weight", named(positions=1) + hidden)
    probe = single.activation("probe", named(batch=forward.batch) + hidden)
    single.move("probe", (learned,), probe)
    heads = named(heads=a.heads, head_dim=a.head_dim)
    q = single.linear("attention.q_proj", probe, heads, bias=True)
    k = single.linear("attention.k_proj", x, width, bias=True)
    v = single.linear("attention.v_proj", x, width, bias=True)
    context = single.look(q, k, v, a, forward.tokens)
    y = single.linear("attention.o_proj", context, hidden, bias=True)
    normed = single.norm("mlp_norm", y, stack.norm)
    out = single.add("mlp_add", y, single.feed_forward(normed, stack.mlp))
    tape.ops += single.ops
    return out

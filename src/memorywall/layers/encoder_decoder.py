"""Common parts of encoder-decoders: stacks of layers, cross-attention, and skipped halves.

Letters as in ``tape``; S is the positions of the source. The encoder runs over the source, all
pairs of it. The decoder runs over its own tokens as any decoder does, and attends to the encoder's
output in every layer: keys and values of the source are projected once, in the pass that runs the
encoder, and kept in a cache of S positions that no step grows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from memorywall.core.axes import Axes, named
from memorywall.core.forward import Forward
from memorywall.core.geometry import Conv, Embedding, Idle, Space
from memorywall.core.numbers import minimum
from memorywall.core.program import Block, Op, Program
from memorywall.core.tensors import Tensor
from memorywall.layers.tape import NOTHING, Attention, FeedForward, Tape


@dataclass(frozen=True, slots=True)
class HalfLayers:
    """The layers of one half.

    Attributes:
        layers: L.
        attention, mlp: of every layer; cross-attention has the shape of ``attention``.
        norm: ``layernorm`` or ``rmsnorm``.
        norm_after: whether a norm stands after each sum, as in the first Transformer, or before
            each sublayer; then another norm stands on top of the stack.
        buckets: rows of the table of distances that every layer has, as in UMT5; None: none has.
    """

    layers: int
    attention: Attention
    mlp: FeedForward
    norm: str = "layernorm"
    norm_after: bool = False
    buckets: int | None = None


class Seq2SeqTape(Tape):
    """Notes the operators of a block of an encoder-decoder."""

    def look_up(
        self,
        words: Tensor,
        out: Tensor,
        *added: Tensor,
        scaled: bool = False,
        computed: bool = False,
    ) -> None:
        """Add the words' rows, and those of ``added`` tables, into out [B T, D].

        A scale costs one FLOP an element, and so do positions that are ``computed``.
        """
        vocab, width = words.axes
        some = words.part((("vocab", minimum(self.forward.rows, vocab[1])), width))
        space = Space(len(added) + scaled + computed, out.axes)
        tables = tuple([table.axes[0][0] for table in (words, *added)])
        self.op("words", Embedding((space,), tables), (some, *added), out)

    def positions(self, rows: int, width: int) -> Tensor:
        """Return a table of positions, of which the new tokens' rows are read."""
        return self.weight(
            "positions.weight",
            named(positions=rows, hidden=width),
            touched=named(positions=minimum(self.forward.tokens, rows), hidden=width),
        )

    def distances(self, buckets: int, a: Attention) -> Tensor:
        """Make the bias [N, T S] of all pairs from a table of distances, which is read whole."""
        heads, keys = ("heads", a.heads), self.forward.keys()
        bias = self.activation("bias", (heads, ("tokens", self.forward.tokens), ("keys", keys)), 2)
        table = self.weight("distances.weight", (("positions", buckets), heads))
        return self.move("distances", (table,), bias, "positions")

    def conv(self, name: str, x: Tensor, rows: Axes, width: int, kernel: int) -> Tensor:
        """Slide a kernel over time: x [frames, in] in, [rows, width] out, the bias inside.

        2 in kernel FLOPs for every element that comes out, the padded ends among them.
        """
        inner, wide = named(channels=x.width), named(hidden=width)
        out = self.activation(name, rows + wide)
        weight = self.weight(f"{name}.weight", wide + inner + named(kernel=kernel), 2)
        reads = (x, weight, self.weight(f"{name}.bias", wide))
        space = Space(2 * kernel, out.axes + inner)
        self.op(name, Conv((space,), kernel, ("channels",)), reads, out)
        return out

    def cross_attention(
        self, x: Tensor, source: Tensor, a: Attention, path: str = "cross_attention"
    ) -> Tensor:
        """Attend from x [B T, D] to the source [B S, D]: [B T, D] out."""
        forward, width = self.forward, named(kv_heads=a.kv_heads, head_dim=a.head_dim)
        held = forward.paged(forward.source)
        keys, values = (
            self.cache(f"{path}.{name}_cache", held, forward.source, width) for name in "kv"
        )
        q = self.linear(f"{path}.q_proj", x, named(heads=a.heads, head_dim=a.head_dim), a.qkv_bias)
        before = len(self.ops)
        self.linear(f"{path}.k_proj", source, width, a.qkv_bias and a.key_bias, out=keys)
        self.linear(f"{path}.v_proj", source, width, a.qkv_bias, out=values)
        if not forward.encodes:
            self.ops[before:] = [_idle(op) for op in self.ops[before:]]
        context = self._attend(q, keys, values, a, path, sources=forward.source)
        return self.linear(f"{path}.o_proj", context, x.row_axes, a.out_bias)


def encoder_layers(
    stack: HalfLayers, source: Forward, hidden: Tensor, *, bias: Tensor | None = None
) -> Block:
    """Note the layers of an encoder over hidden [B S, D]; ``bias`` is added to the scores."""
    tape = Seq2SeqTape(source, "encoder.layers")
    attention = replace(stack.attention, causal=False)
    middle = tape.like("middle", hidden)
    if stack.buckets is not None:
        bias = tape.distances(stack.buckets, attention)

    def attend(x: Tensor) -> Tensor:
        return tape.self_attention(x, attention, mask=bias)

    _sublayer(tape, stack, "attention", hidden, attend, middle)
    _sublayer(tape, stack, "mlp", middle, lambda x: tape.feed_forward(x, stack.mlp), hidden)
    return tape.close(stack.layers, layers=tuple(range(stack.layers)))


def decoder_layers(
    stack: HalfLayers,
    forward: Forward,
    hidden: Tensor,
    source: Tensor,
    *,
    bias: Tensor | None = None,
) -> Block:
    """Note the layers of a decoder over hidden [B T, D], which attend to the source [B S, D]."""
    tape = Seq2SeqTape(forward, "decoder.layers")
    middle = tape.like("middle", hidden)
    crossed = tape.like("crossed", hidden)
    if stack.buckets is not None:
        bias = tape.distances(stack.buckets, stack.attention)

    def attend(x: Tensor) -> Tensor:
        return tape.self_attention(x, stack.attention, mask=bias)

    def attend_to_source(x: Tensor) -> Tensor:
        return tape.cross_attention(x, source, stack.attention)

    _sublayer(tape, stack, "attention", hidden, attend, middle)
    _sublayer(tape, stack, "cross_attention", middle, attend_to_source, crossed)
    _sublayer(tape, stack, "mlp", crossed, lambda x: tape.feed_forward(x, stack.mlp), hidden)
    return tape.close(stack.layers, layers=tuple(range(stack.layers)))


def _sublayer(
    tape: Tape,
    stack: HalfLayers,
    name: str,
    x: Tensor,
    sublayer: Callable[[Tensor], Tensor],
    out: Tensor,
) -> None:
    """Note x + f(norm(x)), or norm(x + f(x)) where norms stand after."""
    if stack.norm_after:
        total = tape.add(f"{name}_add", x, sublayer(x))
        tape.norm(f"{name}_norm", total, stack.norm, out=out)
    else:
        y = sublayer(tape.norm(f"{name}_norm", x, stack.norm))
        tape.add(f"{name}_add", x, y, out=out)


def final_norm(
    stack: HalfLayers, forward: Forward, half: str, hidden: Tensor
) -> tuple[Block, Tensor]:
    """Note the norm on top of a half, if it has one; return it with what leaves the half."""
    tape = Tape(forward, f"{half}.top")
    out = hidden if stack.norm_after else tape.norm("norm", hidden, stack.norm)
    return tape.close(), out


def halves(forward: Forward, encoder: Sequence[Block], decoder: Sequence[Block]) -> Program:
    """Return the program of the halves that run; the other half is resident, and moves nothing."""
    if not forward.encodes:
        encoder = [_idle_block(block) for block in encoder]
    if not forward.decodes:
        decoder = [_idle_block(block) for block in decoder]
    return Program((*encoder, *decoder))


def _idle_block(block: Block) -> Block:
    return replace(block, ops=tuple([_idle(op) for op in block.ops]))


def _idle(op: Op) -> Op:
    """Return an operator that a pass skips: its weights stay resident, and nothing is moved."""
    weights = tuple([t.part(NOTHING) for t in op.reads if t.role == "weight"])
    return Op(op.name, Idle(op.geometry), weights, (), op.dtype)

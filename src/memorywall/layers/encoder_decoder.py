"""What encoder-decoders share: stacks of layers, cross-attention, and halves that do not run.

Letters as in ``_blocks``; S is the positions of the source. The encoder runs over the source, all
pairs of it. The decoder runs over its own tokens as any decoder does, and attends to the encoder's
output in every layer: keys and values of the source are projected once, in the pass that runs the
encoder, and kept in a cache of S positions that no step grows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from memorywall.core.forward import Forward
from memorywall.core.numbers import Number, minimum
from memorywall.core.program import Block, Op, Program
from memorywall.core.tensors import Tensor
from memorywall.layers.tape import Attention, FeedForward, Tape


@dataclass(frozen=True, slots=True)
class Stack:
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
        self, words: Tensor, rows: Number, out: Tensor, *added: Tensor, scaled: bool = False
    ) -> None:
        """Add ``rows`` rows of a table of words and of ``added`` tables into out [rows, D].

        A scale costs one FLOP an element.
        """
        width = out.shape[-1]
        some = Tensor(
            words.name, words.shape, words.format, words.role,
            touched=(minimum(rows, words.shape[0]), width),
        )  # fmt: skip
        flops = (len(added) + scaled) * out.elements
        self.op("words", "embedding", flops, (some, *added), out, function="copy")

    def positions(self, rows: int, width: int) -> Tensor:
        """Return a table of positions, of which the new tokens' rows are read."""
        return self.weight(
            "positions.weight", rows, width, touched=(minimum(self.forward.tokens, rows), width)
        )

    def distances(self, buckets: int, a: Attention) -> Tensor:
        """Make the bias [N, T S] of all pairs from a table of distances, which is read whole."""
        keys = self.forward.keys()
        bias = self.activation("bias", a.heads, self.forward.tokens * keys)
        table = self.weight("distances.weight", buckets, a.heads)
        self.op("distances", "embedding", 0, (table,), bias, function="copy")
        return bias

    def conv(self, name: str, x: Tensor, rows: Number, width: int, kernel: int) -> Tensor:
        """Slide a kernel over time: x [frames, in] in, [rows, width] out, the bias inside.

        2 in kernel FLOPs for every element that comes out, the padded ends among them.
        """
        inner = x.shape[-1]
        out = self.activation(name, rows, width)
        weight = self.weight(f"{name}.weight", width, inner * kernel)
        reads = (x, weight, self.weight(f"{name}.bias", width))
        self.op(name, "conv", 2 * inner * kernel * width * rows, reads, out)
        return out

    def cross_attention(
        self, x: Tensor, source: Tensor, a: Attention, path: str = "cross_attention"
    ) -> Tensor:
        """Attend from x [B T, D] to the source [B S, D]: [B T, D] out."""
        forward, width = self.forward, a.kv_heads * a.head_dim
        keys, values = (self._kept(f"{path}.{name}", a) for name in "kv")
        q = self.linear(f"{path}.q_proj", x, a.heads * a.head_dim, a.qkv_bias)
        before = len(self.ops)
        self.linear(f"{path}.k_proj", source, width, a.qkv_bias and a.key_bias, out=keys)
        self.linear(f"{path}.v_proj", source, width, a.qkv_bias, out=values)
        if not forward.encodes:
            self.ops[before:] = [_idle(op) for op in self.ops[before:]]
        context = self._attend(q, keys, values, a, path, sources=forward.source)
        return self.linear(f"{path}.o_proj", context, int(x.shape[-1]), a.out_bias)

    def _kept(self, name: str, a: Attention) -> Tensor:
        """Return the keys or values of the source: B S K heads of H."""
        forward = self.forward
        heads = forward.batch * a.kv_heads
        return Tensor(
            f"{self.block}.{name}_cache",
            (heads * forward.paged(forward.source), a.head_dim),
            forward.kv_cache,
            "kv_cache",
            touched=(heads * forward.source, a.head_dim),
        )


def encoder_layers(
    stack: Stack, source: Forward, hidden: Tensor, *, bias: Tensor | None = None
) -> Block:
    """Note the layers of an encoder over hidden [B S, D]; ``bias`` is added to the scores."""
    tape = Seq2SeqTape(source, "encoder.layers")
    attention = replace(stack.attention, causal=False)
    middle = tape.activation("middle", *hidden.shape)
    if stack.buckets is not None:
        bias = tape.distances(stack.buckets, attention)

    def attend(x: Tensor) -> Tensor:
        return tape.self_attention(x, attention, mask=bias)

    _sublayer(tape, stack, "attention", hidden, attend, middle)
    _sublayer(tape, stack, "mlp", middle, lambda x: tape.feed_forward(x, stack.mlp), hidden)
    return tape.close(stack.layers)


def decoder_layers(
    stack: Stack, forward: Forward, hidden: Tensor, source: Tensor, *, bias: Tensor | None = None
) -> Block:
    """Note the layers of a decoder over hidden [B T, D], which attend to the source [B S, D]."""
    tape = Seq2SeqTape(forward, "decoder.layers")
    middle = tape.activation("middle", *hidden.shape)
    crossed = tape.activation("crossed", *hidden.shape)
    if stack.buckets is not None:
        bias = tape.distances(stack.buckets, stack.attention)

    def attend(x: Tensor) -> Tensor:
        return tape.self_attention(x, stack.attention, mask=bias)

    def attend_to_source(x: Tensor) -> Tensor:
        return tape.cross_attention(x, source, stack.attention)

    _sublayer(tape, stack, "attention", hidden, attend, middle)
    _sublayer(tape, stack, "cross_attention", middle, attend_to_source, crossed)
    _sublayer(tape, stack, "mlp", crossed, lambda x: tape.feed_forward(x, stack.mlp), hidden)
    return tape.close(stack.layers)


def _sublayer(
    tape: Tape,
    stack: Stack,
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


def final_norm(stack: Stack, forward: Forward, half: str, hidden: Tensor) -> tuple[Block, Tensor]:
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
    return Block(block.name, tuple([_idle(op) for op in block.ops]), block.repeat, block.shared)


def _idle(op: Op) -> Op:
    """Return an operator that a pass skips: its weights stay resident, and nothing is moved."""
    weights = tuple(
        [
            Tensor(tensor.name, tensor.shape, tensor.format, "weight", touched=(0,))
            for tensor in op.reads
            if tensor.role == "weight"
        ]
    )
    return Op(op.name, op.kind, 0, weights, (), op.dtype, op.function)

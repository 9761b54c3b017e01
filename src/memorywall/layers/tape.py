"""The blocks that transformers share, written down operator by operator.

A family reads like a forward pass: it calls a ``Tape`` as a module calls its submodules, and the
tape notes the operators. Letters: B batch, T new tokens, S keys, D hidden, F feed-forward,
N query heads, K key-value heads, H head dim, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from memorywall.core.axes import Axes, Axis, named, names, size, unnamed
from memorywall.core.formats import arithmetic_of
from memorywall.core.forward import Forward
from memorywall.core.geometry import Attention as AttentionProduct
from memorywall.core.geometry import (
    Elementwise,
    Embedding,
    Gemm,
    Geometry,
    Mask,
    Norm,
    Softmax,
    Space,
)
from memorywall.core.numbers import Number, minimum
from memorywall.core.program import Block, Op
from memorywall.core.stored_layers import product_arithmetic, store
from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import (
    ACTIVATION_FLOPS,
    ACTIVATION_WEIGHTS,
    FLOPS_PER_ELEMENT,
    NORM_WEIGHTS,
)

_NORMS = {kind: kind.partition("_")[0] for kind in NORM_WEIGHTS}
ONE = unnamed(1)
NOTHING = unnamed(0)  # the part that is moved where nothing is

# Notes what is added to the scores, given queries and keys, and returns it.
Terms: TypeAlias = Callable[["Tape", Tensor, Tensor], tuple[Tensor, ...]]
# Notes a projection as ``Tape.linear`` does: name, x, width, bias, out.
Projection: TypeAlias = Callable[..., Tensor]


@dataclass(frozen=True, slots=True)
class Attention:
    """Shape of a self-attention.

    Attributes:
        heads, kv_heads, head_dim: N, K, H.
        qkv_bias, out_bias: whether the projections have biases.
        key_bias: whether ``qkv_bias`` covers the keys too; Whisper's have none.
        rotary: elements of each head that are rotated; 0 for no rotary positions.
        qk_norm: ``head`` normalises each head of query and key with one gain for all heads, ``all``
            the whole row, or each head with a separate gain: weights and FLOPs are the same.
        window: positions that a token attends to, including itself; None for all the way.
        causal: whether it only looks back, and so keeps a cache; else it looks ahead as far.
        qk_norm_kind: ``rmsnorm`` or another kind of norm.
        on_scores: ``softcap`` or ``alibi``, done to every score before the softmax.
        clip: whether queries, keys and values are clamped.
        sinks: whether each head has a learned score that takes part in the softmax alone.
        chunk: tokens attend within chunks of this number of positions; None for no chunks.
        gated: whether the projection of the queries also makes a gate for what attention returns.
        kept: whether keys and values are kept for later tokens; CLIP's text looks back for none.
        key_as_value: whether the projection of the keys also makes the values.
        value_norm: whether values are normalised by head, without a gain.
        cache_of: the block whose last layer's keys and values are read, which is of
            ``cache_layers`` layers with the same heads; "" for separate keys and values.
    """

    heads: int
    kv_heads: int
    head_dim: int
    qkv_bias: bool = False
    out_bias: bool = False
    key_bias: bool = True
    rotary: int = 0
    qk_norm: str = ""
    window: int | None = None
    causal: bool = True
    qk_norm_kind: str = "rmsnorm"
    on_scores: str = ""
    clip: bool = False
    sinks: bool = False
    chunk: int | None = None
    gated: bool = False
    kept: bool = True
    key_as_value: bool = False
    value_norm: bool = False
    cache_of: str = ""
    cache_layers: int = 0


@dataclass(frozen=True, slots=True)
class FeedForward:
    """Shape of a feed-forward: F, the activation function, gated (GLU) or plain, biases.

    ``out_bias`` is that of the last projection, if it differs from ``bias``.
    """

    width: int
    activation: str
    gated: bool = False
    bias: bool = False
    out_bias: bool | None = None


class Tape:
    """Notes the operators of one block while a family walks through it.

    Args:
        forward: what passes through.
        block: the block's name, the first part of every path.
        product: how its weights lie, which decides what a framework's product of few rows takes:
            ``linear`` [out, in] as most models, ``conv1d`` [in, out] as GPT-2.
    """

    def __init__(self, forward: Forward, block: str, product: str = "linear") -> None:
        self.forward = forward
        self.block = block
        self.product = product
        self.dtype = arithmetic_of(forward.activations)
        self.ops: list[Op] = []
        self._held: dict[str, int] = {}  # arrays of other blocks, with their numbers

    def close(
        self,
        repeat: int = 1,
        *,
        shared: bool = False,
        own: frozenset[str] = frozenset(),
        layers: tuple[int, ...] = (),
    ) -> Block:
        """Return what was noted as a block; ``layers`` are the positions of its repetitions."""
        return Block(self.block, tuple(self.ops), repeat, shared, own, self._held, layers)

    def activation(
        self, name: str, axes: Axes, row: int = 1, *, parts: tuple[Axes, ...] = ()
    ) -> Tensor:
        """Make a tensor in the activations' format; its name gets the block's in front.

        Its last ``row`` axes are one stored row.
        """
        activations = self.forward.activations
        return Tensor(f"{self.block}.{name}", axes, activations, "activation", None, row, 0, parts)

    def like(self, name: str, x: Tensor) -> Tensor:
        """Make an activation with the axes of another."""
        return Tensor(
            f"{self.block}.{name}", x.axes, self.forward.activations, "activation", None, x.row, 0,
            x.parts,
        )  # fmt: skip

    def weight(
        self,
        name: str,
        axes: Axes,
        row: int = 1,
        *,
        column: int = 0,
        touched: Axes | None = None,
        parts: tuple[Axes, ...] = (),
    ) -> Tensor:
        """Make a weight in the weights' format; ``row`` and ``column`` as in ``Tensor``."""
        return Tensor(
            f"{self.block}.{name}", axes, self.forward.weights, "weight", touched, row, column,
            parts,
        )  # fmt: skip

    def op(self, name: str, geometry: Geometry, reads: tuple[Tensor, ...], *writes: Tensor) -> None:
        """Note one operator; one without rows (a head that is not asked for) moves no weights.

        If weights have separate formats, the operator determines the format.
        """
        forward = self.forward
        if forward.storage is not None:
            store(forward.storage, name, geometry, reads)
        if forward.logits == "none" and geometry.kind != "embedding":
            flops = geometry.flops
            if type(flops) is int and flops == 0:
                for tensor in reads:
                    tensor.touched = NOTHING
        dtype = product_arithmetic(forward, geometry, reads) if forward.linear else self.dtype
        self.ops.append(Op(name, geometry, reads, writes, dtype))

    def embed(self, name: str, out: Tensor, *tables: tuple[str, Axis, Number]) -> Tensor:
        """Add rows of tables, each (name, axis of rows, rows touched); ids are not counted."""
        width = out.row_axes
        weights = tuple(
            self.weight(
                f"{table}.weight", (axis, *width), out.row,
                touched=((axis[0], minimum(touched, axis[1])), *width),
            )
            for table, axis, touched in tables
        )  # fmt: skip
        space = Space(len(tables) - 1, out.axes)
        geometry = Embedding((space,), tuple([axis[0] for _, axis, _ in tables]))
        self.op(name, geometry, weights, out)
        return out

    def move(self, name: str, reads: tuple[Tensor, ...], out: Tensor, *tables: str) -> Tensor:
        """Bring what is read into another place or order; no FLOP."""
        self.op(name, Embedding((Space(0, out.axes),), tables), reads, out)
        return out

    def linear(
        self, name: str, x: Tensor, width: Axes, bias: bool = False, *, out: Tensor | None = None
    ) -> Tensor:
        """Multiply x [rows, in] by weight [width, in]: 2 rows in width FLOPs, the bias inside."""
        row, axes = x.row, x.axes
        rows, inner = axes[:-row], axes[-row:]
        out = out or self.activation(name, rows + width, len(width))
        reads: tuple[Tensor, ...] = (x, self.weight(f"{name}.weight", width + inner, row))
        if bias:
            reads = (*reads, self.weight(f"{name}.bias", width, len(width)))
        self.op(name, Gemm(rows, inner, (width,), (), self.product), reads, out)
        return out

    def linear_parts(
        self, name: str, x: Tensor, parts: tuple[Axes, ...], bias: bool = False
    ) -> Tensor:
        """Multiply x [rows, in] by one weight that makes several parts side by side."""
        rows, inner = x.rows_axes, x.row_axes
        joined = join(parts)
        out = self.activation(name, rows + joined, parts=parts)
        weight = self.weight(f"{name}.weight", joined + inner, x.row, parts=parts)
        reads: tuple[Tensor, ...] = (x, weight)
        if bias:
            reads = (*reads, self.weight(f"{name}.bias", joined, parts=parts))
        self.op(name, Gemm(rows, inner, parts, which=self.product), reads, out)
        return out

    def norm(
        self, name: str, x: Tensor, kind: str, *, run: int = 0, out: Tensor | None = None
    ) -> Tensor:
        """Normalise x by a kind of ``NORM_WEIGHTS``.

        By rows, or along the last ``run`` axes where a row holds several heads.
        """
        gain = x.axes[-run:] if run else x.row_axes
        out = out or self.like(name, x)
        weights = [self.weight(f"{name}.{part}", gain, len(gain)) for part in NORM_WEIGHTS[kind]]
        self.op(name, normalised(kind, x.axes, gain), (x, *weights), out)
        return out

    def apply(self, name: str, function: str, x: Tensor) -> Tensor:
        """Apply an activation function to every element."""
        out = self.like(name, x)
        learned = [
            self.weight(f"{name}.{part}", ONE) for part in ACTIVATION_WEIGHTS.get(function, ())
        ]
        work = spaces_of(ACTIVATION_FLOPS[function], x)
        self.op(name, Elementwise(work, function), (x, *learned), out)
        return out

    def gate(self, name: str, function: str, gate: Tensor, x: Tensor) -> Tensor:
        """Multiply x by an activation function of the gate."""
        out = self.like(name, x)
        space = Space(ACTIVATION_FLOPS[function] + FLOPS_PER_ELEMENT["gated"], x.axes)
        self.op(name, Elementwise((space,), function, (1,), gated=True), (gate, x), out)
        return out

    def each(self, name: str, function: str, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Do ``scale``, ``clip``, ``softcap`` or ``alibi`` to every element."""
        out = out or self.like(name, x)
        space = Space(FLOPS_PER_ELEMENT[function], x.axes)
        linear = (0,) if function == "scale" else ()
        self.op(name, Elementwise((space,), function, linear), (x,), out)
        return out

    def add(self, name: str, x: Tensor, y: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Add two tensors of one shape."""
        out = out or self.like(name, x)
        space = Space(FLOPS_PER_ELEMENT["add"], x.axes)
        self.op(name, Elementwise((space,), "add", (0, 1)), (x, y), out)
        return out

    def rotary(self, name: str, x: Tensor, dim: int, out: Tensor) -> Tensor:
        """Rotate ``dim`` elements of every head of x by its position; angles are not counted."""
        space = Space(FLOPS_PER_ELEMENT["rotary"], (*x.axes[:-1], ("rotary", dim)))
        self.op(name, Elementwise((space,), "rotary", (0,)), (x,), out)
        return out

    def self_attention(
        self,
        x: Tensor,
        a: Attention,
        path: str = "attention",
        *,
        mask: Tensor | None = None,
        terms: Terms | None = None,
        width: Axes | None = None,
        project: Projection | None = None,
    ) -> Tensor:
        """Project, attend and project back: [B T, D] in and out.

        ``mask`` is read like a mask within the softmax; ``terms`` are added to the scores. The
        output has the ``width`` of x unless one is given; ``project`` makes queries, keys and
        values if that is not a single linear layer.
        """
        q, k, v = self._queries_keys_values(x, a, path, project or self.linear)
        added = terms(self, q, k) if terms else ()
        context = self._attend(q, k, v, a, path, mask=mask, added=added)
        if a.gated:
            gate = self.like(f"{path}.gate", context)
            context = self.gate(f"{path}.gating", "sigmoid", gate, context)
        return self.linear(f"{path}.o_proj", context, width or x.row_axes, a.out_bias)

    def feed_forward(self, x: Tensor, f: FeedForward, path: str = "mlp") -> Tensor:
        """Expand to F, activate (gated or not) and contract: [B T, D] in and out."""
        width = (("ffn", f.width),)
        if f.gated:
            gate = self.linear(f"{path}.gate_proj", x, width, f.bias)
            up = self.linear(f"{path}.up_proj", x, width, f.bias)
            inner = self.gate(f"{path}.activation", f.activation, gate, up)
        else:
            up = self.linear(f"{path}.up_proj", x, width, f.bias)
            inner = self.apply(f"{path}.activation", f.activation, up)
        bias = f.bias if f.out_bias is None else f.out_bias
        return self.linear(f"{path}.down_proj", inner, x.row_axes, bias)

    def _queries_keys_values(
        self, x: Tensor, a: Attention, path: str, project: Projection
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the queries, and the keys and values of every position that is attended to.

        With a cache the new keys and values are written into it, and the whole is what is read.
        """
        keys = self._key_value(f"{path}.k", a)
        values = self._key_value(f"{path}.v", a)
        if a.cache_of:
            return self._turned_query(x, a, path, project), keys, values
        # Whichever operator on the keys comes last writes them to where they are kept.
        kept, kept_values = new_part(keys, x), new_part(values, x)
        run = 1 if a.qk_norm == "head" else 0
        normed = None if a.rotary else kept
        clipped = None if a.qk_norm else normed
        projected = None if a.clip else clipped

        q = self._query(x, a, path, project)
        width = (("kv_heads", a.kv_heads), ("head_dim", a.head_dim))
        key = project(f"{path}.k_proj", x, width, a.qkv_bias and a.key_bias, out=projected)
        valued = None if a.clip or a.value_norm else kept_values
        value = key
        if not a.key_as_value:
            value = project(f"{path}.v_proj", x, width, a.qkv_bias, out=valued)
        if a.clip:
            q = self.each(f"{path}.q_clip", "clip", q)
            key = self.each(f"{path}.k_clip", "clip", key, out=clipped)
            self.each(f"{path}.v_clip", "clip", value, out=kept_values)
        if a.qk_norm:
            q = self.norm(f"{path}.q_norm", q, a.qk_norm_kind, run=run)
            key = self.norm(f"{path}.k_norm", key, a.qk_norm_kind, run=run, out=normed)
        if a.rotary:
            q = self.rotary(f"{path}.q_rotary", q, a.rotary, self.like(f"{path}.q_rotary", q))
            self.rotary(f"{path}.k_rotary", key, a.rotary, kept)
        if a.value_norm:
            self.norm(f"{path}.v_norm", value, "rmsnorm_plain", run=1, out=kept_values)
        return q, keys, values

    def _turned_query(self, x: Tensor, a: Attention, path: str, project: Projection) -> Tensor:
        """Return the queries of attention to another layer's keys."""
        q = self._query(x, a, path, project)
        if a.qk_norm:
            q = self.norm(f"{path}.q_norm", q, a.qk_norm_kind, run=1 if a.qk_norm == "head" else 0)
        if a.rotary:
            q = self.rotary(f"{path}.q_rotary", q, a.rotary, self.like(f"{path}.q_rotary", q))
        return q

    def _query(self, x: Tensor, a: Attention, path: str, project: Projection) -> Tensor:
        """Project the queries, and in the same product their gate where there is one."""
        width = (("heads", a.heads), ("head_dim", a.head_dim))
        if not a.gated:
            return project(f"{path}.q_proj", x, width, a.qkv_bias)
        rows, both = x.rows_axes, (("query_gate", 2), *width)
        q, gate = (
            self.activation(f"{path}.{name}", rows + width, 2) for name in ("q_proj", "gate")
        )
        weight = self.weight(f"{path}.q_proj.weight", both + x.row_axes, x.row)
        reads: tuple[Tensor, ...] = (x, weight)
        if a.qkv_bias:
            reads = (*reads, self.weight(f"{path}.q_proj.bias", both, len(both)))
        geometry = Gemm(rows, x.row_axes, (both,), which=self.product)
        self.op(f"{path}.q_proj", geometry, reads, q, gate)
        return q

    def _key_value(self, name: str, a: Attention) -> Tensor:
        """Return the keys or values that attention reads: [B, S, K, H]."""
        forward = self.forward
        heads = (("kv_heads", a.kv_heads), ("head_dim", a.head_dim))
        if not (a.causal and a.kept):
            return self.activation(
                name, (("batch", forward.batch), ("keys", forward.tokens), *heads)
            )
        held, read = forward.cached(a.window, a.chunk), forward.keys(a.window, a.chunk)
        cache = self.cache(f"{name}_cache", held, read, heads, block=a.cache_of)
        if a.cache_of:
            self._held[cache.name] = a.cache_layers
        return cache

    def cache(
        self, name: str, held: Number, read: Number, vector: Axes, *, block: str = ""
    ) -> Tensor:
        """Return a cache of ``held`` positions a sequence, of which a pass reads some.

        It is of this block, or of another one that is named.
        """
        batch = ("batch", self.forward.batch)
        return Tensor(
            f"{block or self.block}.{name}",
            (batch, ("keys", held), *vector),
            self.forward.kv_cache,
            "kv_cache",
            touched=(batch, ("keys", read), *vector),
        )

    def _attend(
        self,
        q: Tensor,
        keys: Tensor,
        values: Tensor,
        a: Attention,
        path: str,
        *,
        sources: Number | None = None,
        mask: Tensor | None = None,
        added: tuple[Tensor, ...] = (),
    ) -> Tensor:
        """Q K^T, softmax and P V: 2 H FLOPs each for every pair of every query head.

        ``sources`` are the keys of a cross-attention, which every query is paired with. A ``mask``
        is read within the softmax and adds no FLOP; an ``added`` array does.
        """
        forward = self.forward
        if sources is None:
            pairs, attended = (
                forward.pairs(a.causal, a.window, a.chunk),
                forward.keys(a.window, a.chunk),
            )
        else:
            pairs, attended = forward.tokens * sources, sources
        axes = (("batch", forward.batch), ("heads", a.heads), ("pairs", pairs))
        scores = self.activation(f"{path}.scores", axes, 3)
        probabilities = self.activation(f"{path}.probabilities", axes, 3)
        context = self.like(f"{path}.context", q)
        shape = (
            forward.batch, a.heads, a.kv_heads, (("head_dim", a.head_dim),), forward.tokens,
            attended, pairs, _mask_of(a, cross=sources is not None),
        )  # fmt: skip
        window = a.window or 0 if sources is None else 0
        self.op(f"{path}.scores", AttentionProduct("qk", *shape, window=window), (q, keys), scores)
        for index, term in enumerate(added):
            plain, scores = scores, self.activation(f"{path}.scores_{index}", axes, 3)
            geometry = Elementwise((Space(FLOPS_PER_ELEMENT["add"], axes),), "add", (0, 1))
            self.op(f"{path}.scores_add_{index}", geometry, (plain, term), scores)
        if a.on_scores:
            scores = self.each(f"{path}.scores_{a.on_scores}", a.on_scores, scores)
        work: tuple[Space, ...] = (Space(FLOPS_PER_ELEMENT["softmax"], axes),)
        reads = (scores,) if mask is None else (scores, mask)
        if a.sinks:  # one score more for every query
            sinks = (*q.rows_axes, ("heads", a.heads))
            work = (*work, Space(FLOPS_PER_ELEMENT["softmax"], sinks))
            reads = (*reads, self.weight(f"{path}.sinks", named(heads=a.heads)))
        self.op(f"{path}.softmax", Softmax(work), reads, probabilities)
        summed = AttentionProduct("pv", *shape, window=window)
        self.op(f"{path}.context", summed, (probabilities, values), context)
        return context


def join(parts: tuple[Axes, ...]) -> Axes:
    """Return the one axis of parts side by side."""
    return named(joined=sum([size(part) for part in parts]))


def spaces_of(coefficient: Number, x: Tensor) -> tuple[Space, ...]:
    """Return FLOPs of every element of x, apart for the parts that lie side by side in it."""
    if not x.parts:
        return (Space(coefficient, x.axes),)
    return tuple([Space(coefficient, x.axes[:-1] + part) for part in x.parts])


def new_part(whole: Tensor, x: Tensor) -> Tensor:
    """Return the part of keys or values [B, S, ...] that the rows of x are the new tokens of."""
    rows = tuple([("keys" if name == "tokens" else name, n) for name, n in x.rows_axes])
    return whole.part(rows + whole.axes[2:])


def normalised(kind: str, axes: Axes, along: Axes) -> Norm:
    """Return the geometry of a kind of norm over some axes of what it reads."""
    space = Space(FLOPS_PER_ELEMENT[kind], axes)
    return Norm((space,), _NORMS[kind], names(along))


def _mask_of(a: Attention, *, cross: bool) -> Mask:
    """Return which pairs an attention meets."""
    if cross:
        return "cross"
    if not a.causal:
        return "full" if a.window is None else "local"
    if a.chunk is not None:
        return "chunked"
    return "causal" if a.window is None else "sliding"

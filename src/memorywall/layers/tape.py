"""The blocks that transformers share, written down operator by operator.

A family reads like a forward pass: it calls a ``Tape`` as a module calls its submodules, and the
tape notes the operators. Letters: B batch, T new tokens, S keys, D hidden, F feed-forward,
N query heads, K key-value heads, H head dim, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from memorywall.core.formats import arithmetic_of
from memorywall.core.forward import Forward
from memorywall.core.numbers import Number, Shape, minimum
from memorywall.core.program import Block, Kind, Op
from memorywall.core.storage import Storage
from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import (
    ACTIVATION_FLOPS,
    ACTIVATION_WEIGHTS,
    FLOPS_PER_ELEMENT,
    NORM_WEIGHTS,
)

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
            the whole row, or each head with a gain of its own: weights and FLOPs are the same.
        window: how far a token looks back, itself included; None for all the way.
        causal: whether it only looks back, and so keeps a cache; else it looks ahead as far.
        qk_norm_kind: ``rmsnorm`` or another kind of norm.
        on_scores: ``softcap`` or ``alibi``, done to every score before the softmax.
        clip: whether queries, keys and values are clamped.
        sinks: whether each head has a learned score that takes part in the softmax alone.
        chunk: tokens attend within chunks of so many positions; None for no chunks.
        gated: whether the projection of the queries also makes a gate for what attention returns.
        kept: whether keys and values are kept for later tokens; CLIP's text looks back for none.
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


@dataclass(frozen=True, slots=True)
class FeedForward:
    """Shape of a feed-forward: F, the activation function, gated (GLU) or plain, biases."""

    width: int
    activation: str
    gated: bool = False
    bias: bool = False


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

    def close(
        self, repeat: int = 1, *, shared: bool = False, own: frozenset[str] = frozenset()
    ) -> Block:
        """Return what was noted as a block."""
        return Block(self.block, tuple(self.ops), repeat, shared, own)

    def activation(self, name: str, *shape: Number) -> Tensor:
        """Make a tensor in the activations' format; its name gets the block's in front."""
        return Tensor(f"{self.block}.{name}", shape, self.forward.activations)

    def weight(self, name: str, *shape: Number, touched: Shape | None = None) -> Tensor:
        """Make a weight in the weights' format."""
        return Tensor(f"{self.block}.{name}", shape, self.forward.weights, "weight", touched)

    def op(
        self,
        name: str,
        kind: Kind,
        flops: Number,
        reads: tuple[Tensor, ...],
        *writes: Tensor,
        function: str = "",
    ) -> None:
        """Note one operator; one without rows (a head that is not asked for) moves no weights.

        Where weights have formats of their own, what the operator is decides which.
        """
        if self.forward.storage is not None:
            self._store(self.forward.storage, name, kind, reads)
        if type(flops) is int and flops == 0 and kind != "embedding":
            for tensor in reads:
                tensor.touched = (0,)
        queries = self.forward.tokens if kind == "attention" else 0
        self.ops.append(Op(name, kind, flops, reads, writes, self.dtype, function, queries))

    def _store(self, storage: Storage, op: str, kind: Kind, reads: tuple[Tensor, ...]) -> None:
        """Give the weights that an operator reads the formats that they are stored in."""
        for tensor in reads:
            if tensor.role == "weight":
                axes = len(tensor.shape)
                tensor.format = storage.format_of(op, kind, tensor.name, axes)

    def embed(self, name: str, out: Tensor, *tables: tuple[str, int, Number]) -> Tensor:
        """Add rows of tables, each (name, rows, rows touched); ids are not counted."""
        width = out.shape[-1]
        weights = tuple(
            self.weight(f"{table}.weight", rows, width, touched=(minimum(touched, rows), width))
            for table, rows, touched in tables
        )
        flops = (len(tables) - 1) * out.elements
        self.op(name, "embedding", flops, weights, out, function="copy")
        return out

    def linear(
        self, name: str, x: Tensor, width: int, bias: bool = False, *, out: Tensor | None = None
    ) -> Tensor:
        """Multiply x [rows, in] by weight [width, in]: 2 rows in width FLOPs, the bias inside."""
        rows, inner = x.shape
        out = out or self.activation(name, rows, width)
        reads: tuple[Tensor, ...] = (x, self.weight(f"{name}.weight", width, inner))
        if bias:
            reads = (*reads, self.weight(f"{name}.bias", width))
        self.op(name, "gemm", 2 * inner * width * rows, reads, out, function=self.product)
        return out

    def norm(
        self,
        name: str,
        x: Tensor,
        kind: str,
        *,
        gain: int | None = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Normalise x by a kind of ``NORM_WEIGHTS``.

        By rows, or by runs of ``gain`` elements where a row holds several heads.
        """
        width = gain or x.shape[-1]
        out = out or self.activation(name, *x.shape)
        weights = [self.weight(f"{name}.{part}", width) for part in NORM_WEIGHTS[kind]]
        flops = FLOPS_PER_ELEMENT[kind] * x.elements
        function = kind.partition("_")[0]
        self.op(name, "norm", flops, (x, *weights), out, function=function)
        return out

    def apply(self, name: str, function: str, x: Tensor) -> Tensor:
        """Apply an activation function to every element."""
        out = self.activation(name, *x.shape)
        flops = ACTIVATION_FLOPS[function] * x.elements
        learned = [
            self.weight(f"{name}.{part}", 1) for part in ACTIVATION_WEIGHTS.get(function, ())
        ]
        self.op(name, "elementwise", flops, (x, *learned), out, function=function)
        return out

    def gate(self, name: str, function: str, gate: Tensor, x: Tensor) -> Tensor:
        """Multiply x by an activation function of the gate."""
        out = self.activation(name, *x.shape)
        cost = ACTIVATION_FLOPS[function] + FLOPS_PER_ELEMENT["gated"]
        flops = cost * x.elements
        self.op(name, "elementwise", flops, (gate, x), out, function=f"{function} gated")
        return out

    def each(self, name: str, function: str, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Do ``scale``, ``clip``, ``softcap`` or ``alibi`` to every element."""
        out = out or self.activation(name, *x.shape)
        flops = FLOPS_PER_ELEMENT[function] * x.elements
        self.op(name, "elementwise", flops, (x,), out, function=function)
        return out

    def add(self, name: str, x: Tensor, y: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Add two tensors of one shape."""
        out = out or self.activation(name, *x.shape)
        flops = FLOPS_PER_ELEMENT["add"] * x.elements
        self.op(name, "elementwise", flops, (x, y), out, function="add")
        return out

    def rotary(self, name: str, x: Tensor, heads: int, dim: int, out: Tensor) -> Tensor:
        """Rotate ``dim`` elements of every head of x by its position; angles are not counted."""
        flops = FLOPS_PER_ELEMENT["rotary"] * heads * dim * x.shape[0]
        self.op(name, "elementwise", flops, (x,), out, function="rotary")
        return out

    def self_attention(
        self,
        x: Tensor,
        a: Attention,
        path: str = "attention",
        *,
        mask: Tensor | None = None,
        terms: Terms | None = None,
        width: int | None = None,
        project: Projection | None = None,
    ) -> Tensor:
        """Project, attend and project back: [B T, D] in and out.

        ``mask`` stands in a mask's place within the softmax; ``terms`` are added to the scores.
        What comes out has the ``width`` of x unless one is given; ``project`` makes queries, keys
        and values where that is no linear layer alone.
        """
        q, k, v = self._queries_keys_values(x, a, path, project or self.linear)
        added = terms(self, q, k) if terms else ()
        context = self._attend(q, k, v, a, path, mask=mask, added=added)
        if a.gated:
            gate = self.activation(f"{path}.gate", *context.shape)
            context = self.gate(f"{path}.gating", "sigmoid", gate, context)
        return self.linear(f"{path}.o_proj", context, width or int(x.shape[-1]), a.out_bias)

    def feed_forward(self, x: Tensor, f: FeedForward, path: str = "mlp") -> Tensor:
        """Expand to F, activate (gated or not) and contract: [B T, D] in and out."""
        if f.gated:
            gate = self.linear(f"{path}.gate_proj", x, f.width, f.bias)
            up = self.linear(f"{path}.up_proj", x, f.width, f.bias)
            inner = self.gate(f"{path}.activation", f.activation, gate, up)
        else:
            up = self.linear(f"{path}.up_proj", x, f.width, f.bias)
            inner = self.apply(f"{path}.activation", f.activation, up)
        return self.linear(f"{path}.down_proj", inner, int(x.shape[-1]), f.bias)

    def _queries_keys_values(
        self, x: Tensor, a: Attention, path: str, project: Projection
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the queries, and the keys and values of every position that is attended to.

        With a cache the new keys and values are written into it, and the whole is what is read.
        """
        rows, n, k, h = x.shape[0], a.heads, a.kv_heads, a.head_dim
        keys = self._key_value(f"{path}.k", a)
        values = self._key_value(f"{path}.v", a)
        # Whichever operator on the keys comes last writes them to where they are kept.
        kept = self._new(keys, rows, a)
        kept_values = self._new(values, rows, a)
        gain = h if a.qk_norm == "head" else None
        normed = None if a.rotary else kept
        clipped = None if a.qk_norm else normed
        projected = None if a.clip else clipped

        q = self._query(x, a, path, project)
        key = project(f"{path}.k_proj", x, k * h, a.qkv_bias and a.key_bias, out=projected)
        value = project(f"{path}.v_proj", x, k * h, a.qkv_bias, out=None if a.clip else kept_values)
        if a.clip:
            q = self.each(f"{path}.q_clip", "clip", q)
            key = self.each(f"{path}.k_clip", "clip", key, out=clipped)
            self.each(f"{path}.v_clip", "clip", value, out=kept_values)
        if a.qk_norm:
            q = self.norm(f"{path}.q_norm", q, a.qk_norm_kind, gain=gain)
            key = self.norm(f"{path}.k_norm", key, a.qk_norm_kind, gain=gain, out=normed)
        if a.rotary:
            rotated = self.activation(f"{path}.q_rotary", *q.shape)
            q = self.rotary(f"{path}.q_rotary", q, n, a.rotary, rotated)
            self.rotary(f"{path}.k_rotary", key, k, a.rotary, kept)
        return q, keys, values

    def _query(self, x: Tensor, a: Attention, path: str, project: Projection) -> Tensor:
        """Project the queries, and in the same product their gate where there is one."""
        if not a.gated:
            return project(f"{path}.q_proj", x, a.heads * a.head_dim, a.qkv_bias)
        (rows, inner), width = x.shape, a.heads * a.head_dim
        q, gate = (self.activation(f"{path}.{name}", rows, width) for name in ("q_proj", "gate"))
        reads: tuple[Tensor, ...] = (x, self.weight(f"{path}.q_proj.weight", 2 * width, inner))
        if a.qkv_bias:
            reads = (*reads, self.weight(f"{path}.q_proj.bias", 2 * width))
        flops = 4 * inner * width * rows
        self.op(f"{path}.q_proj", "gemm", flops, reads, q, gate, function=self.product)
        return q

    def _key_value(self, name: str, a: Attention) -> Tensor:
        """Return the keys or values that attention reads: B S K heads of H."""
        forward = self.forward
        vectors = forward.batch * a.kv_heads
        if not (a.causal and a.kept):
            return self.activation(name, vectors * forward.tokens, a.head_dim)
        return Tensor(
            f"{self.block}.{name}_cache",
            (vectors * forward.cached(a.window or a.chunk), a.head_dim),
            forward.kv_cache,
            "kv_cache",
            touched=(vectors * forward.keys(a.window, a.chunk), a.head_dim),
        )

    def _new(self, whole: Tensor, rows: Number, a: Attention) -> Tensor:
        """Return the part of the keys or values that this pass writes."""
        touched = (rows * a.kv_heads, a.head_dim)
        return Tensor(whole.name, whole.shape, whole.format, whole.role, touched)

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
        is read within the softmax and adds no FLOP of its own; what is ``added`` does.
        """
        forward = self.forward
        if sources is None:
            pairs, function = forward.pairs(a.causal, a.window, a.chunk), ""
        else:
            pairs, function = forward.tokens * sources, "cross"
        pairs = forward.batch * a.heads * pairs
        scores = self.activation(f"{path}.scores", pairs)
        probabilities = self.activation(f"{path}.probabilities", pairs)
        context = self.activation(f"{path}.context", *q.shape)
        products = 2 * a.head_dim * pairs
        self.op(f"{path}.scores", "attention", products, (q, keys), scores, function=function)
        for index, term in enumerate(added):
            plain, scores = scores, self.activation(f"{path}.scores_{index}", pairs)
            cost = FLOPS_PER_ELEMENT["add"] * pairs
            name = f"{path}.scores_add_{index}"
            self.op(name, "elementwise", cost, (plain, term), scores, function="add")
        if a.on_scores:
            scores = self.each(f"{path}.scores_{a.on_scores}", a.on_scores, scores)
        cost = FLOPS_PER_ELEMENT["softmax"] * pairs
        reads = (scores,) if mask is None else (scores, mask)
        if a.sinks:  # one score more for every query
            cost = cost + FLOPS_PER_ELEMENT["softmax"] * q.shape[0] * a.heads
            reads = (*reads, self.weight(f"{path}.sinks", a.heads))
        self.op(f"{path}.softmax", "softmax", cost, reads, probabilities)
        reads = (probabilities, values)
        self.op(f"{path}.context", "attention", products, reads, context, function=function)
        return context

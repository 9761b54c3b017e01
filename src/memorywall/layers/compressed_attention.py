"""Attention to a window and to compressed entries, as DeepSeek-V4 has it.

One head of keys, which are the values too, for all query heads. A token attends to the last
``window`` tokens and to entries, each made of a run of ``ratio`` tokens: two projections of every
token, of which a softmax over the run weighs the one by the other. With an indexer (layers of small
ratios) an entry is made of the run before as well, by two more projections, and a token selects the
best entries; without, it attends to all before it. Queries go through a low rank, and the output is
projected by groups of heads first (DeepSeek-V4's report, section 2.3).

The cache of a sequence of S tokens holds min(S, window) vectors and floor(S / ratio) entries, and
with an indexer as many of its keys. Of the last run, or two where runs overlap, a compressor keeps
what it projected: state of a fixed size. Letters: B batch, T new tokens, N heads, H head dim.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.axes import Axes, named
from memorywall.core.geometry import Attention, Elementwise, Gemm, Product, Softmax, Space
from memorywall.core.numbers import Number
from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import FLOPS_PER_ELEMENT
from memorywall.layers.indexer import Indexer, index_cache, record_scores
from memorywall.layers.recurrent import recurrent_state
from memorywall.layers.tape import Tape, new_part


@dataclass(frozen=True, slots=True)
class Compression:
    """How past tokens are compressed.

    Attributes:
        ratio: tokens of a run.
        selected: entries that a token attends to at most; None for all before it.
        indexer: what selects them; such entries are made of the run before as well.
    """

    ratio: int
    selected: int | None = None
    indexer: Indexer | None = None

    @property
    def series(self) -> int:
        """The number of runs that an entry is made of, each by separate projections."""
        return 1 if self.indexer is None else 2

    @property
    def span(self) -> int:
        """Tokens that an entry is made of."""
        return self.series * self.ratio


@dataclass(frozen=True, slots=True)
class CompressedAttention:
    """Shape of an attention to a window and to compressed entries.

    Attributes:
        heads, head_dim, rotary: N, H, and the rotated elements of a head.
        query_rank: elements that queries are projected through.
        window: positions that a token attends to one by one, including itself.
        groups, group_rank: of the output's projection: groups of heads, and what each becomes.
        compression: of the tokens before; None for the window alone.
    """

    heads: int
    head_dim: int
    rotary: int
    query_rank: int
    window: int
    groups: int
    group_rank: int
    compression: Compression | None = None

    @property
    def attends(self) -> bool:
        """It keeps keys, which are the values too."""
        return True

    @property
    def masks(self) -> bool:
        """It looks back alone."""
        return True

    @property
    def name(self) -> str:
        """The word for it in the names of layers."""
        if self.compression is None:
            return "sliding"
        return "compressed" if self.compression.indexer is None else "selected"

    def record(self, tape: Tape, x: Tensor) -> Tensor:
        """Note its operators: [B T, D] in and out."""
        query, low = self._query(tape, x)
        caches: tuple[Tensor, ...] = (self._window(tape, x),)
        if self.compression is not None:
            caches = (*caches, self._entries(tape, x, low, self.compression))
        context = self._attend(tape, query, caches)
        rotated = tape.like("attention.context_rotary", context)  # back: values are rotated keys
        context = tape.rotary("attention.context_rotary", context, self.rotary, rotated)
        return self._project(tape, x, context)

    @property
    def _vector(self) -> Axes:
        return named(head_dim=self.head_dim)

    def _query(self, tape: Tape, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the queries, [B, T, N, H], and the latents that they are projected from."""
        low = tape.linear("attention.q_a_proj", x, named(q_latent=self.query_rank))
        low = tape.norm("attention.q_a_norm", low, "rmsnorm")
        query = tape.linear("attention.q_b_proj", low, named(heads=self.heads) + self._vector)
        query = tape.norm("attention.q_b_norm", query, "rmsnorm_plain", run=1)
        rotated = tape.like("attention.q_rotary", query)
        return tape.rotary("attention.q_rotary", query, self.rotary, rotated), low

    def _window(self, tape: Tape, x: Tensor) -> Tensor:
        """Return the cache of the last tokens, [B, S, H], into which the new are put."""
        forward, name = tape.forward, "attention.kv"
        held, read = forward.cached(self.window), forward.keys(self.window)
        cache = tape.cache(f"{name}_cache", held, read, self._vector)
        new = tape.linear(f"{name}_proj", x, self._vector)
        new = tape.norm(f"{name}_norm", new, "rmsnorm")
        tape.rotary(f"{name}_rotary", new, self.rotary, new_part(cache, x))
        return cache

    def _entries(self, tape: Tape, x: Tensor, low: Tensor, c: Compression) -> Tensor:
        """Return the cache of entries, [B, S / ratio, H]; with an indexer, choose among them."""
        forward, name = tape.forward, "attention.compressor"
        held = forward.cached() // c.ratio
        read = forward.entries(c.ratio, c.selected)
        cache = tape.cache(f"{name}.cache", held, read, self._vector)
        _compress(tape, x, c, cache, self.rotary, name)
        if c.indexer is not None:
            name, width = "attention.indexer", c.indexer.head_dim
            every = forward.entries(c.ratio)
            keys = index_cache(tape, f"{name}.k_cache", held, every, width)
            _compress(tape, x, c, keys, c.indexer.rotary, name)
            pairs = forward.entry_pairs(c.ratio)
            record_scores(tape, x, low, keys, c.indexer, name, keys=every, pairs=pairs)
        return cache

    def _attend(self, tape: Tape, query: Tensor, caches: tuple[Tensor, ...]) -> Tensor:
        """Q K^T, softmax with sinks, P V over the window and the entries."""
        forward, c = tape.forward, self.compression
        pairs: Number = forward.pairs(causal=True, window=self.window)
        keys: Number = forward.keys(self.window)
        if c is not None:
            pairs = pairs + forward.entry_pairs(c.ratio, c.selected)
            keys = keys + forward.entries(c.ratio, c.selected)
        axes = (("batch", forward.batch), ("heads", self.heads), ("pairs", pairs))
        scores = tape.activation("attention.scores", axes, 3)
        probabilities = tape.activation("attention.probabilities", axes, 3)
        context = tape.like("attention.context", query)

        def product(which: Product) -> Attention:
            return Attention(
                which, forward.batch, self.heads, 1, self._vector, forward.tokens, keys, pairs,
                "sliding" if c is None else "causal", latent=True,
            )  # fmt: skip

        tape.op("attention.scores", product("qk"), (query, *caches), scores)
        cost, heads = FLOPS_PER_ELEMENT["softmax"], named(heads=self.heads)
        work = (Space(cost, axes), Space(cost, forward.row_axes + heads))
        sinks = tape.weight("attention.sinks", heads)
        tape.op("attention.softmax", Softmax(work), (scores, sinks), probabilities)
        tape.op("attention.context", product("pv"), (probabilities, *caches), context)
        return context

    def _project(self, tape: Tape, x: Tensor, context: Tensor) -> Tensor:
        """Project each group of heads, then all of them: [B T, N H] in, [B T, D] out."""
        rows, groups = x.rows_axes, named(heads=self.groups)
        rank, inner = named(rank=self.group_rank), self.heads // self.groups * self.head_dim
        low, width = tape.activation("attention.o_a_proj", rows + groups + rank, 2), x.row_axes
        weight = tape.weight("attention.o_a_proj.weight", groups + rank + named(head_dim=inner))
        geometry = Gemm(rows, named(head_dim=inner), (rank,), groups)
        tape.op("attention.o_a_proj", geometry, (context, weight), low)
        return tape.linear("attention.o_b_proj", low, width)


def _compress(tape: Tape, x: Tensor, c: Compression, cache: Tensor, rotary: int, name: str) -> None:
    """Make the entries whose runs the new tokens complete, and put them into the cache.

    Every token is projected to values and to gates, of each series. An entry is the sum of values
    weighted by the softmax of gates plus a bias by position, normalised and rotated.
    """
    forward, vector = tape.forward, cache.row_axes
    made = forward.new_entries(c.ratio)
    width = vector if c.series == 1 else named(parts=c.series) + vector
    values = tape.linear(f"{name}.kv_proj", x, width)
    gates = tape.linear(f"{name}.gate_proj", x, width)
    bias = tape.weight(f"{name}.position_bias", named(kernel=c.ratio) + width, len(width))
    kept = recurrent_state(tape, f"{name}.state", named(kernel=c.span, query_gate=2) + width)
    rows = (("batch", forward.batch), ("keys", made))
    pooled = tape.activation(f"{name}.compress", rows + vector)
    space = Space(FLOPS_PER_ELEMENT["compress"], rows + named(kernel=c.span) + vector)
    reads: tuple[Tensor, ...] = (values, gates, bias)
    if forward.step:  # a token is put into the state, which is read where it completes a run
        each = named(query_gate=2) + width
        token = kept.part((("batch", forward.batch), ("kernel", 1), *each))
        run = (("batch", forward.batch), ("kernel", made * c.span), *named(query_gate=2), *vector)
        reads, kept = (*reads, kept.part(run)), token
    geometry = Elementwise((space,), "compress", (), ("kernel",))
    tape.op(f"{name}.compress", geometry, reads, pooled, kept)
    normed = tape.norm(f"{name}.norm", pooled, "rmsnorm")
    tape.rotary(f"{name}.rotary", normed, rotary, cache.part(rows + vector))

"""The work of an operator, in numbers for cost models, sharding and backward passes.

FLOPs = the sum, over an operator's spaces, of coefficient x product of the space's named lengths. A
pass that changes lengths changes FLOPs by the same formula. One fused multiply-add is 2 FLOPs, so
the coefficient of a product is 2; ``layers/element_costs.py`` has the others. Lengths are Python
numbers, NumPy arrays or symbols: nothing here compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from memorywall.core.axes import Axes, names, size
from memorywall.core.numbers import Number
from memorywall.core.routing import distinct

Kind: TypeAlias = Literal[
    "gemm",
    "attention",
    "softmax",
    "norm",
    "elementwise",
    "embedding",
    "scan",
    "conv",
    "collective",
    "optimizer",
]
Product: TypeAlias = Literal["qk", "pv", "both", "distances", "index"]
Mask: TypeAlias = Literal["causal", "sliding", "chunked", "full", "local", "cross"]
Tier: TypeAlias = Literal["node", "cluster"]


@dataclass(slots=True, eq=False)
class Space:
    """Named lengths whose product, times ``coefficient``, is a number of FLOPs."""

    coefficient: Number
    axes: Axes

    @property
    def flops(self) -> Number:
        """FLOPs of the whole space."""
        return size(self.axes, self.coefficient)


def flops_of(spaces: Sequence[Space]) -> Number:
    """Return the FLOPs of several spaces."""
    if not spaces:
        return 0
    found = size(spaces[0].axes, spaces[0].coefficient)  # no pass over an array more than needed
    for space in spaces[1:]:
        found = found + size(space.axes, space.coefficient)
    return found


# Made for every operator of every question: frozen for the type checker only.
@dataclass(slots=True, eq=False)
class _Geometry:
    """The base of all geometries; FLOPs are computed once, on the first use."""

    _flops: Number | None = field(default=None, init=False, repr=False)

    @property
    def spaces(self) -> Sequence[Space]:
        """Spaces whose FLOPs add up to the operator's."""
        return ()

    @property
    def function(self) -> str:
        """The variant, if a kind covers several."""
        return ""

    @property
    def contracts(self) -> tuple[str, ...]:
        """Axes that are summed over: an operator split along one of these makes partial sums."""
        return ()

    @property
    def over(self) -> tuple[str, ...]:
        """Axes along which it normalises: split along one of these, its statistics are reduced."""
        return ()

    @property
    def linear_in(self) -> tuple[int, ...]:
        """Positions of the jointly linear inputs among the reads of the unfused operator."""
        return ()

    @property
    def flops(self) -> Number:
        """FLOPs of one execution."""
        found = self._flops
        if found is None:
            found = self._flops = flops_of(self.spaces)
        return found

    @property
    def axes(self) -> frozenset[str]:
        """Names of the axes of all spaces."""
        return frozenset(name for space in self.spaces for name in names(space.axes))


@dataclass(slots=True, eq=False)
class Gemm(_Geometry):
    """A matrix product with a weight: x [rows, groups, inner] to [rows, groups, outs].

    Attributes:
        rows: axes of the rows.
        inner: axes that are contracted.
        outs: axes of the output; several if one product makes unequal parts side by side.
        groups: axes with one product each, such as heads with separate weights.
        which: the framework's name of the product, which gives the layout of its weight: ``linear``
            [out, in], ``conv1d`` [in, out]; in a trace, PyTorch's name.
        beside: axes of further arrays next to x that are contracted with the same weight.
    """

    kind: ClassVar[Kind] = "gemm"
    rows: Axes
    inner: Axes
    outs: tuple[Axes, ...]
    groups: Axes = ()
    which: str = "linear"
    beside: tuple[Axes, ...] = ()

    @property
    def m(self) -> Number:
        """Rows of each product."""
        return size(self.rows)

    @property
    def n(self) -> Number:
        """Columns of the output, of all parts."""
        return sum([size(out) for out in self.outs], 0)

    @property
    def k(self) -> Number:
        """Length that is contracted."""
        return sum([size(inner) for inner in self.beside], size(self.inner))

    @property
    def function(self) -> str:
        """The product as frameworks call it."""
        return self.which

    @property
    def contracts(self) -> tuple[str, ...]:
        """Return the inner axes."""
        return tuple([name for inner in (self.inner, *self.beside) for name in names(inner)])

    @property
    def linear_in(self) -> tuple[int, ...]:
        """Return the positions of x, and of the arrays next to it."""
        return tuple(range(1 + len(self.beside)))

    def is_factor(self, weight: Axes) -> bool:
        """Return whether a weight that it reads is the matrix, which has more axes than a bias."""
        out = len(self.outs[0]) if len(self.outs) == 1 else 1
        return len(weight) > len(self.groups) + out

    @property
    def spaces(self) -> Sequence[Space]:
        """One for each part: rows x groups x out x inner, 2 FLOPs each."""
        before = self.rows + self.groups
        if not self.beside and len(self.outs) == 1:  # nearly always
            return (Space(2, before + self.outs[0] + self.inner),)
        inners = (self.inner, *self.beside)
        return [Space(2, before + out + inner) for out in self.outs for inner in inners]


@dataclass(slots=True, eq=False)
class Experts(_Geometry):
    """Products with stacked weights [experts, out, inner]: ``chosen`` of them for each row.

    The axis ``experts`` is not part of the space: every row has exactly ``chosen`` products.

    Attributes:
        rows: axes of the rows, without the axis ``routed``.
        inner, out: contracted axes, and output axes.
        experts, chosen: E and k.
        routing: the rule of choice in ``core/routing.py``, which gives the number of experts that a
            number of rows touches. That number is not proportional to the rows.
        groups: of devices among which the experts are divided; the work is that of one.
    """

    kind: ClassVar[Kind] = "gemm"
    rows: Axes
    inner: Axes
    out: Axes
    experts: int
    chosen: int
    routing: str = "uniform"
    groups: int = 1

    @property
    def function(self) -> str:
        """``experts``."""
        return "experts"

    @property
    def contracts(self) -> tuple[str, ...]:
        """Return the inner axes."""
        return names(self.inner)

    @property
    def linear_in(self) -> tuple[int, ...]:
        """Return the position of the rows."""
        return (0,)

    @property
    def touched(self) -> Number:
        """The expected number of experts that the rows touch."""
        whole = distinct(self.experts, self.chosen, size(self.rows), self.routing)
        return whole if self.groups == 1 else whole / self.groups

    def is_factor(self, weight: Axes) -> bool:
        """Return whether a weight holds the matrices, which have more axes than biases."""
        return len(weight) > 1 + len(self.out)

    @property
    def spaces(self) -> Sequence[Space]:
        """Rows x routed x out x inner, 2 FLOPs each."""
        routed: Number = self.chosen
        if self.groups > 1:
            even = self.chosen % self.groups == 0
            routed = self.chosen // self.groups if even else self.chosen / self.groups
        return (Space(2, (*self.rows, ("routed", routed), *self.out, *self.inner)),)


@dataclass(slots=True, eq=False)
class Attention(_Geometry):
    """A product of attention without weights.

    Attributes:
        product: ``qk`` makes scores, ``pv`` sums values by probabilities, ``both`` is one operator
            that does both; ``distances`` scores vectors by rows of a table of distances, ``index``
            keys for a selection, without values.
        batch, heads, kv_heads: sequences; heads of queries, and of keys and values.
        head_dim: axes of one vector: of a query and a key, or of a value.
        queries: new tokens of one sequence; 1 in decode.
        keys: positions of one sequence that are attended to.
        pairs: (query, key) pairs of one sequence and head.
        mask: ``causal``, ``sliding`` and ``chunked`` attend backwards only, fully or within a
            window; ``full`` and ``local`` in both directions; ``cross`` to another sequence, which
            never grows.
        latent: whether keys and values are one array, of which values are a part.
        value_dim: of ``both`` products, axes of a value if they differ from those of a key.
        heads_axis: the axis of the query heads; those of an indexer are on every device whole.
        window: positions that a query attends to at most; 0 without a window.
    """

    kind: ClassVar[Kind] = "attention"
    product: Product
    batch: Number
    heads: Number
    kv_heads: Number
    head_dim: Axes
    queries: Number
    keys: Number
    pairs: Number
    mask: Mask = "full"
    latent: bool = False
    value_dim: Axes = ()
    heads_axis: str = "heads"
    window: int = 0

    @property
    def function(self) -> str:
        """``cross`` for attention to another sequence."""
        return "cross" if self.mask == "cross" else ""

    @property
    def contracts(self) -> tuple[str, ...]:
        """``qk`` sums over a vector, ``pv`` over keys."""
        return ("keys",) if self.product in ("pv", "both") else names(self.head_dim)

    @property
    def spaces(self) -> Sequence[Space]:
        """Batch x heads x pairs x head_dim, 2 FLOPs each; of ``both`` products one each."""
        before = (("batch", self.batch), (self.heads_axis, self.heads), ("pairs", self.pairs))
        first = Space(2, before + self.head_dim)
        if self.product != "both":
            return (first,)
        return (first, Space(2, before + (self.value_dim or self.head_dim)))


@dataclass(slots=True, eq=False)
class _Listed(_Geometry):
    """A geometry with explicit spaces."""

    work: tuple[Space, ...]

    @property
    def spaces(self) -> Sequence[Space]:
        """Return the spaces as given."""
        return self.work


@dataclass(slots=True, eq=False)
class Softmax(_Listed):
    """Scores to probabilities: normalises over the keys of each query."""

    kind: ClassVar[Kind] = "softmax"

    @property
    def over(self) -> tuple[str, ...]:
        """Return the keys, which the axis ``pairs`` holds."""
        return ("keys",)


@dataclass(slots=True, eq=False)
class Norm(_Listed):
    """A norm: ``which`` kind, and the names of the axes that it normalises ``along``."""

    kind: ClassVar[Kind] = "norm"
    which: str
    along: tuple[str, ...] = ()

    @property
    def function(self) -> str:
        """Its kind, such as ``rmsnorm``."""
        return self.which

    @property
    def over(self) -> tuple[str, ...]:
        """Return the normalised axes."""
        return self.along


@dataclass(slots=True, eq=False)
class Elementwise(_Listed):
    """A function of every element, or of every element of several arrays.

    Attributes:
        which: the function.
        linear: positions among the reads that it is jointly linear in.
        sums: axes that it sums over, such as the ``routed`` rows of a token.
        gated: whether the function applies to one half of the input, and multiplies the other.
    """

    kind: ClassVar[Kind] = "elementwise"
    which: str
    linear: tuple[int, ...] = ()
    sums: tuple[str, ...] = ()
    gated: bool = False

    @property
    def function(self) -> str:
        """The function, such as ``gelu_new`` or ``silu gated``."""
        return f"{self.which} gated" if self.gated else self.which

    @property
    def linear_in(self) -> tuple[int, ...]:
        """Return positions among the reads."""
        return self.linear

    @property
    def contracts(self) -> tuple[str, ...]:
        """Return the axes that it sums over."""
        return self.sums

    @property
    def elements(self) -> Number:
        """Elements of its first space."""
        return size(self.work[0].axes)


@dataclass(slots=True, eq=False)
class Embedding(_Listed):
    """Rows of tables: a product with a one-hot row, done as a copy; sums of several tables add.

    ``tables`` are the names of the axes that rows are chosen from.
    """

    kind: ClassVar[Kind] = "embedding"
    tables: tuple[str, ...] = ()

    @property
    def function(self) -> str:
        """``copy``."""
        return "copy"

    @property
    def contracts(self) -> tuple[str, ...]:
        """Return the axes that rows are chosen from."""
        return self.tables


@dataclass(slots=True, eq=False)
class Conv(_Listed):
    """A convolution.

    Attributes:
        taps: length of the kernel along the tokens; split tokens need ``taps - 1`` of their
            neighbours.
        channels: axes that are contracted; none for one filter a channel.
        which: ``depthwise``, ``conv1d`` or nothing.
    """

    kind: ClassVar[Kind] = "conv"
    taps: Number = 1
    channels: tuple[str, ...] = ()
    which: str = ""

    @property
    def function(self) -> str:
        """``depthwise``, ``conv1d`` or nothing."""
        return self.which

    @property
    def contracts(self) -> tuple[str, ...]:
        """Return the contracted channels."""
        return self.channels


@dataclass(slots=True, eq=False)
class Scan(_Listed):
    """A recurrence along ``sequential``: a split of that axis passes the state on."""

    kind: ClassVar[Kind] = "scan"
    which: str
    sequential: str = "tokens"

    @property
    def function(self) -> str:
        """Which recurrence, such as ``ssd``."""
        return self.which


@dataclass(slots=True, eq=False)
class Collective(_Geometry):
    """An exchange between devices; it has no FLOPs.

    Attributes:
        which: ``all_reduce``, ``reduce_scatter``, ``all_gather``, ``all_to_all``, ``send``.
        payload: bytes of the tensor as one rank has it whole in this group.
        ranks: devices that take part.
        tier: the links that it crosses.
    """

    kind: ClassVar[Kind] = "collective"
    which: str
    payload: Number
    ranks: Number
    tier: Tier = "node"

    @property
    def function(self) -> str:
        """Which exchange."""
        return self.which


@dataclass(slots=True, eq=False)
class Counted(_Listed):
    """Work without a more specific geometry: many traced operators, and merged ones.

    ``which`` is the function, for several operators that of the last.
    """

    kind: Kind
    which: str = ""

    @property
    def function(self) -> str:
        """The function."""
        return self.which


@dataclass(slots=True, eq=False)
class Idle(_Geometry):
    """An operator that a pass skips: its weights are resident, and it has no FLOPs."""

    of: Geometry

    @property
    def kind(self) -> Kind:
        """The kind of the skipped operator."""
        return self.of.kind

    @property
    def function(self) -> str:
        """The function of the skipped operator."""
        return self.of.function


Geometry: TypeAlias = (
    Gemm
    | Experts
    | Attention
    | Softmax
    | Norm
    | Elementwise
    | Embedding
    | Conv
    | Scan
    | Collective
    | Counted
    | Idle
)

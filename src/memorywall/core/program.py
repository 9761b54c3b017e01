"""The intermediate form: every source makes it, every pass rewrites it, every cost reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from memorywall.core.geometry import Geometry, Kind
from memorywall.core.numbers import Number
from memorywall.core.tensors import Tensor

OF_LAYERS = ("weight", "gradient", "optimizer_state")  # a shared layer has them once


@dataclass(frozen=True, slots=True)
class Work:
    """FLOPs and the bytes moved for them; adds like a number."""

    flops: Number = 0
    moved_bytes: Number = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.moved_bytes + other.moved_bytes)

    def __mul__(self, times: Number) -> Work:
        return Work(self.flops * times, self.moved_bytes * times)

    @property
    def arithmetic_intensity(self) -> Number:
        """FLOP per byte moved."""
        return self.flops / self.moved_bytes


@dataclass(slots=True, eq=False)
class Op:
    """One execution of one operator.

    Attributes:
        name: its path within the block, such as ``self_attn.q_proj``: a label, and what a
            quantisation config calls it. The geometry holds the work.
        geometry: the work, from which kind, function and FLOPs follow.
        reads: tensors that it reads.
        writes: tensors that it writes.
        dtype: the arithmetic, a key of ``Hardware.peaks``; the tensors hold their storage formats.
    """

    name: str
    geometry: Geometry
    reads: tuple[Tensor, ...]
    writes: tuple[Tensor, ...]
    dtype: str

    @property
    def kind(self) -> Kind:
        """Its kind; ``gemm`` and ``attention`` hold matrix products only."""
        return self.geometry.kind

    @property
    def function(self) -> str:
        """The variant, if a kind covers several: ``gelu_new``, ``rmsnorm``, ``rotary``."""
        return self.geometry.function

    @property
    def flops(self) -> Number:
        """FLOPs of one execution; a fused multiply-add is 2."""
        return self.geometry.flops

    def moving(self, reads: tuple[Tensor, ...], writes: tuple[Tensor, ...]) -> Op:
        """Return the same operator with other tensors."""
        # As ``dataclasses.replace``, which takes five times as long; a test compares the two.
        return Op(self.name, self.geometry, reads, writes, self.dtype)

    @property
    def moved_bytes(self) -> Number:
        """Bytes of all that one execution reads and writes."""
        # Whole numbers first, to minimise the passes over arrays.
        scalar, arrays = 0, None
        for tensor in self.reads + self.writes:
            moved = tensor.moved_bytes
            if type(moved) is int:
                scalar += moved
            else:
                arrays = moved if arrays is None else arrays + moved
        return scalar if arrays is None else arrays + scalar

    @property
    def runs(self) -> bool:
        """Whether any of it runs; a skipped operator only holds its weights resident."""
        works = not (type(self.flops) is int and self.flops == 0)
        return works or bool(self.writes) or self.kind == "collective"

    @property
    def traffic(self) -> dict[str, Number]:
        """Bytes that one execution moves, by the role of the tensors."""
        traffic: dict[str, Number] = {}
        for tensor in (*self.reads, *self.writes):
            traffic[tensor.role] = traffic.get(tensor.role, 0) + tensor.moved_bytes
        return traffic

    @property
    def work(self) -> Work:
        """Work of one execution."""
        return Work(self.flops, self.moved_bytes)


@dataclass(slots=True, eq=False)
class Block:
    """A run of operators, executed ``repeat`` times one after the other.

    Its weights are resident ``repeat`` times, unless the repetitions share them; ``own`` names
    weights that each repetition still has separately. ``held`` gives the number of arrays of single
    names, if it differs: one for a cache that all repetitions use. ``layers`` are the positions,
    from 0, of its repetitions in each stack of layers; () if it is not a layer, or the order is not
    known.
    """

    name: str
    ops: tuple[Op, ...]
    repeat: int = 1
    shared: bool = False
    own: frozenset[str] = frozenset()
    held: Mapping[str, int] = field(default_factory=dict)
    layers: tuple[int, ...] = ()

    @property
    def copies(self) -> int:
        """The number of resident copies of its shared weights."""
        return 1 if self.shared else self.repeat

    def copies_of(self, tensor: Tensor) -> int:
        """The number of resident copies of a persistent array."""
        if tensor.name in self.held:
            return self.held[tensor.name]
        each = tensor.role not in OF_LAYERS or tensor.name in self.own
        return self.repeat if each else self.copies

    @property
    def work(self) -> Work:
        """Work of all repetitions."""
        return sum((op.work for op in self.ops), Work()) * self.repeat


@dataclass(slots=True, eq=False)
class Program:
    """Blocks of operators in the order of execution.

    Attributes:
        blocks: in order.
        returned: names of activations that are outputs, and so are written even if an operator
            reads them.
    """

    blocks: tuple[Block, ...]
    returned: frozenset[str] = frozenset()

    @property
    def work(self) -> Work:
        """Work of the whole."""
        return sum((block.work for block in self.blocks), Work())

    @property
    def traffic(self) -> dict[str, Number]:
        """Bytes that the whole moves, by the role of the tensors."""
        total: dict[str, Number] = {}
        for _, op, repeat in self.walk():
            for role, moved in op.traffic.items():
                total[role] = total.get(role, 0) + moved * repeat
        return total

    def walk(self) -> Iterator[tuple[str, Op, int]]:
        """Yield every operator with its path, such as ``layers.self_attn.q_proj``, and repeat."""
        for block in self.blocks:
            for op in block.ops:
                yield f"{block.name}.{op.name}", op, block.repeat

    def kept(self) -> dict[str, tuple[Tensor, int]]:
        """Return the persistent arrays, all except activations, by name with their resident copies.

        A name in several blocks (a tied head) is one array and counts once, or as often as in the
        block with the most copies: a phase of training may separate one layer.
        """
        found: dict[str, tuple[Tensor, int]] = {}
        for block in self.blocks:
            for op in block.ops:
                for tensor in op.reads + op.writes:
                    if tensor.role != "activation":
                        copies = block.copies_of(tensor)
                        known = found.get(tensor.name)
                        if known is None or known[1] < copies:
                            found[tensor.name] = (tensor, copies)
        return found

    def resident_bytes(self) -> dict[str, Number]:
        """Bytes of all persistent arrays, by role, every repetition counted."""
        totals: dict[str, Number] = {}
        for tensor, copies in self.kept().values():
            size = tensor.resident_bytes * copies
            totals[tensor.role] = totals.get(tensor.role, 0) + size
        return totals

    @property
    def parameters(self) -> int:
        """The number of weights, each stored array counted once."""
        return sum(
            int(tensor.elements) * copies
            for tensor, copies in self.kept().values()
            if tensor.role == "weight"
        )

    @property
    def active_parameters(self) -> int:
        """The expected number of weights that this pass uses, each stored array counted once.

        Not used are experts that no token chooses, weights of parts that do not run, and tables of
        which rows are looked up and nothing else is read, such as those of words and positions; a
        table that is the head too is used.
        """
        read: dict[str, Number] = {}
        for _, op, _ in self.walk():
            for tensor in op.reads if op.kind != "embedding" else ():
                read[tensor.name] = read.get(tensor.name, 0) + tensor.moved_elements
        return round(
            sum(
                copies * min(float(read.get(name, 0)), float(tensor.elements))
                for name, (tensor, copies) in self.kept().items()
                if tensor.role == "weight"
            )
        )

"""Merge the elementwise and row-wise operators of a module, such as a norm, into one operator.

The merged operator reads its inputs once, and writes the tensors that others read. Two operators
merge if one is the only reader of the other's output, or if they are in the same module, unless an
operator of another kind must run between them. An optimizer's operators on one weight also merge
through its states, which they overwrite. A softmax does not absorb an operator fed by a product
alone: ``fuse`` fuses that one into the product.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from memorywall.core.geometry import Counted, Kind
from memorywall.core.numbers import Number, is_array, is_true, maximum, minimum
from memorywall.core.program import Block, Op, Program
from memorywall.core.tensors import Tensor
from memorywall.passes._through import part_of
from memorywall.passes.excess import Excess

_LIGHT = ("elementwise", "norm", "softmax", "optimizer")
# They reduce along rows, and so begin a separate kernel.
_REDUCTIONS = frozenset({
    "mean", "sum", "var", "var_mean", "std", "std_mean", "amax", "amin", "linalg_vector_norm",
    "norm", "logsumexp",
})  # fmt: skip
# Functions that a norm does not use: they choose experts, and route tokens to them.
_PICKS = frozenset({"topk", "sort", "index", "gather", "write part"})
_ANY = -1  # the level of tensors that depend on no activation, and so can be computed at any time


@dataclass(slots=True, eq=False)
class _Group:
    """Operators that are merged into one.

    Attributes:
        level: the number of operators of other kinds that must run before it, in sequence.
        path: of its module.
        reduces: whether it reduces along rows.
        fed: whether it is the only reader of the output of an operator of another kind.
        joined: the group into which it was merged.
    """

    level: int
    path: str
    ops: list[Op] = field(default_factory=list)
    reduces: bool = False
    fed: bool = False
    joined: _Group | None = None

    def root(self) -> _Group:
        """Return the group into which it has been merged, or itself."""
        group = self
        while group.joined is not None:
            group = group.joined
        return group

    def take_in(self, other: _Group) -> None:
        """Merge another group into this one."""
        self.ops += other.ops
        self.level = max(self.level, other.level)
        self.reduces |= other.reduces
        self.fed |= other.fed
        other.joined = self


def group(program: Program, excess: Excess) -> Program:
    """Return a program with its light operators grouped."""
    readers = Counter(program.returned)
    readers.update(tensor.name for _, op, _ in program.walk() for tensor in op.reads)
    blocks = []
    for block in program.blocks:
        ops = _emitted(block, _Grouping(readers).of(block.ops), readers, excess)
        blocks.append(replace(block, ops=tuple(ops)))
    return Program(tuple(blocks), program.returned)


class _Grouping:
    """Groups the operators of one block in their order."""

    def __init__(self, readers: Counter[str]) -> None:
        self._readers = readers
        self._maker: dict[str, _Group] = {}
        self._levels: dict[str, int] = {}
        self._products: set[str] = set()  # activations made by operators of other kinds

    def of(self, ops: Sequence[Op]) -> list[_Group | None]:
        """Return the group of every operator, None for one of another kind."""
        return [self._place(op) for op in ops]

    def _place(self, op: Op) -> _Group | None:
        level = max([self._levels.get(t.name, _level(t)) for t in op.reads], default=_ANY)
        found = self._join(op, level) if op.kind in _LIGHT and op.runs else None
        for tensor in op.writes:
            self._levels[tensor.name] = level if found is not None else max(level, 0) + 1
            if found is not None and (tensor.role == "activation" or op.kind == "optimizer"):
                self._maker[tensor.name] = found
            else:
                self._maker.pop(tensor.name, None)
                self._products.add(tensor.name)
        return found

    def _join(self, op: Op, level: int) -> _Group:
        """Return the group that an operator joins: that of one of its inputs, or a new one."""
        home = _Group(level, op.name.rpartition(".")[0], [op])
        home.reduces = op.kind in ("norm", "softmax") or op.function in _REDUCTIONS
        home.fed = any(t.name in self._products and self._readers[t.name] == 1 for t in op.reads)
        reduces, path = home.reduces, home.path
        for tensor in op.reads:
            found = self._maker.get(tensor.name)
            made = None if found is None else found.root()
            if made is None or made is home:
                continue
            alone = self._readers[tensor.name] == 1 and not reduces
            waits = alone and made.level < level and self._feeds_only(made, tensor)
            if made.level not in (level, _ANY) and not waits:
                continue
            rides = reduces and made.fed and not made.reduces
            if (alone or made.path == path) and not rides:
                made.take_in(home)
                home = made
        return home

    def _feeds_only(self, made: _Group, tensor: Tensor) -> bool:
        """Return whether others read only this tensor of a group, which can then run later."""
        inside = Counter(t.name for op in made.ops for t in op.reads)
        written = [t for op in made.ops for t in op.writes]
        return all(
            t.role == "activation" and self._readers[t.name] == inside[t.name]
            for t in written
            if t.name != tensor.name
        )


def _level(tensor: Tensor) -> int:
    """Return the level of a tensor of an earlier block, or of one that exists from the start."""
    return 0 if tensor.role == "activation" else _ANY


def _emitted(
    block: Block, groups: list[_Group | None], readers: Counter[str], excess: Excess
) -> list[Op]:
    """Return a block's operators; a group takes the position of its last operator."""
    roots = [None if found is None else found.root() for found in groups]
    last = {root: index for index, root in enumerate(roots) if root is not None}
    for group in last:
        group.ops = []
    for op, root in zip(block.ops, roots, strict=True):
        if root is not None:
            root.ops.append(op)  # in the order in which they run
    ops = []
    for index, (op, root) in enumerate(zip(block.ops, roots, strict=True)):
        if root is None:
            ops.append(op)
        elif last[root] == index:
            one = _one(root, readers)
            ops.append(one)
            before = sum([member.moved_bytes for member in root.ops], 0)
            excess.add(one.kind, "temporaries", (before - one.moved_bytes) * block.repeat)
    return ops


def _one(found: _Group, readers: Counter[str]) -> Op:
    """Return one operator for a group: inputs are read once, outputs are written."""
    last = found.ops[-1]
    reads, writes = _taken_in(found.ops), _left(found.ops, readers)
    dtypes = Counter(op.dtype for op in found.ops)
    dtype = max(dtypes, key=lambda name: dtypes[name])
    work = tuple([space for op in found.ops for space in op.geometry.spaces])
    geometry = Counted(work, _kind(found, reads, writes), last.function)
    return Op(last.name, geometry, reads, writes, dtype)


def _taken_in(ops: Sequence[Op]) -> tuple[Tensor, ...]:
    """Return the inputs of a group, each once.

    A name that is read before it is written is the output of the previous layer.
    """
    made: set[str] = set()
    found: dict[str, Tensor] = {}
    for op in ops:
        for tensor in op.reads:
            if tensor.name not in made:
                known = found.get(tensor.name)
                found[tensor.name] = tensor if known is None else _both(known, tensor)
        made |= {tensor.name for tensor in op.writes if tensor.role == "activation"}
    return tuple(found.values())


def _both(one: Tensor, other: Tensor) -> Tensor:
    """Return a tensor for two parts that are read."""
    if one.touched is None:
        return one
    if other.touched is None:
        return other
    return part_of(one, minimum(one.moved_elements + other.moved_elements, one.elements))


def _left(ops: Sequence[Op], readers: Counter[str]) -> tuple[Tensor, ...]:
    """Return the outputs that others read or that are kept; all outputs if none is read."""
    inside = Counter(tensor.name for op in ops for tensor in op.reads)
    found: dict[tuple[str, object], Tensor] = {}
    for op in ops:
        unread = not any(readers[tensor.name] for tensor in op.writes)
        for tensor in op.writes:
            wanted = readers[tensor.name] > inside[tensor.name] or unread
            if wanted or tensor.role != "activation":
                found[tensor.name, _part(tensor)] = tensor
    return tuple(found.values())


def _part(tensor: Tensor) -> tuple[object, ...] | None:
    """Return a key that distinguishes parts of a tensor: lengths, or the contents of arrays."""
    if tensor.touched is None:
        return None
    return tuple(n.tobytes() if is_array(n) else n for _, n in tensor.touched)


def _kind(found: _Group, reads: Sequence[Tensor], writes: Sequence[Tensor]) -> Kind:
    """Return a group's class; a group that reduces along rows and returns whole rows is a norm."""
    kinds = {op.kind for op in found.ops}
    if "softmax" in kinds:
        return "softmax"
    if "optimizer" in kinds:
        return "optimizer"
    largest, returned = _most(reads), _most(writes)
    picks = any(op.function in _PICKS for op in found.ops)
    looks_along = found.reduces and is_true(returned >= largest) and not picks
    return "norm" if "norm" in kinds or looks_along else "elementwise"


def _most(tensors: Sequence[Tensor]) -> Number:
    """Return the largest number of moved elements of any tensor."""
    moved: list[Number] = [0, *(tensor.moved_elements for tensor in tensors)]
    return reduce(maximum, moved)

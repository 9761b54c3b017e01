"""One operator for what a module does element by element, and along rows: its norm, its rotation.

It reads what it takes in once, and writes what others read. Operators join where one alone reads
what the other makes, or where they stand in the same module, unless something of another kind has
to run between them for others' sake. An optimizer's operators on one weight join through its
states, too, which they write over. A softmax does not take in what a product alone feeds: that
rides on the product, as ``fuse`` has it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np

from memorywall.core.numbers import Number, is_true, maximum, minimum
from memorywall.core.program import Block, Kind, Op, Program
from memorywall.core.tensors import Tensor
from memorywall.passes._through import part_of
from memorywall.passes.excess import Excess

_LIGHT = ("elementwise", "norm", "softmax", "optimizer")
# They look along rows, and so begin a kernel of their own.
_REDUCTIONS = frozenset({
    "mean", "sum", "var", "var_mean", "std", "std_mean", "amax", "amin", "linalg_vector_norm",
    "norm", "logsumexp",
})  # fmt: skip
# What a norm has no use for: experts are chosen, and tokens brought to them.
_PICKS = frozenset({"topk", "sort", "index", "gather", "write part"})
_ANY = -1  # the level of what depends on no activation, and so can be made at any time


@dataclass(slots=True, eq=False)
class _Group:
    """Operators that become one.

    Attributes:
        level: how many operators of other kinds have to run before it, one after the other.
        path: of the module that it stands in.
        reduces: whether it looks along rows.
        fed: whether it alone reads what an operator of another kind makes.
        joined: the group that took it in.
    """

    level: int
    path: str
    ops: list[Op] = field(default_factory=list)
    reduces: bool = False
    fed: bool = False
    joined: _Group | None = None

    def root(self) -> _Group:
        """Return the group that it is part of by now."""
        group = self
        while group.joined is not None:
            group = group.joined
        return group

    def take_in(self, other: _Group) -> None:
        """Join another group to this one."""
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
    """Groups the operators of one block as they come."""

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
        """Return the group that an operator joins: that of what it reads, or a new one."""
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
        """Tell whether a tensor is all that others read of a group, which so can be made late."""
        inside = Counter(t.name for op in made.ops for t in op.reads)
        written = [t for op in made.ops for t in op.writes]
        return all(
            t.role == "activation" and self._readers[t.name] == inside[t.name]
            for t in written
            if t.name != tensor.name
        )


def _level(tensor: Tensor) -> int:
    """Return the level of what an earlier block made, or of what stands from the start."""
    return 0 if tensor.role == "activation" else _ANY


def _emitted(
    block: Block, groups: list[_Group | None], readers: Counter[str], excess: Excess
) -> list[Op]:
    """Return a block's operators; a group stands where its last operator stood."""
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
    """Return one operator for a group: what comes in is read once, what leaves is written."""
    last = found.ops[-1]
    flops = sum([op.flops for op in found.ops], 0)
    reads, writes = _taken_in(found.ops), _left(found.ops, readers)
    dtypes = Counter(op.dtype for op in found.ops)
    dtype = max(dtypes, key=lambda name: dtypes[name])
    return Op(last.name, _kind(found, reads, writes), flops, reads, writes, dtype, last.function)


def _taken_in(ops: Sequence[Op]) -> tuple[Tensor, ...]:
    """Return what comes from outside, none of it twice.

    What is read under a name before it is written is what the layer before handed on.
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
    """Return a tensor of which two parts are read."""
    if one.touched is None:
        return one
    if other.touched is None:
        return other
    return part_of(one, minimum(one.moved_elements + other.moved_elements, one.elements))


def _left(ops: Sequence[Op], readers: Counter[str]) -> tuple[Tensor, ...]:
    """Return what is written for others, or kept, or all that an operator nobody reads makes."""
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
    """Return what tells parts of a tensor apart: lengths, or of arrays their contents."""
    if tensor.touched is None:
        return None
    return tuple(n.tobytes() if isinstance(n, np.ndarray) else n for n in tensor.touched)


def _kind(found: _Group, reads: Sequence[Tensor], writes: Sequence[Tensor]) -> Kind:
    """Return a group's class; what looks along rows and returns rows as long is a norm."""
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
    """Return the elements that are moved of the tensor of which the most are."""
    moved: list[Number] = [0, *(tensor.moved_elements for tensor in tensors)]
    return reduce(maximum, moved)

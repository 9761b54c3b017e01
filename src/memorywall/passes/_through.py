"""Copies read through: casts to a wider format, repeated heads, a cache that is joined to grow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field, replace

from memorywall.core.formats import FORMATS
from memorywall.core.numbers import Number, is_true, minimum
from memorywall.core.program import Op, Program
from memorywall.core.tensors import Tensor
from memorywall.passes.excess import Excess

_COPIES = ("copy", "cast", "repeat")
_KEPT = ("kv_cache", "state")
_INTO_CACHE = ("cache concatenation", "write part", "copy", "cast")


@dataclass(slots=True)
class _StandIns:
    """What is read in the place of a copy, and what is written, and read, in that of a new key.

    Attributes:
        causes: by the name of what has a stand-in, the function of the operator that copies it.
    """

    copied: dict[str, Tensor] = field(default_factory=dict)
    cached: dict[str, Tensor] = field(default_factory=dict)
    causes: dict[str, str] = field(default_factory=dict)

    def source(self, tensor: Tensor) -> Tensor:
        """Return what a tensor is a copy of, or itself."""
        return self.copied.get(tensor.name, tensor)

    def settled(self, tensor: Tensor) -> Tensor:
        """Return what stands in for a tensor; of a part, as large a part."""
        source = self.source(tensor)
        found = self.cached.get(source.name, source)
        if found is tensor or tensor.touched is None:
            return found
        return part_of(found, minimum(tensor.moved_elements, found.moved_elements))

    def cause(self, op: Op) -> str:
        """Return why an operator moves other things than it says."""
        names = [t.name for t in (*op.reads, *op.writes) if t.name in self.causes]
        return self.causes[names[0]] if names else op.function


def read_through(program: Program, excess: Excess) -> Program:
    """Return a program without copies that nobody needs."""
    stand_ins = _stand_ins(program)
    blocks = []
    for block in program.blocks:
        ops = []
        for op in block.ops:
            needed = not _is_needless(op, stand_ins)
            kept = _settled(op, stand_ins)
            left: Number = kept.moved_bytes if needed else 0
            excess.add(op.kind, stand_ins.cause(op), (op.moved_bytes - left) * block.repeat)
            if needed:
                ops.append(kept)
        blocks.append(replace(block, ops=tuple(ops)))
    return Program(tuple(blocks), program.returned)


def part_of(tensor: Tensor, *touched: Number) -> Tensor:
    """Return a tensor of which a part is moved."""
    return Tensor(tensor.name, tensor.shape, tensor.format, tensor.role, touched)


def _stand_ins(program: Program) -> _StandIns:
    found = _StandIns()
    written = [tensor for _, op, _ in program.walk() for tensor in op.writes]
    writers = Counter(tensor.name for tensor in written)
    made = {tensor.name for tensor in written if tensor.role == "activation"} - program.returned
    for _, op, _ in program.walk():
        if not op.reads or not op.writes:
            continue
        out = op.writes[0]
        if out.role in _KEPT and op.function in _INTO_CACHE:
            _note_cached(op, out, found, made)
        elif out.name in made and _copies(op) and writers[out.name] == 1:
            _note_copied(op, found)
    return found


def _copies(op: Op) -> bool:
    """Tell whether an operator copies: also one that looks up all rows of a table, once each."""
    table, out = op.reads[0], op.writes[0]
    whole = table.role == "weight" and table.touched is None
    whole = whole and is_true(table.elements == out.elements)
    return op.function in _COPIES or (op.kind == "embedding" and whole)


def _note_cached(op: Op, cache: Tensor, found: _StandIns, made: Container[str]) -> None:
    """Note that what is put into a cache, or a state, can be written there in the first place.

    That is what an operator makes and no caller is handed. Whatever format the cache has: the
    kernel that makes it also converts it. Of what is read with it, indices have none that a model
    is stored in.
    """
    for new in op.reads:
        source = found.source(new)
        whole = source.touched is None and new.touched is None
        number = source.format is cache.format or source.format.name in FORMATS
        if source.name in made and whole and number:
            found.cached[source.name] = part_of(cache, *new.shape)
            found.causes[source.name] = op.function


def _note_copied(op: Op, found: _StandIns) -> None:
    """Note that a copy's source can be read in its place, unless the copy is narrower."""
    source = found.settled(op.reads[0])
    if source.format.bits_per_element > op.writes[0].format.bits_per_element:
        return
    for piece in op.writes:
        part = minimum(piece.elements, source.moved_elements)
        alone = len(op.writes) == 1
        found.copied[piece.name] = source if alone else part_of(source, part)
        found.causes[piece.name] = op.function


def _is_needless(op: Op, stand_ins: _StandIns) -> bool:
    """Tell whether an operator only copies what is read, or written, in the right place."""
    if not op.writes:
        return False
    out = op.writes[0]
    if out.role in _KEPT and op.function in _INTO_CACHE:
        return any(stand_ins.source(tensor).name in stand_ins.cached for tensor in op.reads)
    return out.name in stand_ins.copied


def _settled(op: Op, stand_ins: _StandIns) -> Op:
    reads = tuple([stand_ins.settled(tensor) for tensor in op.reads])
    writes = tuple([stand_ins.settled(tensor) for tensor in op.writes])
    return Op(op.name, op.kind, op.flops, reads, writes, op.dtype, op.function, op.queries)

"""Read through copies: casts to a wider format, repeated heads, caches grown by concatenation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field, replace

from memorywall.core.axes import unnamed
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
    """The tensors read instead of copies, and those written and read instead of new keys.

    Attributes:
        causes: by the name of a replaced tensor, the function of the operator that copies it.
    """

    copied: dict[str, Tensor] = field(default_factory=dict)
    cached: dict[str, Tensor] = field(default_factory=dict)
    causes: dict[str, str] = field(default_factory=dict)

    def source(self, tensor: Tensor) -> Tensor:
        """Return the source of a copy, or the tensor itself."""
        return self.copied.get(tensor.name, tensor)

    def settled(self, tensor: Tensor) -> Tensor:
        """Return the replacement of a tensor; for a part, an equally large part."""
        source = self.source(tensor)
        found = self.cached.get(source.name, source)
        if found is tensor or tensor.touched is None:
            return found
        return part_of(found, minimum(tensor.moved_elements, found.moved_elements))

    def cause(self, op: Op) -> str:
        """Return why the traffic of an operator differs from its tensors."""
        names = [t.name for t in (*op.reads, *op.writes) if t.name in self.causes]
        return self.causes[names[0]] if names else op.function


def read_through(program: Program, excess: Excess) -> Program:
    """Return a program without unnecessary copies."""
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


def part_of(tensor: Tensor, touched: Number) -> Tensor:
    """Return a tensor of which some number of elements is moved."""
    return tensor.part(unnamed(touched))


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
    """Return whether an operator copies; a look-up of every row of a table, once each, does."""
    table, out = op.reads[0], op.writes[0]
    whole = table.role == "weight" and table.touched is None
    whole = whole and is_true(table.elements == out.elements)
    return op.function in _COPIES or (op.kind == "embedding" and whole)


def _note_cached(op: Op, cache: Tensor, found: _StandIns, made: Container[str]) -> None:
    """Record that a tensor copied into a cache, or a state, can be written there directly.

    This holds for outputs of operators that are not returned to a caller. The format of the cache
    does not matter: the kernel that computes the tensor also converts it. Indices that are read
    with it have no storage format.
    """
    for new in op.reads:
        source = found.source(new)
        whole = source.touched is None and new.touched is None
        number = source.format is cache.format or source.format.name in FORMATS
        if source.name in made and whole and number:
            found.cached[source.name] = cache.part(new.axes)
            found.causes[source.name] = op.function


def _note_copied(op: Op, found: _StandIns) -> None:
    """Record that a copy's source can be read instead, unless the copy is narrower."""
    source = found.settled(op.reads[0])
    if source.format.bits_per_element > op.writes[0].format.bits_per_element:
        return
    for piece in op.writes:
        part = minimum(piece.elements, source.moved_elements)
        alone = len(op.writes) == 1
        found.copied[piece.name] = source if alone else part_of(source, part)
        found.causes[piece.name] = op.function


def _is_needless(op: Op, stand_ins: _StandIns) -> bool:
    """Return whether an operator only copies tensors that are read or written in place."""
    if not op.writes:
        return False
    out = op.writes[0]
    if out.role in _KEPT and op.function in _INTO_CACHE:
        return any(stand_ins.source(tensor).name in stand_ins.cached for tensor in op.reads)
    return out.name in stand_ins.copied


def _settled(op: Op, stand_ins: _StandIns) -> Op:
    reads = tuple([stand_ins.settled(tensor) for tensor in op.reads])
    writes = tuple([stand_ins.settled(tensor) for tensor in op.writes])
    return op.moving(reads, writes)

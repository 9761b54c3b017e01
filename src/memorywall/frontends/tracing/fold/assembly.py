"""Assemble the events of a trace into a program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from memorywall.core.axes import unnamed
from memorywall.core.geometry import Elementwise, Space
from memorywall.core.program import Block, Op, Program
from memorywall.core.tensors import Tensor
from memorywall.core.traced import Coverage, Unknown
from memorywall.frontends.tracing.fold.segments import Segment, resident, weights_by_name
from memorywall.frontends.tracing.interpret.arrays import Array
from memorywall.frontends.tracing.interpret.events import Event, Parts

NOTHING = Elementwise((Space(0, ()),), "")


def program_of(segments: Sequence[Segment], name: str, unread: Iterable[Array]) -> Program:
    """Return the program of a trace; arrays that no operator reads are resident and not moved."""
    held = resident(segments)
    blocks = [_block(segment, name, held) for segment in segments]
    taken = {tensor.name for b in blocks for op in b.ops for tensor in op.reads + op.writes}
    counted = set[Array]().union(*weights_by_name(segments).values())  # some are only written
    left = tuple([_unread(array, taken) for array in unread if array not in counted])
    if left:
        blocks.append(Block("unread", (Op("parameters", NOTHING, left, (), "fp32"),)))
    return Program(tuple(blocks), frozenset(_returned(segments, blocks)))


def _returned(segments: Sequence[Segment], blocks: Sequence[Block]) -> Iterator[str]:
    """Yield the names of outputs for the caller that operators also read."""
    for segment, block in zip(segments, blocks, strict=False):
        for event, op in zip(segment.events, block.ops, strict=True):
            if any(view.array.returned for view, _ in event.writes):
                yield from (tensor.name for tensor in op.writes if tensor.role == "activation")


def _unread(array: Array, taken: set[str]) -> Tensor:
    """Return the arrays that no operator reads, under unique names."""
    name = f"{array.name}@unread" if array.name in taken else array.name
    return Tensor(name, unnamed(*array.shape), array.format, array.role, unnamed(0))


def _block(segment: Segment, name: str, held: Mapping[str, int]) -> Block:
    names = segment.names()
    ops = tuple([_op(event, segment.prefix, names) for event in segment.events])
    path = ".".join(filter(None, (segment.phase, segment.path))) or name
    block = Block(path, ops, segment.repeat, segment.shared)
    tensors = (tensor for op in ops for tensor in op.reads + op.writes)
    block.held = {  # only what the block does not express
        t.name: held[t.name]
        for t in tensors
        if held.get(t.name, block.copies_of(t)) != block.copies_of(t)
    }
    return block


def _op(event: Event, prefix: str, names: Mapping[Array, str]) -> Op:
    name = event.name.removeprefix(f"{prefix}.") if prefix else event.name
    reads, writes = _tensors(event.reads, names), _tensors(event.writes, names)
    return Op(name, event.geometry, reads, writes, event.dtype)


def _tensors(views: Parts, names: Mapping[Array, str]) -> tuple[Tensor, ...]:
    """Return tensors; one that occurs twice (x times x, or x times its transpose) is moved once.

    A write to an array that is later read in parts writes every part. If one name represents
    weights of several layers, all are moved.
    """
    found: dict[object, Tensor] = {}
    seen: set[Array] = set()
    for view, moved in views:
        for part in view.parts():
            tensor = part.tensor(moved)
            tensor.name = names.get(view.array, tensor.name)
            whole = tensor.touched is None or tensor.moved_elements >= part.array.elements
            what = None if whole else (part.geometry, moved)
            known = found.setdefault((tensor.name, what), tensor)
            if known is not tensor and view.array in names and view.array not in seen:
                known.touched = unnamed(known.moved_elements + tensor.moved_elements)
        seen.add(view.array)
    return tuple(found.values())


def coverage_of(segments: Sequence[Segment], program: Program) -> Coverage:
    """Return the share of a program with a FLOP formula."""
    operators = moved = 0
    unknown: dict[str, Unknown] = {}
    for segment, block in zip(segments, program.blocks, strict=False):
        for event, op in zip(segment.events, block.ops, strict=True):
            size = int(op.moved_bytes) * segment.repeat
            operators, moved = operators + segment.repeat, moved + size
            if event.work is None:
                known = unknown.get(event.op, Unknown(event.op, event.frame.path, 0, 0))
                unknown[event.op] = Unknown(
                    known.op, known.path, known.calls + segment.repeat, known.moved_bytes + size
                )
    return Coverage(operators, moved, tuple(unknown.values()))

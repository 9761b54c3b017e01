"""From what a trace noted to a program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from memorywall.core.program import Block, Op, Program
from memorywall.core.tensors import Tensor
from memorywall.core.traced import Coverage, Unknown
from memorywall.frontends.tracing.fold.segments import Segment, resident, weights_by_name
from memorywall.frontends.tracing.interpret.arrays import Array
from memorywall.frontends.tracing.interpret.events import Event, Parts

UNKNOWN = "unknown"  # the function of an operator that has no formula


def program_of(segments: Sequence[Segment], name: str, unread: Iterable[Array]) -> Program:
    """Return the program of a trace; what no operator reads is resident and moves nothing."""
    held = resident(segments)
    blocks = [_block(segment, name, held) for segment in segments]
    taken = {tensor.name for b in blocks for op in b.ops for tensor in op.reads + op.writes}
    counted = set[Array]().union(*weights_by_name(segments).values())  # some are only written
    left = tuple([_unread(array, taken) for array in unread if array not in counted])
    if left:
        blocks.append(Block("unread", (Op("parameters", "elementwise", 0, left, (), "fp32"),)))
    return Program(tuple(blocks), frozenset(_returned(segments, blocks)))


def _returned(segments: Sequence[Segment], blocks: Sequence[Block]) -> Iterator[str]:
    """Yield the names of what operators write for the caller, who reads it as well as others do."""
    for segment, block in zip(segments, blocks, strict=False):
        for event, op in zip(segment.events, block.ops, strict=True):
            if any(view.array.returned for view, _ in event.writes):
                yield from (tensor.name for tensor in op.writes if tensor.role == "activation")


def _unread(array: Array, taken: set[str]) -> Tensor:
    """Return what no operator reads, under a name that no other array has."""
    name = f"{array.name}@unread" if array.name in taken else array.name
    return Tensor(name, array.shape, array.format, array.role, (0,))


def _block(segment: Segment, name: str, held: Mapping[str, int]) -> Block:
    names = segment.names()
    ops = tuple([_op(event, segment.prefix, names) for event in segment.events])
    path = ".".join(filter(None, (segment.phase, segment.path))) or name
    block = Block(path, ops, segment.repeat, segment.shared)
    tensors = (tensor for op in ops for tensor in op.reads + op.writes)
    block.held = {  # only what the block does not say itself
        t.name: held[t.name]
        for t in tensors
        if held.get(t.name, block.copies_of(t)) != block.copies_of(t)
    }
    return block


def _op(event: Event, prefix: str, names: Mapping[Array, str]) -> Op:
    name = event.name.removeprefix(f"{prefix}.") if prefix else event.name
    function = UNKNOWN if event.flops is None else event.function
    reads, writes = _tensors(event.reads, names), _tensors(event.writes, names)
    return Op(
        name, event.kind, event.flops or 0, reads, writes, event.dtype, function, event.queries
    )


def _tensors(views: Parts, names: Mapping[Array, str]) -> tuple[Tensor, ...]:
    """Return tensors; one that stands twice (x times x, or x times its transpose) is moved once.

    A write to an array that is later read in parts writes every part. Of weights of several layers,
    which stand under one name, all are moved.
    """
    found: dict[object, Tensor] = {}
    seen: set[Array] = set()
    for view, moved in views:
        for part in view.parts():
            tensor = part.tensor(moved)
            tensor.name = names.get(view.array, tensor.name)
            what = None if tensor.touched is None else (part.geometry, moved)
            known = found.setdefault((tensor.name, what), tensor)
            if known is not tensor and view.array in names and view.array not in seen:
                known.touched = (known.moved_elements + tensor.moved_elements,)
        seen.add(view.array)
    return tuple(found.values())


def coverage_of(segments: Sequence[Segment], program: Program) -> Coverage:
    """Return how much of a program has a FLOP formula."""
    operators = moved = 0
    unknown: dict[str, Unknown] = {}
    for segment, block in zip(segments, program.blocks, strict=False):
        for event, op in zip(segment.events, block.ops, strict=True):
            size = int(op.moved_bytes) * segment.repeat
            operators, moved = operators + segment.repeat, moved + size
            if event.flops is None:
                known = unknown.get(event.op, Unknown(event.op, event.frame.path, 0, 0))
                unknown[event.op] = Unknown(
                    known.op, known.path, known.calls + segment.repeat, known.moved_bytes + size
                )
    return Coverage(operators, moved, tuple(unknown.values()))

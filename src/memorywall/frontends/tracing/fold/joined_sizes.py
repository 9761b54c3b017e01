"""Traces of the same operators at several sizes, joined into one program over arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from memorywall.core.numbers import Number
from memorywall.core.program import Block, Op, Program
from memorywall.core.tensors import Tensor

# What one number becomes that is so much in each of the programs.
Join = Callable[[Sequence[Number]], Number]


def are_alike(programs: Sequence[Program]) -> bool:
    """Tell whether programs run the same operators on arrays of as many axes."""
    first, *others = map(_looks, programs)
    return all(other == first for other in others)


def joined(programs: Sequence[Program], join: Join) -> Program:
    """Return the program whose every number is joined from those of programs that are alike."""
    blocks = zip(*(program.blocks for program in programs), strict=False)
    return replace(programs[0], blocks=tuple(_block(same, join) for same in blocks))


def _looks(program: Program) -> list[object]:
    return [
        (path, op.kind, repeat, [(t.name, len(t.shape)) for t in op.reads + op.writes])
        for path, op, repeat in program.walk()
    ]


def _block(blocks: Sequence[Block], join: Join) -> Block:
    ops = zip(*(block.ops for block in blocks), strict=False)
    return replace(blocks[0], ops=tuple(_op(same, join) for same in ops))


def _op(ops: Sequence[Op], join: Join) -> Op:
    tensor = partial(_tensor, join=join)
    return replace(
        ops[0],
        flops=join([op.flops for op in ops]),
        reads=tuple(map(tensor, zip(*(op.reads for op in ops), strict=False))),
        writes=tuple(map(tensor, zip(*(op.writes for op in ops), strict=False))),
        queries=join([op.queries for op in ops]),
    )


def _tensor(tensors: Sequence[Tensor], join: Join) -> Tensor:
    first = tensors[0]
    shape = tuple(map(join, zip(*(one.shape for one in tensors), strict=False)))
    return Tensor(first.name, shape, first.format, first.role, _touched(tensors, join))


def _touched(tensors: Sequence[Tensor], join: Join) -> tuple[Number, ...] | None:
    """Return the part that is moved; one that is whole here and there goes by its elements."""
    parts = [one.touched for one in tensors if one.touched is not None]
    if not parts:
        return None
    if len(parts) == len(tensors) and len({len(part) for part in parts}) == 1:
        return tuple(map(join, zip(*parts, strict=True)))
    return (join([one.moved_elements for one in tensors]),)

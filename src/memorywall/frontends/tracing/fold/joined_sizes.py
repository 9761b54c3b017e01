"""Traces of the same operators at several sizes, joined into one program over arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any

from memorywall.core.axes import Axes, unnamed
from memorywall.core.numbers import Number
from memorywall.core.program import Block, Op, Program
from memorywall.core.tensors import Tensor

# Joins the values of one number over the programs.
Join = Callable[[Sequence[Number]], Number]


def are_alike(programs: Sequence[Program]) -> bool:
    """Return whether programs run the same operators on arrays of as many axes."""
    first, *others = map(_looks, programs)
    return all(other == first for other in others)


def joined(programs: Sequence[Program], join: Join) -> Program:
    """Return the program whose numbers are joined from programs with the same operators."""
    blocks = zip(*(program.blocks for program in programs), strict=False)
    return replace(programs[0], blocks=tuple(_block(same, join) for same in blocks))


def _looks(program: Program) -> list[object]:
    return [
        (path, op.kind, repeat, [(t.name, len(t.axes)) for t in op.reads + op.writes])
        for path, op, repeat in program.walk()
    ]


def _block(blocks: Sequence[Block], join: Join) -> Block:
    ops = zip(*(block.ops for block in blocks), strict=False)
    return replace(blocks[0], ops=tuple(_op(same, join) for same in ops))


def _op(ops: Sequence[Op], join: Join) -> Op:
    tensor = partial(_tensor, join=join)
    return replace(
        ops[0],
        geometry=_joined([op.geometry for op in ops], join),
        reads=tuple(map(tensor, zip(*(op.reads for op in ops), strict=False))),
        writes=tuple(map(tensor, zip(*(op.writes for op in ops), strict=False))),
    )


def _tensor(tensors: Sequence[Tensor], join: Join) -> Tensor:
    axes = _joined([one.axes for one in tensors], join)
    return replace(tensors[0], axes=axes, touched=_touched(tensors, join), _resident=None)


def _joined(values: Sequence[Any], join: Join) -> Any:
    """Join numbers, and the numbers within tuples and within geometries and their spaces."""
    first = values[0]
    if isinstance(first, tuple):
        return tuple([_joined(same, join) for same in zip(*values, strict=True)])
    if is_dataclass(first) and not isinstance(first, type):
        names = [field.name for field in fields(first) if field.init]
        parts = {name: _joined([getattr(value, name) for value in values], join) for name in names}
        return replace(first, **parts)
    if isinstance(first, str | bool):
        return first
    return join(values)


def _touched(tensors: Sequence[Tensor], join: Join) -> Axes | None:
    """Return the moved part; if it is whole in only some programs, by its elements."""
    parts = [one.touched for one in tensors if one.touched is not None]
    if not parts:
        return None
    if len(parts) == len(tensors) and len({len(part) for part in parts}) == 1:
        joined_axes: Axes = _joined(parts, join)
        return joined_axes
    return unnamed(join([one.moved_elements for one in tensors]))

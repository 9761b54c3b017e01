"""Convert a traced program to other formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from memorywall.core.formats import Format, arithmetic_of
from memorywall.core.program import Op, Program
from memorywall.core.tensors import Role, Tensor


def in_formats(program: Program, traced: Format, wanted: Mapping[Role, Format]) -> Program:
    """Return a program whose arrays in the traced format have the format of their role.

    Arrays in any other format keep it. Arithmetic follows the activations.
    """
    if all(format_.name == traced.name for format_ in wanted.values()):
        return program
    recast = partial(_op, traced=traced, wanted=wanted)
    blocks = [replace(block, ops=tuple(map(recast, block.ops))) for block in program.blocks]
    return replace(program, blocks=tuple(blocks))


def _op(op: Op, traced: Format, wanted: Mapping[Role, Format]) -> Op:
    recast = partial(_tensor, traced=traced, wanted=wanted)
    follows = op.dtype == arithmetic_of(traced)
    return replace(
        op,
        reads=tuple(map(recast, op.reads)),
        writes=tuple(map(recast, op.writes)),
        dtype=arithmetic_of(wanted["activation"]) if follows else op.dtype,
    )


def _tensor(tensor: Tensor, traced: Format, wanted: Mapping[Role, Format]) -> Tensor:
    if tensor.format.name != traced.name or tensor.role not in wanted:
        return tensor
    return replace(tensor, format=wanted[tensor.role], _resident=None)

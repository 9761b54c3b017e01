"""Convert a traced program to other formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from memorywall.core.formats import Format, arithmetic_of
from memorywall.core.program import Op, Program
from memorywall.core.tensors import Role, Tensor


def in_formats(
    program: Program, traced: Format, wanted: Mapping[Role, Format], linear: str = ""
) -> Program:
    """Return a program whose arrays in the traced format have the format of their role.

    Arrays in any other format keep it. Arithmetic follows the activations; that of products with
    weights is ``linear``, if given.
    """
    if all(format_.name == traced.name for format_ in wanted.values()):
        return program
    recast = partial(_op, traced=traced, wanted=wanted, linear=linear)
    blocks = [replace(block, ops=tuple(map(recast, block.ops))) for block in program.blocks]
    return replace(program, blocks=tuple(blocks))


def _op(op: Op, traced: Format, wanted: Mapping[Role, Format], linear: str) -> Op:
    recast = partial(_tensor, traced=traced, wanted=wanted)
    follows = op.dtype == arithmetic_of(traced)
    has_weights = op.kind == "gemm" and any(tensor.role == "weight" for tensor in op.reads)
    usual = arithmetic_of(wanted["activation"])
    return replace(
        op,
        reads=tuple(map(recast, op.reads)),
        writes=tuple(map(recast, op.writes)),
        dtype=(linear if linear and has_weights else usual) if follows else op.dtype,
    )


def _tensor(tensor: Tensor, traced: Format, wanted: Mapping[Role, Format]) -> Tensor:
    if tensor.format.name != traced.name or tensor.role not in wanted:
        return tensor
    return replace(tensor, format=wanted[tensor.role], _resident=None)

"""From the program of a whole model to that of one device of a layout.

Axes decide what is divided; no family and no operator is known by its name. Heads, feed-forwards
and words are divided by ``tensor``, experts by ``expert`` and each of them by the devices that
share it. With ``attention_data`` a device attends to its part of the sequences, and gathers the
rows of all for feed-forwards and experts, which are divided among all devices. A product that
contracts a divided axis leaves partial sums, which a collective after it reduces; experts and the
shared feed-forward beside them are added up before. The device with the most work is meant: parts
are rounded up, except those of heads, which must be whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from math import gcd
from typing import Any

from memorywall.core.axes import FOLLOWERS, JOINED, Axes, resized, size
from memorywall.core.errors import InvalidInputError
from memorywall.core.geometry import (
    Attention,
    Collective,
    Embedding,
    Experts,
    Gemm,
    Geometry,
    Idle,
    Space,
)
from memorywall.core.layout import Layout
from memorywall.core.numbers import Number
from memorywall.core.program import Block, Op, Program
from memorywall.core.tensors import Tensor

_HEADS = ("heads", "ssm_heads")
_COPIED = ("kv_heads", "groups")  # they follow heads, and are copied where there are fewer
# Axes of operators that work on the rows of all devices, and of those that attend.
_OF_ALL = frozenset(("ffn", "vocab", "experts", "expert_ffn", "routed"))
_SUM_BYTES = 2  # of an element of a partial sum, in 16 bits
_STATISTIC_BYTES = 4
_NAMES = ("batch", "heads", "kv_heads")  # lengths that attention holds by themselves


def shard(program: Program, layout: Layout) -> Program:
    """Return the program of the device with the most work, with the collectives between devices.

    Raises:
        InvalidInputError: the layout does not divide the heads or the experts.
    """
    if layout.devices == 1:
        return program
    return Program(tuple(_block(block, layout) for block in program.blocks), program.returned)


def _block(block: Block, layout: Layout) -> Block:
    ops: list[Op] = []
    last = _last_sums(block.ops)
    gathered = False
    for place, op in enumerate(block.ops):
        parts = _parts(op, layout)
        if layout.attention_data > 1 and _is_of_all(op) and not gathered and op.runs:
            ops += _gathers(op, layout)
            gathered = True
        ops.append(_local(op, parts))
        if place in last:
            ops += _sums(op, layout, of_all=_is_of_all(op))
            gathered = gathered and not _is_of_all(op)
        ops += _others(op, parts, layout)
    return replace(block, ops=tuple(ops))


def _last_sums(ops: Sequence[Op]) -> set[int]:
    """Return the places of operators after which partial sums are reduced.

    Those of all feed-forwards between two attentions are reduced together, after the last.
    """
    found: set[int] = set()
    waiting: int | None = None
    for place, op in enumerate(ops):
        if not op.runs or not _contracts(op):
            continue
        if _is_of_all(op) and not isinstance(op.geometry, Embedding):
            found -= {waiting} if waiting is not None else set()
            waiting = place
        else:
            waiting = None
        found.add(place)
    return found


def _contracts(op: Op) -> bool:
    """Return whether an operator sums over an axis that layouts divide."""
    geometry = op.geometry
    if isinstance(geometry, Experts):
        return "expert_ffn" in geometry.contracts
    if not isinstance(geometry, Gemm | Embedding):
        return False
    return bool({*_HEADS, "ffn", "vocab"} & set(geometry.contracts))


def _is_of_all(op: Op) -> bool:
    """Return whether an operator works on the rows of all devices."""
    if isinstance(op.geometry, Embedding):
        return False
    named = {name for tensor in op.reads for name, _ in tensor.axes if tensor.role == "weight"}
    return bool(_OF_ALL & (op.geometry.axes | named))


def _parts(op: Op, layout: Layout) -> dict[str, int]:
    """Return the number of parts of every axis of an operator that is divided."""
    tensor, stage = layout.tensor, layout.stage
    found = dict.fromkeys((*_HEADS, *_COPIED), tensor)
    found |= {"ffn": stage, "vocab": stage, "expert_ffn": layout.expert_tensor}
    found |= {"experts": layout.expert, "routed": layout.expert}
    if not _is_of_all(op):
        found["batch"] = layout.attention_data
    return {name: parts for name, parts in found.items() if parts > 1}


def _length(name: str, length: Number, parts: Mapping[str, int]) -> Any:
    """Return the local length of an axis."""
    number = parts.get(name, 1)
    if number == 1:
        return length
    if name in _HEADS:
        if isinstance(length, int) and length % number:
            raise InvalidInputError(
                f"tensor must divide the {length} heads of the model among devices, got {number}.",
                "Give another tensor, or divide the sequences: attention_data.",
            )
        return length // number
    if name in _COPIED:
        if isinstance(length, int) and length % number and number % length:
            leader = FOLLOWERS[name].leader
            raise InvalidInputError(
                f"tensor must divide the {length} {name} beside the {leader} among devices, or be "
                f"a multiple of them, got {number}."
            )
        return max(1, -(-int(length) // number))
    if name in ("experts", "routed"):
        return _expected(name, length, number)
    return -(-length // number)


def _expected(name: str, length: Any, number: int) -> Any:
    """Return the part of experts, or of the rows of a token, that is expected on a device."""
    if name == "experts" and isinstance(length, int) and length < number:
        raise InvalidInputError(
            f"expert must be at most the {length} experts of a layer, got {number}."
        )
    if isinstance(length, int):
        return -(-length // number) if name == "experts" else _share(length, number)
    return length / number


def _share(length: int, number: int) -> Any:
    return length // number if length % number == 0 else length / number


def _axes(axes: Axes, parts: Mapping[str, int]) -> Axes:
    return tuple([(name, _length(name, length, parts)) for name, length in axes])


def _local(op: Op, parts: Mapping[str, int]) -> Op:
    """Return an operator of a device."""
    return Op(
        op.name,
        _geometry(op.geometry, parts),
        tuple([_tensor(tensor, parts) for tensor in op.reads]),
        tuple([_tensor(tensor, parts) for tensor in op.writes]),
        op.dtype,
    )


def _geometry(geometry: Geometry, parts: Mapping[str, int]) -> Any:
    if isinstance(geometry, Idle):
        return Idle(of=_geometry(geometry.of, parts))
    changed: dict[str, Any] = {}
    for field in fields(geometry):
        value = getattr(geometry, field.name)
        if isinstance(geometry, Attention) and field.name in _NAMES:
            own = geometry.heads_axis if field.name == "heads" else field.name
            changed[field.name] = _length(own, value, parts)
        elif isinstance(value, tuple) and value:
            changed[field.name] = _many(value, parts)
        elif isinstance(value, list) and value:
            changed[field.name] = _many(tuple(value), parts)
    if isinstance(geometry, Experts):
        changed["groups"] = parts.get("experts", 1)
    return replace(geometry, **changed)


def _many(value: tuple[Any, ...], parts: Mapping[str, int]) -> tuple[Any, ...]:
    """Return axes, axes of several arrays, or spaces, with their local lengths; words as are."""
    first = value[0]
    if isinstance(first, Space):
        return tuple([Space(space.coefficient, _axes(space.axes, parts)) for space in value])
    if not isinstance(first, tuple):
        return value
    if first and isinstance(first[0], tuple):
        return tuple([_axes(axes, parts) for axes in value])
    return _axes(value, parts)


def _tensor(tensor: Tensor, parts: Mapping[str, int]) -> Tensor:
    joined = tuple([_axes(axes, parts) for axes in tensor.parts])
    side = sum([size(axes) for axes in joined], 0)

    def local(axes: Axes) -> Axes:
        axes = _in_whole_rows(axes, parts.get("routed", 1))
        whole = sum([size(each) for each in tensor.parts], 0)
        return tuple([
            (name, side) if name == JOINED and length == whole else
            (name, _length(name, length, parts))
            for name, length in axes
        ])  # fmt: skip

    touched = None if tensor.touched is None else local(tensor.touched)
    return Tensor(
        tensor.name, local(tensor.axes), tensor.format, tensor.role, touched, tensor.row,
        tensor.column, joined,
    )  # fmt: skip


def _in_whole_rows(axes: Axes, number: int) -> Axes:
    """Return the axes of an array of which a device has a part of the rows of each token.

    Where that part is not a whole number, tokens are divided instead, or sequences of a step.
    """
    chosen = dict(axes).get("routed", 0)
    if number == 1 or not isinstance(chosen, int) or chosen % number == 0:
        return axes
    common = gcd(chosen, number)
    rest = number // common
    lengths = dict(axes)
    tokens = lengths.get("tokens", 1)
    spread = "batch" if isinstance(tokens, int) and tokens == 1 else "tokens"
    divided = -(-lengths[spread] // rest)
    return resized(axes, **{spread: divided}, routed=chosen // common * number)


def _collective(op: Op, which: str, payload: Any, ranks: int) -> Op:
    return Op(f"{op.name}.{which}", Collective(which, payload, ranks), (), (), op.dtype)


def _gathers(op: Op, layout: Layout) -> list[Op]:
    """Return what gathers the rows of all devices for an operator that works on them."""
    geometry = op.geometry
    if not isinstance(geometry, Gemm | Experts):
        return []
    payload = size(geometry.rows) * size(geometry.inner) * _SUM_BYTES
    return [_collective(op, "all_gather", payload, layout.stage)]


def _sums(op: Op, layout: Layout, *, of_all: bool) -> list[Op]:
    """Return what reduces the partial sums of an operator."""
    geometry, groups = op.geometry, layout.attention_data
    if isinstance(geometry, Embedding):
        payload = size(geometry.spaces[0].axes) * _SUM_BYTES
    else:
        assert isinstance(geometry, Gemm | Experts)
        outs = (geometry.out,) if isinstance(geometry, Experts) else geometry.outs
        payload = size(geometry.rows) * sum([size(out) for out in outs], 0) * _SUM_BYTES
    if of_all and groups > 1:
        return [_collective(op, "reduce_scatter", payload, layout.stage)]
    if layout.tensor == 1:
        return []
    local = -(-payload // groups) if groups > 1 else payload
    return [_collective(op, "all_reduce", local, layout.tensor)]


def _others(op: Op, parts: Mapping[str, int], layout: Layout) -> list[Op]:
    """Return what gathers words of which each device scores some, or the statistics of a norm."""
    geometry = op.geometry
    if isinstance(geometry, Gemm) and any(dict(out).get("vocab") for out in geometry.outs):
        payload = geometry.m * geometry.n * _SUM_BYTES
        return [_collective(op, "all_gather", payload, layout.stage)]
    split = {name for name in geometry.over if name != "batch" and parts.get(name, 1) > 1}
    if op.kind != "norm" or not split or layout.tensor == 1:
        return []
    rows = tuple([axis for axis in geometry.spaces[0].axes if axis[0] not in geometry.over])
    payload = size(_axes(rows, parts)) * _STATISTIC_BYTES
    return [_collective(op, "all_reduce", payload, layout.tensor)]

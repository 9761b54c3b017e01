"""The calls of one device of a group: a program's kernels, divided by a layout.

Axes decide what is divided, no family is known. Products along heads, feed-forward and words are
divided by ``tensor``; heads of keys and values are copied where there are fewer than devices.
Experts are divided by ``expert``, and each by the devices that share it. With ``attention_data`` a
device attends to its part of the sequences with whole heads, and gathers all rows for the experts.
A product that contracts a divided axis leaves partial sums, which are reduced over the group.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from memorywall.core.errors import InvalidInputError
from memorywall.core.layout import Layout
from memorywall.core.program import Program
from memorywall.core.symbols import Expression, Symbol, evaluate
from memorywall.core.tensors import Tensor
from memorywall.cost.calls import Call
from memorywall.cost.template.point import VARIABLES

SPLIT = frozenset(("heads", "kv_heads", "ffn", "vocab", "ssm_heads"))
_ATTENTION = frozenset(("heads", "kv_heads", "latent", "q_latent", "ssm_heads", "index_heads"))
_EXPERTS = frozenset(("experts", "expert_ffn"))
_ROLES = ("weight", "kv_cache", "state")
# How often a payload crosses the links.
_CROSSINGS = {"all_reduce": 2, "all_gather": 1, "reduce_scatter": 1}
_SUM_BYTES = 2  # of an element of a partial sum, in 16 bits


def calls_of_rank(calls: list[Call], layout: Layout) -> list[Call]:
    """Return the calls of the device with the most work, with the collectives between them.

    Raises:
        InvalidInputError: a layout that does not divide the experts or the heads.
    """
    if layout.devices == 1:
        return calls
    found: list[Call] = []
    for call in calls:
        found.append(_of_rank(call, layout))
        found += _collectives(call, layout, found)
    return found


def _of_rank(call: Call, layout: Layout) -> Call:
    tensor, groups = layout.tensor, layout.attention_data
    attends = bool(call.axes & _ATTENTION) or call.kernel.startswith("attention")
    if call.kernel == "moe":
        experts = call.shape["experts"]
        if layout.expert > experts:
            raise InvalidInputError(
                f"expert must be at most the {experts} experts of a layer, got {layout.expert}."
            )
        shape = {**call.shape, "expert": layout.expert, "tensor": layout.expert_tensor}
        return replace(call, shape=shape, flops=0, moved_bytes=0)
    if call.kernel.startswith("attention"):
        heads, kv_heads = call.shape["heads"], call.shape["kv_heads"]
        if heads % tensor:
            raise InvalidInputError(f"tensor must divide the {heads} heads, got {tensor}.")
        shape = {
            **call.shape, "heads": heads // tensor, "kv_heads": max(1, -(-kv_heads // tensor)),
        }  # fmt: skip
        return replace(
            call, shape=shape, flops=0, moved_bytes=0, varying=_part(call.varying, "batch", groups)
        )
    if call.kernel == "gemm":
        width = layout.stage if not attends and call.axes & SPLIT else tensor
        shape = call.shape
        if call.axes & SPLIT:
            contracted = call.contracts & SPLIT
            name = "k" if contracted else "n"
            shape = {
                **shape, name: max(1, -(-shape[name] // width)),
                "fixed_bytes": shape["fixed_bytes"] / width, "row_bytes": 0.0,
            }  # fmt: skip
        return replace(
            call, shape=shape, varying=_part(call.varying, "m", groups if attends else 1)
        )
    if call.kernel in ("stream", "roofs"):
        divided = {name: _over(number, groups) for name, number in call.varying.items()}
        return replace(call, varying=divided)
    return call


def _part(varying: dict[str, Any], name: str, groups: int) -> dict[str, Any]:
    """Return arguments with one of them divided among groups, rounded up."""
    return varying if groups == 1 else {**varying, name: -(-varying[name] // groups)}


def _over(number: Any, groups: int) -> Any:
    return number if groups == 1 else number / groups


def _collectives(call: Call, layout: Layout, before: list[Call]) -> list[Call]:
    """Return the collectives after a call."""
    summed = call.kernel == "gemm" and bool(call.contracts & SPLIT)
    reduces = call.kernel == "moe" or summed
    if not reduces:
        return []
    attends = bool(call.axes & _ATTENTION)
    width = call.shape["hidden_size"] if call.kernel == "moe" else call.shape["n"]
    rows = next(iter(call.varying.values()))
    if attends or layout.attention_data == 1:
        ranks = layout.tensor if attends else layout.stage
        rows = -(-rows // layout.attention_data) if layout.attention_data > 1 else rows
        kinds: tuple[str, ...] = ("all_reduce",) if ranks > 1 else ()
    else:
        ranks, kinds = layout.stage, ("all_gather", "reduce_scatter")
    # Experts, and the shared feed-forward beside them, are summed up before they are reduced.
    if not attends and _follows_experts(before[:-1], call):
        return []
    moved = {"bytes": rows * width * _SUM_BYTES}
    return [
        Call(kind, "", {"ranks": ranks, "crossings": _CROSSINGS[kind]}, moved, call.repeat)
        for kind in kinds
    ]


def _follows_experts(before: list[Call], call: Call) -> bool:
    """Return whether the experts of the same layers were reduced since their attention."""
    for earlier in reversed(before):
        if earlier.repeat != call.repeat or earlier.kernel.startswith("attention"):
            return False
        if earlier.kernel == "moe":
            return True
    return False


def parts_of_roles(program: Program, layout: Layout) -> dict[str, float]:
    """Return the share of the resident bytes of each role that lies on one device.

    Bytes are compared at one sequence of one position, as all of a cache grow alike.
    """
    whole, local = dict.fromkeys(_ROLES, 0.0), dict.fromkeys(_ROLES, 0.0)
    at = dict.fromkeys(VARIABLES, 1)
    for tensor, copies in program.kept().values():
        if tensor.role not in _ROLES:
            continue
        size: Any = tensor.resident_bytes
        size = float(evaluate(size, at) if isinstance(size, Symbol | Expression) else size) * copies
        whole[tensor.role] += size
        local[tensor.role] += size / _parts(tensor, layout)
    return {role: local[role] / whole[role] if whole[role] else 1.0 for role in _ROLES}


def _parts(tensor: Tensor, layout: Layout) -> int:
    """Return among how many devices an array is divided; the others hold copies."""
    names = {name for name, _ in tensor.axes}
    if names & _EXPERTS:
        return layout.stage
    if tensor.role in ("kv_cache", "state"):
        heads = dict(tensor.axes).get("kv_heads", layout.tensor if names & SPLIT else 1)
        return min(layout.tensor, int(heads)) * layout.attention_data
    if names & SPLIT:
        return layout.tensor if names & _ATTENTION else layout.stage
    return 1

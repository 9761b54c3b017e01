"""The calls of a program: its operators as an engine runs them, kernel by kernel.

Products of one input are one call, as engines join the projections of queries, keys and values,
and a gate with its other half. The products of attention with the softmax between them are one
call, and so are all products of a layer's experts. Every other operator that moves anything is a
call that streams its bytes; an operator that moves nothing rides on the one before it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from memorywall.core.axes import size
from memorywall.core.geometry import Attention, Collective, Experts, Gemm
from memorywall.core.program import Block, Op, Program
from memorywall.core.symbols import Symbol, Symbolic
from memorywall.core.tensors import Tensor
from memorywall.cost.kernels.facts import attention_dtype
from memorywall.cost.template.scalars import is_zero, moved_bytes

# The kernels' names of how tokens choose experts.
_ROUTINGS = {"uniform": "balanced", "skewed": "power_law_1.2"}
COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")
# The products of an indexer choose keys and have no values.
_WITHOUT_VALUES = ("index", "distances")


@dataclass(slots=True)
class Call:
    """One kernel of a program.

    Attributes:
        kernel: the kind in ``cost/kernels``; ``stream`` or ``roofs`` for operators without one.
        dtype: of the kernel's table, such as ``bf16``, ``fp8_block`` or ``int4``.
        shape: arguments of the kernel that are the same at all points.
        varying: its other arguments by name, which may be symbols; of ``stream`` bytes, of
            ``roofs`` FLOPs and bytes.
        repeat: the number of its executions in one run of the program.
        ops: places of its operators among those of ``Program.walk``, the one that does its work
            first.
        arithmetic: a key of ``Hardware.peaks``.
        axes, contracts: names of the axes of its work, and of those that it sums over.
        flops, moved_bytes: of all of its operators, one execution.
    """

    kernel: str
    dtype: str
    shape: dict[str, Any]
    varying: dict[str, Any]
    repeat: int
    ops: list[int] = field(default_factory=list)
    arithmetic: str = ""
    axes: frozenset[str] = frozenset()
    contracts: frozenset[str] = frozenset()
    flops: Any = 0
    moved_bytes: Any = 0


def calls_of(program: Program) -> list[Call]:
    """Return the calls of a program in the order of execution."""
    found: list[Call] = []
    place = 0
    for block in program.blocks:
        found += _calls_of_block(block, place)
        place += len(block.ops)
    return found


def _calls_of_block(block: Block, first: int) -> list[Call]:
    """Return the calls of a block whose first operator has a place among all operators."""
    calls: list[Call] = []
    products: dict[object, Call] = {}
    for place, op in enumerate(block.ops, start=first):
        geometry = op.geometry
        idle = is_zero(op.flops) and is_zero(moved_bytes(op))
        if not op.runs or (idle and not isinstance(geometry, Collective)):
            continue
        joined = _joined(op, calls, products)
        if joined is not None:
            joined.ops.append(place)
            joined.flops, joined.moved_bytes = (
                joined.flops + op.flops,
                joined.moved_bytes + moved_bytes(op),
            )
            continue
        if isinstance(geometry, Gemm) and _has_one_weight(geometry):
            call = _gemm(op, geometry)
            products[_input_of(op, geometry)] = call
        elif isinstance(geometry, Experts):
            call = _experts(op, geometry)
        elif isinstance(geometry, Attention) and geometry.product not in _WITHOUT_VALUES:
            call = _attention(op, geometry)
        elif isinstance(geometry, Collective):
            call = _collective(op, geometry)
        elif op.kind in ("gemm", "conv", "scan", "attention"):
            varying = {"flops": op.flops, "moved_bytes": moved_bytes(op)}
            call = Call("roofs", "", {}, varying, 1, arithmetic=op.dtype)
        else:
            call = Call("stream", "", {}, {"moved_bytes": moved_bytes(op)}, 1)
        call.repeat, call.ops = block.repeat, [place]
        call.flops, call.moved_bytes = op.flops, moved_bytes(op)
        call.axes, call.contracts = geometry.axes, frozenset(geometry.contracts)
        calls.append(call)
    return calls


def _joined(op: Op, calls: list[Call], products: dict[object, Call]) -> Call | None:
    """Return the call that an operator is a part of, widened by it; None for a separate call."""
    geometry = op.geometry
    if isinstance(geometry, Gemm) and _has_one_weight(geometry):
        known = products.get(_input_of(op, geometry))
        if known is not None:
            known.shape["n"] += _columns(geometry)
            _add_traffic(known, op, geometry)
        return known
    if not calls or isinstance(geometry, Collective):
        return None
    if isinstance(geometry, Attention) and geometry.product == "pv":
        attention = next((c for c in reversed(calls) if c.kernel.startswith("attention")), None)
        if attention is not None:
            attention.shape["value_dim"] = size(geometry.head_dim)
        return attention
    last = next((c for c in reversed(calls) if c.kernel not in COLLECTIVES), calls[-1])
    rides = is_zero(moved_bytes(op)) and not isinstance(geometry, Experts)
    if isinstance(geometry, Experts) and last.kernel == "moe" and not last.shape["down"]:
        last.shape["down"] = rides = True
    of_scores = op.kind == "softmax" and last.kernel.startswith("attention")
    return last if rides or of_scores else None


def _has_one_weight(geometry: Gemm) -> bool:
    """Return whether a product's weight is as large at all points: not one for each image."""
    return not isinstance(_columns(geometry) * geometry.k, Symbolic)


def _input_of(op: Op, geometry: Gemm) -> object:
    """Return a key that is the same for products of one input that an engine runs as one."""
    weight, read = _weight(op), op.reads[0]
    stored = "" if weight is None else weight.format.name
    return read.name, op.dtype, stored, str(geometry.m), str(geometry.k)


def _weight(op: Op) -> Tensor | None:
    """Return the largest weight that an operator reads."""
    weights = [tensor for tensor in op.reads if tensor.role in ("weight", "kv_cache")]
    return max(weights, key=lambda tensor: len(tensor.axes)) if weights else None


def _columns(geometry: Gemm) -> Any:
    """Return the columns of all products: of each group side by side."""
    return geometry.n * size(geometry.groups)


def _gemm(op: Op, geometry: Gemm) -> Call:
    stored = _weight(op)
    shape = {
        "n": _columns(geometry), "k": geometry.k, "weight_bytes": _bytes(stored),
        "fixed_bytes": 0.0, "row_bytes": 0.0,
    }  # fmt: skip
    call = Call("gemm", table_dtype(op.dtype, stored), shape, {"m": geometry.m}, 1)
    call.arithmetic = op.dtype
    _add_traffic(call, op, geometry)
    return call


def _add_traffic(call: Call, op: Op, geometry: Gemm) -> None:
    """Add the bytes of a product, and of what is fused into it, to those of its call.

    They are a number, and a number for each row; bytes of anything else count as a number.
    """
    moved: Any = moved_bytes(op)
    rows: Any = geometry.m
    each, fixed = 0.0, 0.0
    if isinstance(moved, Symbol) and isinstance(rows, Symbol) and len(rows.terms) == 1:
        ((product, times),) = rows.terms.items()
        each = moved.terms.get(product, 0) / moved.divisor * rows.divisor / times
        fixed = moved.terms.get((), 0) / moved.divisor
    elif isinstance(moved, int | float) and not isinstance(rows, Symbolic):
        fixed = float(moved)
    call.shape["fixed_bytes"] += fixed
    call.shape["row_bytes"] += each


def _experts(op: Op, geometry: Experts) -> Call:
    stored = _weight(op)
    gated = any(name == "gate_up" for name, _ in geometry.out)
    shape = {
        "hidden_size": size(geometry.inner),
        "intermediate_size": size(geometry.out) // (2 if gated else 1),
        "experts": geometry.experts,
        "experts_per_token": geometry.chosen,
        "expert": geometry.groups,
        "gated": gated,
        "routing": _ROUTINGS[geometry.routing],
        "weight_bytes": _bytes(stored),
        "down": False,
    }
    varying = {"tokens": size(geometry.rows)}
    return Call("moe", table_dtype(op.dtype, stored), shape, varying, 1, arithmetic=op.dtype)


def _attention(op: Op, geometry: Attention) -> Call:
    cache = next((tensor for tensor in op.reads if tensor.role == "kv_cache"), None)
    is_step = isinstance(geometry.queries, int) and geometry.queries == 1
    shape: dict[str, Any] = {
        "heads": geometry.heads,
        "kv_heads": geometry.kv_heads,
        "head_dim": size(geometry.head_dim),
        "value_dim": size(geometry.value_dim or geometry.head_dim),
        "cache_bytes": _bytes(cache),
        "latent": geometry.latent,
    }
    varying: dict[str, Any] = {"batch": geometry.batch, "keys": geometry.keys}
    if not is_step:
        shape |= {"window": geometry.window, "causal": geometry.mask not in ("full", "cross")}
        varying = {"batch": geometry.batch, "queries": geometry.queries, "keys": geometry.keys}
    kernel = "attention_decode" if is_step else "attention_prefill"
    narrow = cache is not None and cache.format.bits == _EIGHT
    arithmetic = "fp8" if op.dtype == "fp8" else "bf16"
    return Call(
        kernel,
        attention_dtype(arithmetic, "fp8" if narrow else ""),
        shape,
        varying,
        1,
        arithmetic=op.dtype,
    )


def _collective(op: Op, geometry: Collective) -> Call:
    shape = {"ranks": geometry.ranks}
    return Call(geometry.which, "", shape, {"bytes": geometry.payload}, 1, arithmetic=op.dtype)


def _bytes(tensor: Tensor | None) -> float:
    """Return the bytes of an element of an array, scales included; without one, of 16 bits."""
    if tensor is None:
        return 2.0
    return float(tensor.format.bits_per_element) / 8


_EIGHT = 8
_HALVES = 9  # bits with scales of formats that one byte holds
_NARROW = 6.6  # bits of formats that are nearer to four than to eight


def table_dtype(arithmetic: str, weight: Tensor | None) -> str:
    """Return the dtype of a kernel's tables for an arithmetic, and weights stored in a format.

    Weights narrower than the arithmetic are unpacked by the kernel: ``int8`` and ``int4``.
    """
    stored = None if weight is None else weight.format
    if arithmetic == "fp8":
        return "fp8_block" if stored is not None and stored.beside else "fp8"
    if arithmetic in ("fp4", "int4"):
        return "nvfp4" if arithmetic == "fp4" else "int4"
    if arithmetic == "int8":
        return "int8"
    bits = 16.0 if stored is None else stored.bits_per_element
    if bits > _HALVES:
        return "bf16"
    if stored is not None and stored.name.startswith("mxfp4"):
        return "mxfp4"
    return "int4" if bits < _NARROW else "int8"

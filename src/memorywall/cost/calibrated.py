"""A program's time from this machine's micro-benchmarks, as a framework runs it.

Every operator is one call: its floor, the framework's overhead, and its work times the measured
seconds per unit of such work at its size. Attention is one call (Q K^T, softmax and P V together),
and a cache that grows is copied whole, as a framework that concatenates arrays does. A scan or a
short convolution, neither of which is measured, is priced as a copy of the same bytes. The program
is the unfused one; nothing is fitted to models.

No call takes less than its time at the machine's roofs, regardless of its curve: small sizes are
measured on arrays that stay in a cache. A call without a curve takes that time: its dtype was not
measured, its weights have another format than its arithmetic, or it is a convolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from memorywall.core.axes import size
from memorywall.core.calibration import Calibration, Estimate
from memorywall.core.errors import UnsupportedError
from memorywall.core.formats import ARITHMETIC_BITS
from memorywall.core.geometry import Attention, Elementwise, Experts, Gemm
from memorywall.core.hardware import Hardware
from memorywall.core.numbers import Number, maximum
from memorywall.core.program import Op, Program
from memorywall.core.results import Cost, OpCost
from memorywall.core.tensors import Tensor

# Functions without a benchmark use the curve of a function with similar traffic and arithmetic: the
# one on the right. A gated activation uses silu's. The error of this was not measured.
_STAND_INS = {
    "gelu_pytorch_tanh": "gelu",
    "gelu_python": "gelu",
    "gelu_fast": "gelu_new",
    "quick_gelu": "gelu",
    "silu": "gelu",
    "swish": "gelu",
    "sigmoid": "tanh",
    "sqrtsoftplus": "gelu_new",
    "xielu": "gelu_new",
    "softcap": "tanh",
    "softmax": "layernorm",
    "l2norm": "layernorm",
    "relu2": "relu",
    "relu": "copy",
    "clip": "copy",
    "scale": "copy",
    "alibi": "add",
    "modulate": "add",
    "gated": "add",
    "mix": "add",
    "mean": "copy",
    "index": "copy",
    "sinkhorn": "layernorm",
    "streams": "add",
    "compress": "copy",
    "conv1d": "linear",
}


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of a call: its work, and the floor of a call with almost no work."""

    work_s: Number = 0.0
    floor_s: Number = 0.0

    def at_least(self, seconds: Number) -> Spent:
        """Return the same, with more work where both together are less than that."""
        return Spent(maximum(self.work_s, seconds - self.floor_s), self.floor_s)

    def __rmul__(self, times: Number) -> Spent:
        return Spent(times * self.work_s, times * self.floor_s)

    @property
    def seconds(self) -> Number:
        """Both together."""
        return self.floor_s + self.work_s


def estimate(program: Program, calibration: Calibration) -> Estimate:
    """Return the cost of one run of an unfused program by a machine's calibration.

    This is without the machine's roofs, and so for programs of measured operators.

    Raises:
        UnsupportedError: an operator of the program was not measured.
    """
    by_class: dict[str, Number] = {}

    def spend(what: str, seconds: Number) -> None:
        by_class[what] = by_class.get(what, 0.0) + seconds

    dtype = program.blocks[0].ops[0].dtype
    spend("framework", calibration.forward_s.get(dtype, 0.0))
    for block in program.blocks:
        for op in block.ops:
            if not _is_call(op):
                continue
            for what, spent in _call(op, calibration):
                if spent is None:
                    raise UnsupportedError(
                        f"{op.function} in {op.dtype} was not measured on this machine.",
                        "Measure it in full: memorywall measure.",
                    )
                spend(what, spent.seconds * block.repeat)
            spend("framework", calibration.dispatch_s.get(op.dtype, 0.0) * block.repeat)
    return Estimate(by_class, (calibration.low, calibration.high))


def price_calls(
    program: Program,
    hardware: Hardware,
    calibration: Calibration,
    fused: Program | None = None,
) -> list[OpCost]:
    """Return the cost of one run of an unfused program on a calibrated device, call by call.

    The seconds of a call are bound by memory where its traffic takes longer than its arithmetic at
    the device's ceilings, else by compute; its floor, and what the framework takes, is overhead.
    Joining a cache is memory-bound, and a separate row. An operator that is part of another one's
    call, or does not run, takes no time. No call takes less than the same operator of the program
    ``fused`` at the roofs; without one, of the program itself.

    Raises:
        UnsupportedError: the device has no peak for the program's arithmetic or a wider one.
    """
    costs: list[OpCost] = []
    dispatched: Number = _overhead(calibration.forward_s, program.blocks[0].ops[0], hardware)
    roofs = _roofs(fused or program, hardware)
    for path, op, repeat in program.walk():
        if not _is_call(op):
            kind = "attention" if op.runs else op.kind
            costs.append(OpCost(path, kind, repeat if op.runs else 0, Cost(), {}, {}))
            continue
        for what, measured in _call(op, calibration):
            least = _joined_s(op, hardware) if what == "cache" else roofs[path]
            spent = (measured or Spent()).at_least(least)
            if what == "cache":
                waits: dict[str, Number] = {"kv_cache": spent.work_s * repeat}
                cost = _bound(spent, repeat, spent.work_s)
                costs.append(OpCost(f"{path}.join_cache", what, repeat, cost, {}, waits))
            else:
                costs.append(_call_cost(path, op, repeat, what, spent, hardware))
        dispatched = dispatched + _overhead(calibration.dispatch_s, op, hardware) * repeat
    overhead = _bound(Spent(0.0, dispatched), 1, 0.0)
    return [*costs, OpCost("framework", "framework", calls(program), overhead, {}, {})]


def _overhead(table: Mapping[str, float], op: Op, hardware: Hardware) -> float:
    """Return what the framework takes in a dtype, or in the one that it runs in."""
    return table.get(op.dtype, table.get(hardware.arithmetic(op.dtype), 0.0))


def _roofs(program: Program, hardware: Hardware) -> dict[str, Number]:
    """Return the seconds of every call at the roofs, by its path.

    The call of an attention is also the softmax and P V that follow it: each of the three takes the
    longer of its arithmetic and its traffic.
    """
    found: dict[str, Number] = {}
    caller = ""
    for path, op, _ in program.walk():
        seconds = maximum(op.flops / hardware.peak(op.dtype), op.moved_bytes / hardware.bandwidth)
        if _is_call(op):
            caller = path if isinstance(op.geometry, Attention) else caller
            found[path] = seconds
        elif op.runs:
            found[caller] = found.get(caller, 0.0) + seconds
    return found


def _joined_s(op: Op, hardware: Hardware) -> Number:
    """Return the seconds of reading and writing the caches that a call joins."""
    (cache,) = [tensor for tensor in op.reads if tensor.role == "kv_cache"][:1]
    copies = 1 if isinstance(op.geometry, Attention) and op.geometry.latent else 2
    return 2 * copies * cache.moved_bytes / hardware.bandwidth


def unmeasured(program: Program, calibration: Calibration) -> tuple[str, ...]:
    """Return what a program does that has no curve, each kind once, as words in the plural."""
    found: dict[str, None] = {}
    for _, op, _ in program.walk():
        if _is_call(op) and any(spent is None for _, spent in _call(op, calibration)):
            found[_named(op, calibration)] = None
    return tuple(found)


def _named(op: Op, calibration: Calibration) -> str:
    """Return what of an operator has no curve."""
    if not any(dtype == op.dtype for _, dtype in calibration.curves):
        return f"operators in {op.dtype}"
    if op.kind == "conv":
        return "convolutions"
    packed = _packed(op)
    return f"products with weights in {packed}" if packed else f"{op.function} in {op.dtype}"


def _packed(op: Op) -> str:
    """Return the format of a product's weights that is not its arithmetic's, or nothing."""
    if not isinstance(op.geometry, Gemm | Experts):
        return ""
    wide = ARITHMETIC_BITS[op.dtype]
    factors = [t for t in op.reads if t.role == "weight" and len(t.axes) > 1]
    return next((t.format.name for t in factors if t.format.bits_per_element != wide), "")


def _call_cost(
    path: str, op: Op, repeat: int, what: str, spent: Spent, hardware: Hardware
) -> OpCost:
    """Return the cost of the work of one operator's call, over its block's repetitions."""
    # The call of an attention keeps its scores to itself.
    tensors = op.reads if op.kind == "attention" else op.reads + op.writes
    traffic: dict[str, Number] = {}
    for tensor in tensors:
        traffic[tensor.role] = traffic.get(tensor.role, 0) + tensor.moved_bytes
    moved = sum(traffic.values(), 0)
    is_memory = moved / hardware.bandwidth >= op.flops / hardware.peak(op.dtype)
    waiting = spent.work_s * is_memory
    waits = {role: waiting * repeat * part / maximum(moved, 1) for role, part in traffic.items()}
    return OpCost(path, what, repeat, _bound(spent, repeat, waiting), {}, waits)


def _bound(spent: Spent, repeat: int, waiting: Number) -> Cost:
    """Return seconds as a cost: ``waiting`` of one call is memory-bound, its floor overhead."""
    floor = spent.floor_s * repeat
    return Cost(
        latency_s=spent.seconds * repeat, waiting_s=waiting * repeat, overhead_s=floor,
        overhead_bound_s=floor,
    )  # fmt: skip


def calls(program: Program) -> int:
    """Return the number of calls of a program: softmax and P V are part of attention's."""
    return sum(repeat for _, op, repeat in program.walk() if _is_call(op))


def _is_call(op: Op) -> bool:
    geometry = op.geometry
    values = isinstance(geometry, Attention) and geometry.product == "pv"
    return op.runs and not values and op.kind != "softmax"


def _call(op: Op, calibration: Calibration) -> list[tuple[str, Spent | None]]:
    """Return the seconds of one call by class; None for what has no curve."""
    geometry = op.geometry
    if isinstance(geometry, Attention):
        return _attention(op, geometry, calibration)
    if op.kind == "conv" and op.function != "depthwise":
        return [("conv", None)]
    if op.kind in ("scan", "conv"):
        # A copy moves each of its elements twice.
        elements = op.moved_bytes * 8 / (2 * ARITHMETIC_BITS[op.dtype])
        return [(op.kind, _time(calibration, "copy", op.dtype, elements, elements))]
    if isinstance(geometry, Gemm | Experts):
        return [("gemm", _product(op, geometry, calibration))]
    elements = (op.writes or op.reads)[0].elements  # a selection writes no activation
    gated = isinstance(geometry, Elementwise) and geometry.gated
    seconds = _time(calibration, op.function, op.dtype, elements, elements, gated=gated)
    return [(op.kind, seconds)]


def _product(op: Op, geometry: Gemm | Experts, calibration: Calibration) -> Spent | None:
    """Return the seconds of a product; None if its weights are packed, which was not measured."""
    if _packed(op):
        return None
    if isinstance(geometry, Gemm):
        return _time(calibration, op.function, op.dtype, geometry.m, op.flops)
    rows = size(geometry.rows) * geometry.chosen / geometry.touched  # one product for each expert
    return _time(calibration, "linear", op.dtype, rows, op.flops)


def _attention(
    op: Op, geometry: Attention, calibration: Calibration
) -> list[tuple[str, Spent | None]]:
    """Return the seconds of joining the cache and of attending; softmax and P V are in it.

    A decode step reads its keys and values once if every query head has separate ones, and is
    priced by their bytes; if heads share them it is priced by FLOPs, as kernels work head by head.
    The cache of cross-attention neither grows nor is masked. The values of latent attention, which
    differ from its keys in width, are priced as equally wide.
    """
    keys = op.reads[1]
    cached = [t for t in op.reads if t.role == "kv_cache" and geometry.mask != "cross"]
    moved = 2 * keys.moved_bytes  # keys and values
    # The call of Q K^T includes P V; a score of distances is a separate product.
    flops = 2 * op.flops if geometry.product == "qk" else op.flops
    queries = geometry.queries
    if isinstance(queries, int) and queries == 1 and geometry.heads > geometry.kv_heads:
        seconds = _time(calibration, "attention decode grouped", op.dtype, flops, flops)
    elif isinstance(queries, int) and queries == 1:
        seconds = _time(calibration, "attention decode", op.dtype, moved, moved)
    else:
        kind = "attention causal" if cached else "attention full"
        seconds = _time(calibration, kind, op.dtype, queries, flops)
    attended: tuple[str, Spent | None] = ("attention", seconds)
    if not cached:
        return [attended]
    return [attended, ("cache", _join(cached[0], geometry, op.dtype, calibration))]


def _join(cache: Tensor, geometry: Attention, dtype: str, calibration: Calibration) -> Spent | None:
    """Return the seconds of joining what is new to a cache of keys, and to its like of values.

    Latents are both at once; if keys are projected from them, scores read only a part of each.
    """
    elements = cache.moved_rows * cache.width
    copies = 1 if geometry.latent else 2
    once = _time(calibration, "copy", dtype, elements, elements)
    return None if once is None else copies * once


def _time(
    calibration: Calibration,
    operator: str,
    dtype: str,
    size: Number,
    units: Number,
    *,
    gated: bool = False,
) -> Spent | None:
    curve = calibration.curve(operator, dtype)
    stand_in = "silu gated" if gated else _STAND_INS.get(operator)
    if curve is None and stand_in not in (None, operator):
        return _time(calibration, stand_in, dtype, size, units)
    if curve is None:
        return None
    return Spent(units * curve.seconds_per_unit(size), curve.floor_s)

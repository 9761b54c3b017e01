"""A program's time from this machine's micro-benchmarks, as a framework runs it.

Every operator is one call: its floor, the framework's overhead, and its work times the measured
seconds per unit of such work at its size. Attention is one call (Q K^T, softmax and P V together),
and a cache that grows is copied whole, as a framework that concatenates arrays does. A scan or a
short convolution, neither of which is measured, is priced as a copy of the same bytes. The program
is the unfused one; nothing is fitted to models.
"""

from __future__ import annotations

from memorywall.core.axes import size
from memorywall.core.calibration import Calibration, Estimate
from memorywall.core.errors import UnsupportedError
from memorywall.core.formats import ARITHMETIC_BITS
from memorywall.core.geometry import Attention, Elementwise, Experts, Gemm
from memorywall.core.numbers import Number
from memorywall.core.program import Op, Program
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
    "conv1d": "linear",
}


def estimate(program: Program, calibration: Calibration) -> Estimate:
    """Return the cost of one run of an unfused program by a machine's calibration.

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
            for what, seconds in _call(op, calibration):
                spend(what, seconds * block.repeat)
            spend("framework", calibration.dispatch_s.get(op.dtype, 0.0) * block.repeat)
    return Estimate(by_class, calibration.low, calibration.high)


def calls(program: Program) -> int:
    """Return the number of calls of a program: softmax and P V are part of attention's."""
    return sum(repeat for _, op, repeat in program.walk() if _is_call(op))


def _is_call(op: Op) -> bool:
    geometry = op.geometry
    values = isinstance(geometry, Attention) and geometry.product == "pv"
    return op.runs and not values and op.kind != "softmax"


def _call(op: Op, calibration: Calibration) -> list[tuple[str, Number]]:
    """Return the seconds of one call by class."""
    geometry = op.geometry
    if isinstance(geometry, Attention):
        return _attention(op, geometry, calibration)
    if op.kind == "scan" or op.function == "depthwise":
        # A copy moves each of its elements twice.
        elements = op.moved_bytes * 8 / (2 * ARITHMETIC_BITS[op.dtype])
        return [(op.kind, _time(calibration, "copy", op.dtype, elements, elements))]
    if op.kind == "conv":
        raise UnsupportedError(
            f"{op.name}: convolutions were not measured, so a model with them has no prediction.",
            "Use --phase decode, or a device of the catalogue: memorywall hardware.",
        )
    if isinstance(geometry, Gemm):
        return [("gemm", _time(calibration, op.function, op.dtype, geometry.m, op.flops))]
    if isinstance(geometry, Experts):  # one product for each
        rows = size(geometry.rows) * geometry.chosen / geometry.touched
        return [("gemm", _time(calibration, "linear", op.dtype, rows, op.flops))]
    elements = op.writes[0].elements
    gated = isinstance(geometry, Elementwise) and geometry.gated
    seconds = _time(calibration, op.function, op.dtype, elements, elements, gated=gated)
    return [(op.kind, seconds)]


def _attention(op: Op, geometry: Attention, calibration: Calibration) -> list[tuple[str, Number]]:
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
    joined = _join(cached[0], geometry, op.dtype, calibration) if cached else 0.0
    return [("attention", seconds), ("cache", joined)]


def _join(cache: Tensor, geometry: Attention, dtype: str, calibration: Calibration) -> Number:
    """Return the seconds of joining what is new to a cache of keys, and to its like of values.

    Latents are both at once; if keys are projected from them, scores read only a part of each.
    """
    elements = cache.moved_rows * cache.width
    copies = 1 if geometry.latent else 2
    return copies * _time(calibration, "copy", dtype, elements, elements)


def _time(
    calibration: Calibration,
    operator: str,
    dtype: str,
    size: Number,
    units: Number,
    *,
    gated: bool = False,
) -> Number:
    curve = calibration.curve(operator, dtype)
    stand_in = "silu gated" if gated else _STAND_INS.get(operator)
    if curve is None and stand_in not in (None, operator):
        return _time(calibration, stand_in, dtype, size, units)
    if curve is None:
        raise UnsupportedError(
            f"{operator} in {dtype} was not measured on this machine.",
            "Measure it in full: memorywall measure.",
        )
    return curve.floor_s + units * curve.seconds_per_unit(size)

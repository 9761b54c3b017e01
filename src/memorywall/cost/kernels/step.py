"""One forward pass on devices without measured kernels: a time for every operator.

Engines for one user (llama.cpp, MLC, exllama, MLX) run operators one after the other, mostly on
weights in a few bits. With the times at the data sheet's ceilings, the seconds of an operator are

    t = operator_s + (c^overlap + m^overlap)^(1/overlap)
    c = products / peak_share + packed / packed_share (/ grouped_share) + unpack_ops * unpack
    m = memory / bandwidth_share

and those of a pass their sum plus ``step_s``. ``products`` are FLOPs over the peak of their dtype.
Products with weights of fewer bits than the arithmetic are ``packed``: engines run them as
8-bit integer products, or unpack tiles on the way, so their share is of the peak of 8 bits, at
most the peak of the dtype. ``unpack`` is one operation for each weight that is read, on vector
units; it is what a matrix-vector product waits for on small GPUs and on CPUs. Experts' products
reach a lower share, since their tokens are few.

The form was chosen on the public runs of ``calibrate/streams.py`` with devices left out; the page
on accuracy has the forms that were compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from memorywall.core.formats import ARITHMETIC_BITS
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Argument, Constant, Kernel, Shape
from memorywall.core.numbers import Number, maximum, minimum
from memorywall.core.program import Op, Program

CONSTANTS = (
    Constant(
        "peak_share", "", "Share of the peak that products and attention reach.", 0.02, 1.0, 0.7
    ),
    Constant(
        "packed_share",
        "",
        "Share of the peak of 8 bits (of the dtype, on devices without one) that products with "
        "packed weights reach.",
        0.005,
        1.0,
        0.3,
    ),
    Constant("grouped_share", "", "Share of that which products of experts reach.", 0.05, 1.0, 0.5),
    Constant("bandwidth_share", "", "Share of the memory bandwidth.", 0.05, 1.0, 0.85),
    Constant("unpack_ops", "", "Vector operations to unpack one weight.", 1e-3, 100.0, 8.0),
    Constant("operator_s", "s", "Launch and synchronisation of one operator.", 1e-8, 1e-3, 5e-6),
    Constant("step_s", "s", "Host's part of one pass: sampling, graphs, Python.", 1e-7, 0.1, 3e-4),
    Constant("overlap", "", "Exponent of the smooth maximum: 1 is a sum.", 1.0, 12.0, 2.0),
)
_EIGHT_BITS = ("int8", "fp8")
_BYTE = 8


@dataclass(frozen=True, slots=True)
class StepWork:
    """Seconds of one operator at the ceilings of the data sheet, apart by what limits them.

    Attributes:
        products: of arithmetic on plain weights, and of attention.
        packed, grouped: of products with packed weights, and of those by experts.
        unpack: of one vector operation for each packed weight that is read.
        memory: of the bytes moved.
    """

    products: Number = 0.0
    packed: Number = 0.0
    grouped: Number = 0.0
    unpack: Number = 0.0
    memory: Number = 0.0


def work_of(op: Op, hardware: Hardware) -> StepWork:
    """Return the work of an operator on a device.

    Raises:
        UnsupportedError: the device has no peak for the operator's arithmetic or a wider one.
    """
    memory = op.moved_bytes / hardware.bandwidth
    weights = packed_weights(op)
    peak = hardware.peak(op.dtype)
    if type(weights) is int and weights == 0:
        return StepWork(products=op.flops / peak, memory=memory)
    products = op.flops / packed_peak(hardware, op.dtype)
    unpack = weights / vector_peak(hardware)
    if op.function == "experts":
        return StepWork(grouped=products, unpack=unpack, memory=memory)
    return StepWork(packed=products, unpack=unpack, memory=memory)


def packed_weights(op: Op) -> Number:
    """Return the number of weights in fewer bits than the arithmetic that an operator reads."""
    if op.kind != "gemm":
        return 0
    bits = ARITHMETIC_BITS.get(op.dtype, 16)
    packed: Number = 0
    for tensor in op.reads:
        if tensor.role == "weight" and tensor.format.bits < bits:
            packed = packed + tensor.moved_elements
    return packed


def packed_peak(hardware: Hardware, dtype: str) -> Number:
    """Return the peak that shares of products with packed weights refer to, FLOP/s."""
    for eight in _EIGHT_BITS:
        if eight in hardware.peaks:
            return hardware.peaks[eight]
    return hardware.peak(dtype)


def vector_peak(hardware: Hardware) -> Number:
    """Return the rate of vector units, operations a second.

    That is the peak of fp32, but on CPUs the dot products of 8 bits, which unpack and multiply in
    the same units.
    """
    if "CPU" in hardware.device_class and "int8" in hardware.peaks:
        return hardware.peaks["int8"]
    if "fp32" in hardware.peaks:
        return hardware.peaks["fp32"]
    slowest: Number = min(hardware.peaks.values())
    return slowest


def operator_seconds(
    work: StepWork, constants: Mapping[str, float], ceiling: Number = 1.0
) -> Number:
    """Return the seconds of one operator without the host's part of the pass.

    Args:
        work: at the ceilings of the data sheet; numbers or arrays that broadcast.
        constants: those of ``CONSTANTS``, by name.
        ceiling: peak of the dtype over that of 8 bits: no packed product is faster than that.
    """
    packed = minimum(constants["packed_share"], ceiling)
    compute = (
        work.products / constants["peak_share"]
        + (work.packed + work.grouped / constants["grouped_share"]) / packed
        + work.unpack * constants["unpack_ops"]
    )
    memory = work.memory / constants["bandwidth_share"]
    overlap = constants["overlap"]
    smooth: Number = (compute**overlap + memory**overlap) ** (1 / overlap)
    return constants["operator_s"] + smooth


def packed_ceiling(hardware: Hardware, dtype: str) -> Number:
    """Return the largest share of the peak of 8 bits that keeps to the peak of a dtype."""
    return hardware.peak(dtype) / packed_peak(hardware, dtype)


def pass_seconds(program: Program, hardware: Hardware, constants: Mapping[str, float]) -> Number:
    """Return the seconds of one run of a fused program on a device.

    Operators that were fused into others, and move nothing, have no launch: their FLOPs are free.
    """
    return step_seconds(program_work(program, hardware), constants)


@dataclass(frozen=True, slots=True)
class ProgramWork:
    """The work of a program: of each of its operators, how often it runs, and its ceiling."""

    rows: tuple[tuple[StepWork, Number, Number], ...]


def program_work(program: Program, hardware: Hardware) -> ProgramWork:
    """Return the work of the operators of a fused program that move bytes."""
    rows = []
    for block in program.blocks:
        for op in block.ops:
            moved = op.moved_bytes
            if type(moved) is int and moved == 0:
                continue
            ceiling = packed_ceiling(hardware, op.dtype)
            rows.append((work_of(op, hardware), block.repeat, ceiling))
    return ProgramWork(tuple(rows))


def step_seconds(work: ProgramWork, constants: Mapping[str, float]) -> Number:
    """Return the seconds of one pass."""
    total: Number = constants["step_s"]
    for each, repeat, ceiling in work.rows:
        total = total + repeat * operator_seconds(each, constants, ceiling)
    return total


def floor_seconds(program: Program, hardware: Hardware) -> Number:
    """Return the least seconds that any engine can take for a pass: a run below it is an error.

    All arithmetic is taken at the fastest peak of 8 bits or more: engines run packed weights as
    8-bit products, and GeForce cards do 16-bit products that accumulate in 16 bits at twice the
    listed peak.
    """
    fastest = max(peak for dtype, peak in hardware.peaks.items() if ARITHMETIC_BITS[dtype] >= _BYTE)
    compute: Number = 0.0
    memory: Number = 0.0
    for block in program.blocks:
        for op in block.ops:
            compute = compute + block.repeat * op.flops / fastest
            memory = memory + block.repeat * op.moved_bytes / hardware.bandwidth
    return maximum(compute, memory)


def _prepare(
    shape: Shape, hardware: Hardware, dtype: str, constants: Mapping[str, float]
) -> Callable[..., Number]:
    peak, packed = hardware.peak(dtype), packed_peak(hardware, dtype)
    weights = shape["weights"]
    unpack = weights / vector_peak(hardware)
    ceiling = peak / packed
    grouped = shape["experts"] == "yes"

    def seconds(flops: Number, moved_bytes: Number) -> Number:
        memory = moved_bytes / hardware.bandwidth
        if type(weights) is int and weights == 0:
            return operator_seconds(StepWork(flops / peak, memory=memory), constants)
        each = flops / packed
        work = (
            StepWork(grouped=each, unpack=unpack, memory=memory)
            if grouped
            else StepWork(packed=each, unpack=unpack, memory=memory)
        )
        return operator_seconds(work, constants, ceiling)

    return seconds


def _work(shape: Shape, dtype: str) -> tuple[Number, Number]:
    return shape["flops"], shape["moved_bytes"]


KERNEL = Kernel(
    name="step",
    help="One operator of a pass, on devices without measured kernels.",
    arguments=(
        Argument("flops", "FLOPs."),
        Argument("moved_bytes", "Bytes read from and written to the main memory."),
        Argument("weights", "Weights in fewer bits than the arithmetic that are read.", 0),
        Argument("experts", "Whether the products are those of experts.", "no", ("no", "yes")),
    ),
    constants=CONSTANTS,
    prepare=_prepare,
    varying=("flops", "moved_bytes"),
    work=_work,
)

"""A pass on devices whose kernels were not measured: the share of its roofs that programs attain.

Engines for one user (llama.cpp, MLC, exllama, MLX) run operators one after the other, mostly on
weights in a few bits. An operator takes the longer of its arithmetic and its traffic at the
attained rates, and a launch; a pass takes the time of its host besides:

    t = step_s + sum over operators of ( operator_s + max(flops / P, bytes / B) )

    plain weights    P = peak_share * peak                    B = bandwidth_share * BW
    packed weights   P = min(packed_share * P8, peak)     1 / B = 1 / (bandwidth_share * BW)
                                                                + unpack_ops / (V * weight_bytes)

Weights are packed where they have fewer bits than the arithmetic. Engines run their products in
8-bit integers, or unpack tiles on the way, so ``packed_share`` is of the peak of 8 bits, P8. A
weight that is read takes ``unpack_ops`` operations of the vector units, whose rate is V; small GPUs
and CPUs wait for them in matrix-vector products. Products of experts have few rows each and reach
``grouped_share`` of P. A pass so priced is one at the roofs of a slower device, which costs no more
to work out than a bound of the data sheet.

The form was chosen on public runs with devices left out (``benchmarks/fit_streams.py``). A smooth
maximum and unpacking beside the traffic, by operator, win one point of decode's median error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from memorywall.core.formats import ARITHMETIC_BITS
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Argument, Constant, Kernel, Shape
from memorywall.core.numbers import Number, maximum, minimum

CONSTANTS = (
    Constant(
        "peak_share", "", "Share of the peak that products and attention attain.", 0.02, 1.0, 0.7
    ),
    Constant(
        "packed_share",
        "",
        "Share of the peak of 8 bits that products with packed weights attain.",
        0.005,
        1.0,
        0.3,
    ),
    Constant(
        "grouped_share", "", "Share of these that products of experts attain.", 0.05, 1.0, 0.5
    ),
    Constant("bandwidth_share", "", "Share of the memory bandwidth.", 0.05, 1.0, 0.85),
    Constant("unpack_ops", "", "Vector operations that unpack one weight.", 1e-3, 100.0, 8.0),
    Constant("operator_s", "s", "Launch and synchronisation of one operator.", 1e-8, 1e-3, 5e-6),
    Constant("step_s", "s", "The host's part of a pass: sampling, Python.", 1e-7, 0.1, 3e-4),
)
_WIDE = 16  # bits of the arithmetic that packed weights are unpacked for
_EIGHT_BITS = ("int8", "fp8")
_USUAL = 2  # rate of 8 bits over that of 16, and on CPUs over that of 32


@dataclass(frozen=True, slots=True)
class Weights:
    """The properties of the weights of a pass that its rates depend on.

    Attributes:
        packed_bits: bits of a weight with its scales, if it has fewer than the arithmetic; else 0.
        experts: whether layers have experts.
    """

    packed_bits: float = 0.0
    experts: bool = False


def attained_device(
    hardware: Hardware, constants: Mapping[str, float], weights: Weights
) -> Hardware:
    """Return a device whose roofs are those that passes attain.

    Args:
        hardware: the device of the data sheet.
        constants: those of ``CONSTANTS``, by name.
        weights: of the pass.
    """
    grouped = constants["grouped_share"] if weights.experts else 1.0
    peaks = {
        dtype: grouped * attained_peak(hardware, dtype, constants, weights)
        for dtype in hardware.peaks
    }
    main = replace(hardware.main_memory, bandwidth=attained_bandwidth(hardware, constants, weights))
    return replace(hardware, peaks=peaks, memories=(*hardware.memories[:-1], main))


def attained_peak(
    hardware: Hardware, dtype: str, constants: Mapping[str, float], weights: Weights
) -> Number:
    """Return the FLOP/s that products attain in a dtype: never more than its peak."""
    peak = hardware.peaks[dtype]
    if not weights.packed_bits or ARITHMETIC_BITS[dtype] < _WIDE:
        return constants["peak_share"] * peak
    return minimum(constants["packed_share"] * packed_peak(hardware, dtype), peak)


def attained_bandwidth(
    hardware: Hardware, constants: Mapping[str, float], weights: Weights
) -> Number:
    """Return the byte/s that passes attain, with the time that their weights are unpacked in."""
    streamed = constants["bandwidth_share"] * hardware.bandwidth
    if not weights.packed_bits:
        return streamed
    unpacked = vector_peak(hardware) * weights.packed_bits / 8 / constants["unpack_ops"]
    return 1 / (1 / streamed + 1 / unpacked)


def packed_peak(hardware: Hardware, dtype: str) -> Number:
    """Return the peak of 8 bits, that shares of products with packed weights refer to, FLOP/s.

    A device without one is taken to have twice the peak of the arithmetic, as is usual.
    """
    for eight in _EIGHT_BITS:
        if eight in hardware.peaks:
            return hardware.peaks[eight]
    return _USUAL * hardware.peaks[dtype]


def vector_peak(hardware: Hardware) -> Number:
    """Return the rate of the vector units, operations a second.

    That is the peak of fp32; on CPUs that of 8-bit products, for which they unpack.
    """
    if "CPU" in hardware.device_class and "fp32" in hardware.peaks:
        return hardware.peaks.get("int8", _USUAL * hardware.peaks["fp32"])
    if "fp32" in hardware.peaks:
        return hardware.peaks["fp32"]
    slowest: Number = min(hardware.peaks.values())
    return slowest


def fastest_peak(hardware: Hardware) -> Number:
    """Return the peak above which no run of a model can be, FLOP/s.

    Engines run packed weights as 8-bit products, and GeForce cards do 16-bit products that
    accumulate in 16 bits at twice the listed peak.
    """
    peaks = [peak for dtype, peak in hardware.peaks.items() if ARITHMETIC_BITS[dtype] >= 8]
    found: Number = max(peaks or hardware.peaks.values())
    return found


def _prepare(
    shape: Shape, hardware: Hardware, dtype: str, constants: Mapping[str, float]
) -> Callable[..., Number]:
    weights = Weights(float(shape["packed_bits"]), shape["experts"] == "yes")
    device = attained_device(hardware, constants, weights)
    peak, bandwidth = device.peak(dtype), device.bandwidth

    def seconds(flops: Number, moved_bytes: Number) -> Number:
        return constants["operator_s"] + maximum(flops / peak, moved_bytes / bandwidth)

    return seconds


def _work(shape: Shape, _hardware: Hardware, _dtype: str) -> tuple[Number, Number]:
    return shape["flops"], shape["moved_bytes"]


KERNEL = Kernel(
    name="step",
    help="One operator of a pass, on devices whose kernels were not measured.",
    arguments=(
        Argument("flops", "FLOPs."),
        Argument("moved_bytes", "Bytes read from and written to the main memory."),
        Argument("packed_bits", "Bits of a weight that the arithmetic is wider than; 0: none.", 0),
        Argument("experts", "Whether the products are those of experts.", "no", ("no", "yes")),
    ),
    constants=CONSTANTS,
    prepare=_prepare,
    varying=("flops", "moved_bytes"),
    work=_work,
)

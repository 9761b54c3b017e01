"""Facts of devices and dtypes that formulas of kernels need."""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.errors import UnknownNameError
from memorywall.core.hardware import Hardware
from memorywall.core.numbers import Number, is_array

# Of devices without printed counts: a usual clock, and FLOP per clock and processor at 16 bits.
_USUAL_CLOCK = 2e9
_USUAL_FLOPS_PER_CLOCK = 1024


@dataclass(frozen=True, slots=True)
class Dtype:
    """How a kernel of a dtype stores its operands, and the arithmetic that it runs in.

    Attributes:
        name: of tables of constants.
        arithmetic: a key of ``Hardware.peaks``.
        input_bytes, weight_bytes, output_bytes: of one element, scales included.
        quantises: whether inputs of 16 bits are quantised in a pass before the product.
    """

    name: str
    arithmetic: str
    input_bytes: float
    weight_bytes: float
    output_bytes: float = 2.0
    quantises: bool = False


DTYPES = {
    dtype.name: dtype
    for dtype in (
        Dtype("bf16", "bf16", 2, 2),
        Dtype("fp16", "fp16", 2, 2),
        Dtype("fp8", "fp8", 1, 1, quantises=True),
        Dtype("fp8_block", "fp8", 1, 1, quantises=True),
        # 4 bits, and 8 bits of scale for 16 elements.
        Dtype("nvfp4", "fp4", 0.5625, 0.5625, quantises=True),
        # Weights alone are narrow: the kernel unpacks them, and its arithmetic is in 16 bits.
        Dtype("int8", "bf16", 2, 1),
        Dtype("int4", "bf16", 2, 0.5),
        # 4 bits, and 8 bits of scale for 32 elements; inputs in 16 or, quantised, in 8 bits.
        Dtype("mxfp4", "bf16", 2, 0.53125),
        Dtype("mxfp4_mxfp8", "fp8", 1.03125, 0.53125, quantises=True),
    )
}


def dtype_of(name: str) -> Dtype:
    """Return a dtype of kernels by its name.

    Raises:
        UnknownNameError: no such dtype.
    """
    if name not in DTYPES:
        raise UnknownNameError("dtype", name, DTYPES)
    return DTYPES[name]


# Attention multiplies activations: narrow weights change nothing, and 8 bits are one.
_OF_ATTENTION = {
    "fp16": "bf16", "int8": "bf16", "int4": "bf16", "mxfp4": "bf16", "fp8_block": "fp8",
    "nvfp4": "fp8", "mxfp4_mxfp8": "fp8",
}  # fmt: skip
_CACHES = {"fp16": "bf16", "int8": "fp8"}


def attention_cache(dtype: str) -> str:
    """Return the format of the cache that attention of a dtype has if none is named."""
    return _OF_ATTENTION.get(dtype, dtype)


def attention_dtype(dtype: str, cache: str) -> str:
    """Return the dtype of tables of attention: its arithmetic, and its cache's if that differs.

    Over a cache of 16 bits attention is in 16 bits: no kernel narrows what it has loaded.
    """
    arithmetic, cache = attention_cache(dtype), _CACHES.get(cache, cache)
    if cache == "bf16":
        return cache
    return arithmetic if cache in (arithmetic, "") else f"{arithmetic}-{cache}"


def arithmetic_of_table(dtype: str) -> str:
    """Return the arithmetic, a key of ``Hardware.peaks``, of a table's dtype; "" for none."""
    first = dtype.partition("-")[0]
    return DTYPES[first].arithmetic if first in DTYPES else first


def clock_of(hardware: Hardware) -> float:
    """Return the clock of a device under load, Hz; a usual one if no source prints it."""
    return hardware.clock or _USUAL_CLOCK


def units_of(hardware: Hardware) -> float:
    """Return the processors of a device that run tiles side by side.

    If no source prints their number, as many as reach the peak of 16 bits at a usual rate each.
    """
    if hardware.units:
        return float(hardware.units)
    peak = hardware.peak("bf16")
    peak = float(peak.max()) if is_array(peak) else float(peak)
    return max(1.0, round(peak / (_USUAL_FLOPS_PER_CLOCK * clock_of(hardware))))


def cache_bytes_of(hardware: Hardware) -> float:
    """Return the bytes of the cache before the main memory; 0 if no source prints them."""
    levels = hardware.memories[:-1]
    return float(levels[-1].capacity or 0) if levels else 0.0


def is_served_by_cache(hardware: Hardware) -> bool:
    """Return whether repeated calls on one device find operands in its L2.

    GPUs with GDDR memory have an L2 that is large, and much faster than their memory.
    """
    return hardware.main_memory.name.startswith("GDDR")


def kernel_peak(hardware: Hardware, arithmetic: str) -> Number:
    """Return the FLOP/s of a device in an arithmetic of kernels, or in the next wider one."""
    return hardware.peak(arithmetic)

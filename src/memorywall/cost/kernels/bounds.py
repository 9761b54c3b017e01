"""The least time of a call by the data sheet."""

from __future__ import annotations

from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Kernel, Shape
from memorywall.core.numbers import Number, maximum
from memorywall.cost.kernels._collective import link_of
from memorywall.cost.kernels.facts import arithmetic_of_table


def bound_of(kernel: Kernel, shape: Shape, hardware: Hardware, dtype: str) -> Number:
    """Return the longer of a call's arithmetic at the peak and its traffic at full bandwidth, s."""
    flops, moved = kernel.work(shape, hardware, dtype)
    if kernel.over == "link":
        return moved / link_of(hardware)
    traffic_s = moved / hardware.bandwidth
    return maximum(flops / hardware.peak(arithmetic_of_table(dtype)), traffic_s)

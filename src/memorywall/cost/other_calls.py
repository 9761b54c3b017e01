"""Calls without a measured kernel: elementwise operators, norms, convolutions, scans.

Their launch and the shares of the roofs that they attain are those of matrix products.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from memorywall.core.hardware import Hardware
from memorywall.core.numbers import maximum
from memorywall.cost.kernels.facts import kernel_peak


def stream(hardware: Hardware, constants: Mapping[str, float]) -> Callable[[Any], Any]:
    """Return the seconds of an operator that moves some bytes and does little arithmetic."""
    rate = constants["bandwidth_share"] * hardware.bandwidth
    launch_s = constants["launch_s"]
    return lambda moved: launch_s + moved / rate


def roofs(
    hardware: Hardware, arithmetic: str, constants: Mapping[str, float]
) -> Callable[[Any, Any], Any]:
    """Return the seconds of an operator with some FLOPs and bytes."""
    rate = constants["bandwidth_share"] * hardware.bandwidth
    peak = constants["peak_share"] * kernel_peak(hardware, arithmetic)
    launch_s = constants["launch_s"]
    return lambda flops, moved: launch_s + maximum(flops / peak, moved / rate)

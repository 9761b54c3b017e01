"""Timing: warm-up, calibrated loops, many samples, the median and its spread.

A sample is a run of enough calls for the resolution of the clock; every sample is kept, so that the
same statistics can be computed from a record.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from memorywall.core.records import recorded

# A spread past this share of the median is called unstable.
STABLE = 0.10
# A call that takes longer is sampled once.
LONG_S = 5.0
# A run that takes longer is not run once more under a profiler.
LONGEST_WATCHED_S = 3.0


@dataclass(frozen=True, slots=True)
class Kernel:
    """A call to time, with the FLOPs and bytes of one call."""

    call: Callable[[], object]
    flops: float = 0.0
    moved_bytes: float = 0.0


@recorded(rest="parameters")
@dataclass(frozen=True, slots=True)
class Measurement:
    """Samples of one call.

    Attributes:
        name: the call, such as ``gemm``.
        seconds: of one call, sample by sample.
        loops: calls in each sample.
        flops, moved_bytes: of one call, counted by hand; 0 if not used.
        parameters: of the call.
    """

    name: str
    seconds: tuple[float, ...]
    loops: int = 1
    flops: float = 0.0
    moved_bytes: float = 0.0
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def median_s(self) -> float:
        """The median of the samples."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """The distance from the first to the last decile, over the median."""
        low, high = interval(self.seconds, 0.8)
        return (high - low) / self.median_s

    @property
    def stable(self) -> bool:
        """Whether the spread is small enough to report the median."""
        return self.spread <= STABLE

    @property
    def flop_per_s(self) -> float:
        """Attained FLOP/s."""
        return self.flops / self.median_s

    @property
    def byte_per_s(self) -> float:
        """Attained byte/s."""
        return self.moved_bytes / self.median_s


def interval(values: Sequence[float], share: float) -> tuple[float, float]:
    """Return the central interval that holds a share of the values, linear between them."""
    ordered = sorted(values)

    def quantile(q: float) -> float:
        position = q * (len(ordered) - 1)
        below = int(position)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (position - below) * (ordered[above] - ordered[below])

    return quantile((1 - share) / 2), quantile((1 + share) / 2)


def measure(
    name: str,
    call: Callable[[], object],
    *,
    flops: float = 0.0,
    moved_bytes: float = 0.0,
    budget_s: float = 0.5,
    sample_s: float = 0.01,
    most_samples: int = 25,
    clock: Callable[[], float] = time.perf_counter,
    synchronize: Callable[[], object] = lambda: None,
    warmed: Callable[[], object] = lambda: None,
    **parameters: Any,
) -> Measurement:
    """Time a call: once to warm up, then samples of ``sample_s`` each for ``budget_s`` in all.

    At least three samples are taken; of a call that takes longer than five seconds, one.
    ``synchronize`` waits for work that the call only started, as a GPU's; ``warmed`` is called
    once, between the warm-up and the samples.
    """
    call()
    synchronize()
    warmed()
    loops, took = 1, 0.0
    while True:
        start = clock()
        for _ in range(loops):
            call()
        synchronize()
        took = clock() - start
        if took >= sample_s or loops >= 2**20:
            break
        loops = min(2**20, max(2 * loops, int(1.2 * loops * sample_s / max(took, 1e-9))))
    samples = [took] if loops == 1 else []
    least = 1 if took > LONG_S else 3
    begun = clock() - took
    while len(samples) < least or (clock() - begun < budget_s and len(samples) < most_samples):
        start = clock()
        for _ in range(loops):
            call()
        synchronize()
        samples.append((clock() - start) / loops)
    return Measurement(name, tuple(samples), loops, flops, moved_bytes, parameters)

"""What the study of the wall holds: machines, the hit rates they need, what 1995 foresaw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from memorywall.core.growth import Growth
from memorywall.core.numbers import Number


@dataclass(frozen=True, slots=True)
class Machine:
    """A processor's clock and the latencies that a program meets.

    Attributes:
        name, date: which, and when it came.
        clock_hz: cycles a second.
        cache_cycles: first-level cache.
        dram_s: seconds from a load to its data in DRAM.
    """

    name: str
    date: str
    clock_hz: float
    cache_cycles: float
    dram_s: float

    @property
    def dram_cycles(self) -> float:
        """DRAM's latency in cycles."""
        return self.dram_s * self.clock_hz


@dataclass(frozen=True, slots=True)
class Wall:
    """What the study found.

    Attributes:
        machines: processors, by date.
        hits: hit rates that are asked for.
        average: cycles of an average access of a hit rate, cache and DRAM latency.
        needed: hit rate that each machine needs, by the paper's reading and by that of 1995.
        projected: by year what 1995 foresaw (DRAM cycles, average access) and what it printed.
        walled: the year in which 1995 saw the wall.
        growths: latency and rate of DRAM.
    """

    machines: Sequence[Machine]
    hits: Sequence[float]
    average: Callable[[Number, Number, Number], Number]
    needed: Mapping[str, tuple[float, float]]
    projected: Mapping[int, tuple[float, float, float | None]]
    walled: float
    growths: Sequence[Growth]


def average_cycles(wall: Wall, machine: Machine, hit: float) -> float:
    """Return the cycles of an average access of a machine at a hit rate."""
    return float(wall.average(hit, machine.cache_cycles, machine.dram_cycles))


def dated_name(machine: Machine) -> str:
    """Return a machine's name with its year, where it has one."""
    return f"{machine.name} ({machine.date[:4]})" if machine.date else machine.name

"""The findings of the study of the wall: machines, required hit rates, the forecast of 1995."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.core.growth import Growth
from memorywall.core.records import recorded, to_record


@recorded(derived=("dram_cycles",))
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


@recorded(rest="machine")
@dataclass(frozen=True, slots=True)
class MachineAtWall:
    """The hit rates that a machine's latencies require of a program.

    Attributes:
        machine: which.
        average_access_cycles: by hit rate.
        hit_needed: hit rate that it needs, by the paper's reading.
        hit_of_1995: the same by the reading of 1995.
    """

    machine: Machine
    average_access_cycles: Mapping[float, float]
    hit_needed: float
    hit_of_1995: float


@dataclass(frozen=True, slots=True)
class Projection:
    """The forecast of 1995 for a year, and its printed value; None where it printed nothing.

    Attributes:
        year: of which.
        dram_cycles: latency of DRAM.
        average_access_cycles: of an access.
        published: the printed cycles of an access.
    """

    year: int
    dram_cycles: float
    average_access_cycles: float
    published: float | None


@recorded(
    "memorywall.study.wall/2",
    names={"projected": "projected_in_1995", "walled": "wall_of_1995", "growths": "fits"},
)
@dataclass(frozen=True, slots=True)
class Wall:
    """The findings of the study.

    Attributes:
        hits: hit rates that were asked for.
        machines: processors, by date.
        projected: what 1995 foresaw, by year.
        walled: the year in which 1995 saw the wall.
        growths: latency and rate of DRAM.
    """

    hits: tuple[float, ...]
    machines: tuple[MachineAtWall, ...]
    projected: tuple[Projection, ...]
    walled: float
    growths: tuple[Growth, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return its record."""
        return to_record(self)


def dated_name(machine: Machine) -> str:
    """Return a machine's name with its year, where it has one."""
    return f"{machine.name} ({machine.date[:4]})" if machine.date else machine.name

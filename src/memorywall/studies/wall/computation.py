"""The argument of 1995: how often a cache must hit for a program not to be bound by DRAM.

Wulf and McKee, "Hitting the Memory Wall: Implications of the Obvious", Computer Architecture News
23(1), 1995: the average access takes p t_c + (1 - p) t_m, for a share p of accesses that hit the
cache. Times are cycles of the processor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from memorywall.answer.fit_trends import trends
from memorywall.catalog.trends import read
from memorywall.core.errors import InvalidInputError
from memorywall.core.numbers import Number, as_quantity
from memorywall.studies.wall.findings import Machine, MachineAtWall, Projection, Wall

HITS = (0.8, 0.9, 0.99, 0.999)
# One instruction in five loads or stores, so a program of one instruction a cycle touches memory
# every five cycles: when an access takes longer than that, memory sets the pace.
REFERENCES = 0.2

# The note of 1995: a cache as fast as the processor, missing on one access in a hundred, a miss of
# four cycles in 1995, processors 80 % faster every year and DRAM 7 %.
NOTE_YEAR, NOTE_HIT, NOTE_MISS, NOTE_GROWTH = 1995, 0.99, 4.0, 1.80 / 1.07
NOTE_PRINTED = {2000: 1.52, 2005: 8.25, 2010: 98.8}


def average_access(hit: Number, cache: Number, dram: Number) -> Number:
    """Return the cycles of an average access, t_avg = p t_c + (1 - p) t_m.

    Args:
        hit: p, share of accesses in the cache, from 0 to 1.
        cache, dram: t_c and t_m, cycles.
    """
    return hit * cache + (1 - hit) * dram


def bound_beyond(hit: float) -> float:
    """Return the DRAM latency in cycles beyond which a program is wholly bound by DRAM.

    The paper's reading: one access a cycle, of which 1 - p wait for DRAM one after the other, so
    that they alone take the whole time when (1 - p) t_m > 1. At 80 % that is 5 cycles.
    """
    if not 0 <= hit < 1:
        raise InvalidInputError(f"hit rate must be a share from 0 to under 1, got {hit:g}")
    return 1 / (1 - hit)


def hit_needed(dram: float) -> float:
    """Return the hit rate from which a program is no longer wholly bound by DRAM: the inverse."""
    return max(0.0, 1 - 1 / dram)


def hit_of_wall(cache: float, dram: float, references: float = REFERENCES) -> float:
    """Return the hit rate at which an average access takes as long as comes between two.

    The reading of 1995: for a number of references per instruction, the wall is p t_c + (1 - p) t_m
    = 1 / references.
    """
    pace = 1 / references
    if dram <= pace:
        return 0.0
    return min(1.0, (dram - pace) / (dram - cache)) if cache < pace else 1.0


def projected(year: float) -> tuple[float, float]:
    """Return DRAM's latency in cycles and the average access that 1995 foresaw for a year."""
    dram = NOTE_MISS * NOTE_GROWTH ** (year - NOTE_YEAR)
    return dram, float(average_access(NOTE_HIT, 1.0, dram))


def year_of_wall() -> float:
    """Return the year in which 1995 saw the average access pass five cycles."""
    dram = (1 / REFERENCES - NOTE_HIT) / (1 - NOTE_HIT)
    return NOTE_YEAR + math.log(dram / NOTE_MISS) / math.log(NOTE_GROWTH)


def machines() -> list[Machine]:
    """Return processors whose latency was measured and printed, by date."""
    return [
        Machine(
            row["name"],
            row["date"],
            1e9 * float(row["clock_ghz"]),
            float(row["cache_cycles"]),
            1e-9 * float(row["dram_ns"]),
        )
        for row in read("processors")
    ]


def your_machine(dram_ns: float, clock_ghz: float, cache_cycles: float) -> Machine:
    """Return a custom machine.

    Raises:
        InvalidInputError: a number that is not positive.
    """
    wanted = {"dram_ns": dram_ns, "clock_ghz": clock_ghz, "cache_cycles": cache_cycles}
    dram, clock, cache = (float(as_quantity(value, name)) for name, value in wanted.items())
    return Machine("your machine", "", 1e9 * clock, cache, 1e-9 * dram)


def check_hits(hits: Sequence[float]) -> tuple[float, ...]:
    """Return hit rates, each checked to be a share from 0 to under 1."""
    for hit in hits:
        bound_beyond(hit)
    return tuple(hits)


def compute_wall(hits: Sequence[float] = HITS, yours: Sequence[Machine] = ()) -> Wall:
    """Return the whole study.

    Args:
        hits: hit rates, shares from 0 to under 1, for which an average access is computed.
        yours: machines beside those that were published.
    """
    checked = check_hits(hits)
    return Wall(
        hits=checked,
        machines=tuple(_at_wall(machine, checked) for machine in [*machines(), *yours]),
        projected=tuple(
            Projection(year, *projected(year), NOTE_PRINTED.get(year))
            for year in (1995, 2000, 2005, 2010, 2019)
        ),
        walled=year_of_wall(),
        growths=tuple(trends(("dram-latency", "dram-pin", "processor-latency"))),
    )


def _at_wall(machine: Machine, hits: tuple[float, ...]) -> MachineAtWall:
    cache, dram = machine.cache_cycles, machine.dram_cycles
    average = {hit: float(average_access(hit, cache, dram)) for hit in hits}
    return MachineAtWall(machine, average, hit_needed(dram), hit_of_wall(cache, dram))

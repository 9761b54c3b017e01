"""The argument of 1995: how often a cache must hit for a program not to be bound by DRAM."""

from __future__ import annotations

from collections.abc import Sequence

from memorywall.core.study import Option, Study, Watch
from memorywall.studies.wall.computation import HITS, compute_wall, your_machine
from memorywall.studies.wall.figure import draw_wall
from memorywall.studies.wall.findings import Wall
from memorywall.studies.wall.text import show_wall

_CACHE_CYCLES = 4.0


def _run(
    *,
    watch: Watch,  # noqa: ARG001 - it takes no time
    hits: Sequence[float] = HITS,
    dram_ns: float | None = None,
    clock_ghz: float | None = None,
    cache_cycles: float = _CACHE_CYCLES,
) -> Wall:
    yours = []
    if dram_ns is not None and clock_ghz is not None:
        yours = [your_machine(dram_ns, clock_ghz, cache_cycles)]
    return compute_wall(hits, yours)


STUDY = Study(
    name="wall",
    question="Below which hit rate is a program wholly bound by DRAM?",
    about="""The argument of 1995 with today's latencies: average access time over hit rate.

    Wulf and McKee: with a share p of accesses in the cache, an average access takes
    p t_cache + (1 - p) t_DRAM.""",
    result=Wall,
    run=_run,
    show=show_wall,
    options=(
        Option(
            "hits", "Shares of accesses in the cache.", "numbers", "0.8, 0.9, 0.99 and 0.999",
            flags=("--hit",),
        ),
        Option(
            "dram_ns", "DRAM latency of a machine of yours, ns.", "number", requires="clock_ghz"
        ),
        Option("clock_ghz", "Its clock, GHz.", "number", requires="dram_ns"),
        Option(
            "cache_cycles", "Its first-level cache, cycles.", "number", "4", requires="dram_ns"
        ),
    ),
    figures={"wall": draw_wall},
    examples=(
        "", "--hit 0.8 --hit 0.95", "--dram-ns 95 --clock-ghz 3.7 --figure wall.svg",
    ),
)  # fmt: skip

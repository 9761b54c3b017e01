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
    dram_latency: float | None = None,
    clock: float | None = None,
    cache_cycles: float = _CACHE_CYCLES,
) -> Wall:
    yours = []
    if dram_latency is not None and clock is not None:
        yours = [your_machine(1e9 * dram_latency, 1e-9 * clock, cache_cycles)]
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
            "hits", "Shares of accesses that the cache serves.", "shares", "0.8,0.9,0.99,0.999",
            flags=("--hit",),
        ),
        Option(
            "dram_latency", "DRAM latency of your machine: 95 ns.", "quantity", unit="s",
            requires="clock",
        ),
        Option(
            "clock", "Clock of your machine: 3.7 GHz.", "quantity", unit="Hz",
            requires="dram_latency",
        ),
        Option(
            "cache_cycles", "Clock cycles of an access that the cache of your machine serves.",
            "number", "4", requires="dram_latency",
        ),
    ),
    figures={"wall": draw_wall},
    examples=(
        "", "--hit 0.8,0.95", "--dram-latency 95ns --clock 3.7GHz --figure wall.svg",
    ),
)  # fmt: skip

"""``memorywall study wall``: how often a cache must hit for a program not to be bound by DRAM."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from memorywall.app.cli._command import command
from memorywall.app.cli._figures import draw_into, figure_option, print_drawn
from memorywall.app.cli._options import quantity, shares
from memorywall.app.cli._shared import console, json_flag, print_json
from memorywall.core.errors import InvalidInputError
from memorywall.studies.wall import computation as study
from memorywall.studies.wall.figure import draw_wall
from memorywall.studies.wall.findings import Machine
from memorywall.studies.wall.record import wall_record
from memorywall.studies.wall.text import show_wall

_SCHEMA = "memorywall.study.wall/1"


@command("wall", "Learn", "Average access time over hit rate.")
@shares(
    "--hit", "hits", metavar="SHARE[,SHARE...]",
    help="Shares of accesses that the cache serves.  [default: 0.8,0.9,0.99,0.999]",
)  # fmt: skip
@quantity("--dram-latency", unit="s", metavar="TIME", help="DRAM latency of your machine: 95 ns.")
@quantity("--clock", unit="Hz", metavar="RATE", help="Clock of your machine: 3.7 GHz.")
@click.option(
    "--cache-cycles", type=float,
    help="Clock cycles of an access that the cache of your machine serves.  [default: 4]",
)  # fmt: skip
@figure_option()
@json_flag
def COMMAND(  # noqa: N802
    hits: list[float],
    dram_latency: float | None,
    clock: float | None,
    cache_cycles: float | None,
    figures: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Compute the argument of 1995 with today's latencies: average access time over hit rate.

    Wulf and McKee: with a share p of accesses in the cache, an average access takes
    p t_cache + (1 - p) t_DRAM. Below which hit rate is a program wholly bound by DRAM?

    \b
    Examples:
      memorywall study wall
      memorywall study wall --hit 0.8,0.95
      memorywall study wall --dram-latency 95ns --clock 3.7GHz --figure wall.svg
    """
    wall = study.compute_wall(hits or study.HITS, _yours(dram_latency, clock, cache_cycles))
    line = draw_into(figures, partial(draw_wall, wall))
    if as_json:
        print_json({"schema": _SCHEMA, **wall_record(wall)})
        return
    out = console()
    show_wall(wall, out)
    print_drawn(line, out)


def _yours(
    dram_latency: float | None, clock: float | None, cache_cycles: float | None
) -> list[Machine]:
    """Return the machine that the options describe, if they do.

    Raises:
        InvalidInputError: only some of them are given.
    """
    if dram_latency is None and clock is None:
        if cache_cycles is not None:
            raise InvalidInputError(
                "--cache-cycles requires --dram-latency and --clock.",
                "Such as: --dram-latency 95ns --clock 3.7GHz",
            )
        return []
    if dram_latency is None or clock is None:
        raise InvalidInputError(
            "--dram-latency and --clock require each other, and one is missing.",
            "Such as: --dram-latency 95ns --clock 3.7GHz",
        )
    cycles = 4.0 if cache_cycles is None else cache_cycles
    return [study.your_machine(1e9 * dram_latency, 1e-9 * clock, cycles)]

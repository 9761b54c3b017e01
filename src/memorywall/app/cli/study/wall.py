"""``memorywall study wall``: how often a cache must hit for a program not to be bound by DRAM."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from memorywall.app.cli._figures import draw_into, figure_option, print_drawn
from memorywall.app.cli._shared import console, json_flag, print_json
from memorywall.core.errors import InvalidInputError
from memorywall.studies.wall import computation as study
from memorywall.studies.wall.figure import draw_wall
from memorywall.studies.wall.findings import Machine
from memorywall.studies.wall.record import wall_record
from memorywall.studies.wall.text import show_wall

_SCHEMA = "memorywall.study.wall/1"


@click.command("wall", short_help="Average access time over hit rate.")
@click.option(
    "--hit", "hits", type=float, multiple=True, metavar="SHARE",
    help="Share of accesses in the cache; may be repeated.  [default: 0.8 0.9 0.99 0.999]",
)  # fmt: skip
@click.option("--dram-ns", type=float, help="DRAM latency of a machine of yours, ns.")
@click.option("--clock-ghz", type=float, help="Its clock, GHz.")
@click.option("--cache-cycles", type=float, default=4.0, show_default=True, help="Its cache.")
@figure_option()
@json_flag
def COMMAND(  # noqa: N802
    hits: tuple[float, ...],
    dram_ns: float | None,
    clock_ghz: float | None,
    cache_cycles: float,
    figures: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Compute the argument of 1995 with today's latencies: average access time over hit rate.

    Wulf and McKee: with a share p of accesses in the cache, an average access takes
    p t_cache + (1 - p) t_DRAM. Below which hit rate is a program wholly bound by DRAM?

    \b
    Examples:
      memorywall study wall
      memorywall study wall --hit 0.8 --hit 0.95
      memorywall study wall --dram-ns 95 --clock-ghz 3.7 --figure wall.svg
    """
    wall = study.compute_wall(hits or study.HITS, _yours(dram_ns, clock_ghz, cache_cycles))
    line = draw_into(figures, partial(draw_wall, wall))
    if as_json:
        print_json({"schema": _SCHEMA, **wall_record(wall)})
        return
    out = console()
    show_wall(wall, out)
    print_drawn(line, out)


def _yours(dram_ns: float | None, clock_ghz: float | None, cache: float) -> list[Machine]:
    if dram_ns is None and clock_ghz is None:
        return []
    if dram_ns is None or clock_ghz is None:
        raise InvalidInputError(
            "A machine of yours needs --dram-ns and --clock-ghz, and one is missing.",
            "Such as: --dram-ns 95 --clock-ghz 3.7",
        )
    return [study.your_machine(dram_ns, clock_ghz, cache)]

"""``memorywall trends``: how fast devices and models grow, and how sure that is."""

from __future__ import annotations

from pathlib import Path

import click

from memorywall.answer.fit_trends import trends
from memorywall.app.cli._figures import draw_into, figure_option, print_drawn
from memorywall.app.cli._shared import json_flag, print_json, terminal
from memorywall.report.growth_figure import draw_growths
from memorywall.report.growth_text import show_growths
from memorywall.studies.trends.computation import paper_figures
from memorywall.studies.trends.figure import PAPER_FIGURES
from memorywall.trends.selection import DTYPES, SEGMENTS

_SCHEMA = "memorywall.trends/1"


@click.command("trends", short_help="How fast devices and models grow.")
@click.argument("series", nargs=-1)
@click.option("--from", "since", type=int, metavar="YEAR", help="First year.")
@click.option("--to", "until", type=int, metavar="YEAR", help="Last year.")
@click.option(
    "--only", type=click.Choice(SEGMENTS), default="data-centre", show_default=True,
    help="Segment of devices.",
)  # fmt: skip
@click.option(
    "--dtype", type=click.Choice(DTYPES), default="fp16", show_default=True,
    help="Of peaks and ridge points.",
)  # fmt: skip
@click.option(
    "--ahead", type=int, default=2030, show_default=True, metavar="YEAR",
    help="Year up to which lines are followed.",
)  # fmt: skip
@figure_option()
@click.option(
    "--draw", type=click.Choice(("modern", *PAPER_FIGURES)), default="modern", show_default=True,
    help="What --figure draws: the series asked for, or a figure of the paper.",
)  # fmt: skip
@json_flag
def COMMAND(  # noqa: N802
    series: tuple[str, ...],
    since: int | None,
    until: int | None,
    only: str,
    dtype: str,
    ahead: int,
    figures: tuple[Path, ...],
    draw: str,
    as_json: bool,
) -> None:
    """Fit log-linear growth to SERIES, with intervals, influence, and a test for a change.

    SERIES are names, groups (today, derived, latency, paper, blog), or paths of CSVs of your own
    with columns date, value and perhaps name.  [default: today derived latency]

    \b
    Examples:
      memorywall trends
      memorywall trends bandwidth ridge --from 2012 --to 2026 --dtype fp8
      memorywall trends peak --only consumer --dtype fp32 --json
      memorywall trends paper --figure fig1.svg --draw fig1
      memorywall trends ./mine.csv --figure mine.png
    """
    growths = trends(series, since=since, until=until, only=only, dtype=dtype, to=ahead)
    line = draw_into(
        figures,
        lambda: draw_growths(growths) if draw == "modern" else PAPER_FIGURES[draw](paper_figures()),
    )
    if as_json:
        print_json({"schema": _SCHEMA, "fits": [growth.to_dict() for growth in growths]})
        return
    out = terminal()
    show_growths(growths, out)
    print_drawn(line, out)

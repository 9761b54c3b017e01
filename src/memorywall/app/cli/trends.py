"""``memorywall trends``: how fast devices and models grow, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memorywall.answer.fit_trends import trends
from memorywall.app.cli._command import command
from memorywall.app.cli._figures import draw_into, figure_option, print_drawn
from memorywall.app.cli._shared import json_flag, page, print_json
from memorywall.core.errors import InvalidInputError
from memorywall.core.growth import FittedTrends, Growth
from memorywall.core.records import to_record
from memorywall.report.growth_figure import draw_growths
from memorywall.report.growth_text import show_growths
from memorywall.studies.trends.computation import paper_figures
from memorywall.studies.trends.figure import PAPER_FIGURES
from memorywall.trends.selection import DTYPES, SEGMENTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MODERN = "modern"

_HELP = """Fit log-linear growth to SERIES, with intervals, influence, and a test for a change.

SERIES are names, groups (today, derived, latency, paper, blog), or paths of CSVs with columns
date, value and optionally name.  [default: today derived latency]

\b
Examples:
  memorywall trends
  memorywall trends bandwidth ridge --from 2012 --to 2026 --dtype fp8
  memorywall trends peak --only consumer --dtype fp32 --json
  memorywall trends paper --figure fig1.svg --draw fig1
  memorywall trends ./mine.csv --figure mine.png
"""


@command("trends", "Learn", "How fast devices and models grow.", _HELP)
@click.argument("series", nargs=-1)
@click.option("--from", "since", type=int, metavar="YEAR", help="First year.")
@click.option("--to", "until", type=int, metavar="YEAR", help="Last year.")
@click.option(
    "--only", type=click.Choice(SEGMENTS),
    help="Segment of devices.  [default: data-centre]",
)  # fmt: skip
@click.option(
    "--dtype", type=click.Choice(DTYPES), help="Of peaks and ridge points.  [default: fp16]",
)  # fmt: skip
@click.option(
    "--ahead", type=int, default=2030, show_default=True, metavar="YEAR",
    help="Year up to which lines are followed.",
)  # fmt: skip
@figure_option()
@click.option(
    "--draw", type=click.Choice((_MODERN, *PAPER_FIGURES)),
    help="Content of --figure: the selected series, or a figure of the paper.  [default: modern]",
)  # fmt: skip
@json_flag
def COMMAND(  # noqa: N802
    series: tuple[str, ...],
    since: int | None,
    until: int | None,
    only: str | None,
    dtype: str | None,
    ahead: int,
    figures: tuple[Path, ...],
    draw: str | None,
    as_json: bool,
) -> None:
    if draw is not None and not figures:
        raise InvalidInputError("--draw requires --figure.", "Add --figure trends.svg.")
    growths = trends(series, since=since, until=until, only=only, dtype=dtype, to=ahead)
    line = draw_into(
        figures,
        partial(_draw, growths, draw),
    )
    if as_json:
        print_json(to_record(FittedTrends(tuple(growths))))
        return
    out = page()
    show_growths(growths, out)
    print_drawn(line, out)


def _draw(growths: Sequence[Growth], figure: str | None) -> Figure:
    """Draw the series that were asked for, or a figure of the paper."""
    if figure is None or figure == _MODERN:
        return draw_growths(growths)
    return PAPER_FIGURES[figure](paper_figures())

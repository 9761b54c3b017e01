"""The study of trends as text and as a record: printed, recomputed and refitted side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console

from memorywall.core.growth import IntervalCoverage
from memorywall.core.units import render_number
from memorywall.report.growth_text import rate, show_coverage, times
from memorywall.report.table import columns
from memorywall.studies.trends.findings import Refit


def show_study(
    rows: Sequence[Refit],
    tested: Sequence[IntervalCoverage],
    peculiar: Sequence[str],
    console: Console,
) -> None:
    """Print every printed rate beside its fit and its like of today, then what is peculiar."""
    console.print(verdict(rows), style="bold", soft_wrap=True)
    console.print()
    table = columns(
        ("series", "points of", "n", "years", "printed", "x per 2 years", "95 %", "printed",
         "x per 20 years", "without", "x per 2 years"),
        words=2,
    )  # fmt: skip
    table.columns[9].justify = "left"
    for _, group in groupby(rows, lambda row: row.series):
        for row in group:
            table.add_row(*_row(row))
        table.add_section()
    console.print(table)
    console.print()
    console.print("Where the paper's definitions are peculiar:")
    for text in peculiar:
        console.print(f"  - {text}", soft_wrap=True)
    console.print(
        "today: dense fp16 peak, memory bandwidth, fastest link one way in byte/s, and capacity of "
        "data-centre devices; parameters and training compute of the largest language models.\n",
        style="dim", soft_wrap=True,
    )  # fmt: skip
    show_coverage(tested, console)


def verdict(rows: Sequence[Refit]) -> str:
    """Return the sentence that a person reads first."""
    off = {row: row.growth.per_2_years.middle / row.published - 1 for row in rows if row.published}
    worst = max(off, key=lambda row: abs(off[row]))
    continued = [row for row in rows if row.source == "paper continued"][:3]
    today = {row.series: row for row in rows if row.source == "today"}
    fits = ", ".join(
        f"{row.series} {render_number(row.growth.per_2_years.middle)}x" for row in continued
    )
    return (
        f"All {len(off)} printed rates follow from the points that were drawn, "
        f"{_worst(worst, off)}. The paper's series continued to 2026 grow {fits} every two years; "
        "by one definition throughout, fp16 peaks of data-centre devices grow "
        f"{render_number(today['flops'].growth.per_2_years.middle)}x and their bandwidth "
        f"{render_number(today['dram'].growth.per_2_years.middle)}x."
    )


def _worst(row: Refit, off: dict[Refit, float]) -> str:
    middle, published = row.growth.per_2_years.middle, row.published
    return (
        f"the farthest {row.series} of the {row.source}: {middle:.4g}x printed as {published:g}x "
        f"({off[row]:+.0%})"
    )


def _row(row: Refit) -> tuple[str, ...]:
    growth = row.growth
    years = sorted(point.date.year for point in growth.series.points)
    point, without = growth.most_influential
    return (
        row.series,
        row.source,
        str(len(growth.series.points)),
        f"{years[0]}-{years[-1]}",
        "" if row.published is None else f"{row.published:g}x",
        render_number(growth.per_2_years.middle, 5),
        rate(growth.per_2_years),
        "" if row.published_20 is None else f"{row.published_20:,.0f}x",
        times(growth.per_20_years.middle, 4),
        point.name or point.date.isoformat(),
        render_number(without),
    )

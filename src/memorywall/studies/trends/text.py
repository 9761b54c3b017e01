"""The study of trends as text: printed, recomputed and refitted side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from memorywall.core.units import render_number
from memorywall.report.growth_text import rate, show_coverage, times
from memorywall.report.wide_table import print_table
from memorywall.studies.trends.findings import Refit, RefittedTrends


def show_study(found: RefittedTrends, console: Console) -> None:
    """Print every printed rate beside its fit and its like of today, then what is peculiar."""
    console.print(verdict(found.refits), style="bold")
    console.print()
    titles = (
        "series", "points of", "n", "years", "printed", "x per 2 years", "95 %", "printed",
        "x per 20 years", "without", "x per 2 years",
    )  # fmt: skip
    rows: list[tuple[str, ...] | None] = []
    for _, group in groupby(found.refits, lambda row: row.series):
        rows += [*(None for _ in rows[:1]), *(_row(row) for row in group)]
    print_table(console, titles, rows, keys=2, words=(0, 1, 9))
    console.print()
    console.print("Where the paper's definitions are peculiar:")
    for text in found.peculiarities:
        console.print(Padding(Text(f"- {text}"), (0, 0, 0, 2)))
    console.print(
        "today: dense fp16 peak, memory bandwidth, fastest link one way in byte/s, and capacity of "
        "data-centre devices; parameters and training compute of the largest language models.\n",
        style="dim",
    )
    show_coverage(found.tested, console)


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

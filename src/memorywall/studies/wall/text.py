"""The argument of 1995 as text, as a record and as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from memorywall.core.units import render, render_number
from memorywall.report.table import columns
from memorywall.studies.wall.findings import Machine, Wall, average_cycles, dated_name

if TYPE_CHECKING:
    pass


def show_wall(wall: Wall, console: Console) -> None:
    """Print the argument, with the figures of each machine."""
    console.print(verdict(wall), style="bold", soft_wrap=True)
    console.print()
    titles = [f"at {hit:.4g} hits" for hit in wall.hits]
    table = columns(
        ("processor", "clock", "cache", "DRAM", "DRAM", *titles, "hits needed", "hits of 1995")
    )
    for machine in wall.machines:
        table.add_row(*_row(wall, machine))
    console.print(table)
    console.print(
        "Cycles of an average access, t = p t_cache + (1 - p) t_DRAM. hits needed: below it the "
        "misses alone fill the time, one access a cycle, (1 - p) t_DRAM > 1: at 0.8 beyond 5 "
        "cycles. hits of 1995: below it an average access takes more than five cycles, where one "
        "instruction in five touches memory. Loads wait one after the other: prefetching and "
        "several loads at once, which real processors do, are left out.\n",
        style="dim", soft_wrap=True,
    )  # fmt: skip
    _show_projection(wall, console)
    for growth in wall.growths:
        per_2_years, ahead = growth.per_2_years, growth.series.title
        console.print(
            f"{ahead}: {render_number(per_2_years.middle, 4)}x every 2 years "
            f"({render_number(per_2_years.low)} to {render_number(per_2_years.high)}), "
            f"{len(growth.series.points)} points; {growth.series.definition} "
            f"[{growth.series.source}]",
            soft_wrap=True,
        )


def verdict(wall: Wall) -> str:
    """Return the sentence that a person reads first."""
    last = wall.machines[-1]
    needed, _ = wall.needed[last.name]
    latency, pin = wall.growths[:2]
    return (
        "With 80 % of accesses in the cache a program is wholly bound by DRAM once a fetch takes "
        f"more than 5 cycles; on {dated_name(last)} it takes {last.dram_cycles:.0f}, and hit rates "
        f"up to {needed:.2%} are so bound. A DRAM's row cycle shrank to "
        f"{latency.per_2_years.middle:.3f}x every two years while a pin's rate grew "
        f"{pin.per_2_years.middle:.2f}x: bandwidth can be bought, latency hardly."
    )


def _show_projection(wall: Wall, console: Console) -> None:
    console.print(
        f"The note of 1995 (99 % hits, a miss of 4 cycles, processors 80 % faster a year and DRAM "
        f"7 %) saw the wall in {wall.walled:.0f}:"
    )
    table = columns(("year", "DRAM foreseen", "average foreseen", "printed"))
    for year, (dram, average, printed) in wall.projected.items():
        table.add_row(
            str(year), f"{render_number(dram)} cycles", f"{average:.4g} cycles",
            "" if printed is None else f"{printed:g}",
        )  # fmt: skip
    console.print(table)
    console.print(
        "Clocks stopped growing about 2004: DRAM is some hundred cycles away and not thousands.\n",
        style="dim",
    )


def _row(wall: Wall, machine: Machine) -> tuple[str, ...]:
    needed, of_1995 = wall.needed[machine.name]
    return (
        dated_name(machine),
        render(machine.clock_hz, "Hz"),
        f"{machine.cache_cycles:g} cycles",
        render(machine.dram_s, "s"),
        f"{machine.dram_cycles:.0f} cycles",
        *(f"{average_cycles(wall, machine, hit):.4g}" for hit in wall.hits),
        f"{needed:.2%}",
        f"{of_1995:.2%}",
    )

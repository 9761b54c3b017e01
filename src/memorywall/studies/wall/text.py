"""The argument of 1995 as text."""

from __future__ import annotations

from rich.console import Console

from memorywall.core.units import render, render_number
from memorywall.report.wide_table import print_table
from memorywall.studies.wall.findings import MachineAtWall, Wall, dated_name


def show_wall(wall: Wall, console: Console) -> None:
    """Print the argument, with the figures of each machine."""
    console.print(verdict(wall), style="bold")
    console.print()
    titles = [f"at {hit:.4g} hits" for hit in wall.hits]
    print_table(
        console,
        ("processor", "clock", "cache", "DRAM", "DRAM", *titles, "hits needed", "hits of 1995"),
        [_row(one) for one in wall.machines],
    )
    console.print(
        "Cycles of an average access, t = p t_cache + (1 - p) t_DRAM. hits needed: below it the "
        "misses alone fill the time, one access a cycle, (1 - p) t_DRAM > 1: at 0.8 beyond 5 "
        "cycles. hits of 1995: below it an average access takes more than five cycles, where one "
        "instruction in five touches memory. Loads wait one after the other: prefetching and "
        "several loads at once, which real processors do, are left out.\n",
        style="dim",
    )
    _show_projection(wall, console)
    for growth in wall.growths:
        per_2_years, ahead = growth.per_2_years, growth.series.title
        console.print(
            f"{ahead}: {render_number(per_2_years.middle, 4)}x every 2 years "
            f"({render_number(per_2_years.low)} to {render_number(per_2_years.high)}), "
            f"{len(growth.series.points)} points; {growth.series.definition} "
            f"[{growth.series.source}]"
        )


def verdict(wall: Wall) -> str:
    """Return the sentence that a person reads first."""
    one = wall.machines[-1]
    last, needed = one.machine, one.hit_needed
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
    rows = [
        (
            str(one.year),
            f"{render_number(one.dram_cycles)} cycles",
            f"{one.average_access_cycles:.4g} cycles",
            "" if one.published is None else f"{one.published:g}",
        )
        for one in wall.projected
    ]
    print_table(console, ("year", "DRAM foreseen", "average foreseen", "printed"), rows)
    console.print(
        "Clocks stopped growing about 2004: DRAM is some hundred cycles away and not thousands.\n",
        style="dim",
    )


def _row(one: MachineAtWall) -> tuple[str, ...]:
    machine = one.machine
    return (
        dated_name(machine),
        render(machine.clock_hz, "Hz"),
        f"{machine.cache_cycles:g} cycles",
        render(machine.dram_s, "s"),
        f"{machine.dram_cycles:.0f} cycles",
        *(f"{cycles:.4g}" for cycles in one.average_access_cycles.values()),
        f"{one.hit_needed:.2%}",
        f"{one.hit_of_1995:.2%}",
    )

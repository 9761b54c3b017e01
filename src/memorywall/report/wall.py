"""The argument of 1995 as text, as a record and as a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from memorywall.core.numbers import Number
from memorywall.core.trend_studies import Machine
from memorywall.core.trends import Growth
from memorywall.core.units import render, render_number
from memorywall.report.figures import LOOK, STYLES, load_matplotlib
from memorywall.report.table import columns
from memorywall.report.trends import growth_record

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Wall:
    """What the study found.

    Attributes:
        machines: processors, by date.
        hits: hit rates that are asked for.
        average: cycles of an average access of a hit rate, cache and DRAM latency.
        needed: hit rate that each machine needs, by the paper's reading and by that of 1995.
        projected: by year what 1995 foresaw (DRAM cycles, average access) and what it printed.
        walled: the year in which 1995 saw the wall.
        growths: latency and rate of DRAM.
    """

    machines: Sequence[Machine]
    hits: Sequence[float]
    average: Callable[[Number, Number, Number], Number]
    needed: Mapping[str, tuple[float, float]]
    projected: Mapping[int, tuple[float, float, float | None]]
    walled: float
    growths: Sequence[Growth]


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


def wall_record(wall: Wall) -> dict[str, Any]:
    """Return the study as plain values."""
    return {
        "machines": [
            {
                "name": machine.name,
                "date": machine.date,
                "clock_hz": machine.clock_hz,
                "cache_cycles": machine.cache_cycles,
                "dram_s": machine.dram_s,
                "dram_cycles": machine.dram_cycles,
                "average_access_cycles": {
                    f"{hit:.4g}": _average(wall, machine, hit) for hit in wall.hits
                },
                "hit_needed": wall.needed[machine.name][0],
                "hit_of_1995": wall.needed[machine.name][1],
            }
            for machine in wall.machines
        ],
        "projected_in_1995": [
            {
                "year": year,
                "dram_cycles": dram,
                "average_access_cycles": average,
                "published": printed,
            }
            for year, (dram, average, printed) in wall.projected.items()
        ],
        "wall_of_1995": wall.walled,
        "fits": [growth_record(growth) for growth in wall.growths],
    }


def verdict(wall: Wall) -> str:
    """Return the sentence that a person reads first."""
    last = wall.machines[-1]
    needed, _ = wall.needed[last.name]
    latency, pin = wall.growths[:2]
    return (
        "With 80 % of accesses in the cache a program is wholly bound by DRAM once a fetch takes "
        f"more than 5 cycles; on {_named(last)} it takes {last.dram_cycles:.0f}, and hit rates up "
        f"to {needed:.2%} are so bound. A DRAM's row cycle shrank to "
        f"{latency.per_2_years.middle:.3f}x every two years while a pin's rate grew "
        f"{pin.per_2_years.middle:.2f}x: bandwidth can be bought, latency hardly."
    )


def draw_wall(wall: Wall) -> Figure:
    """Draw the average access over the miss rate, a curve a machine.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    matplotlib = load_matplotlib()
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    hits = 1 - np.geomspace(1e-4, 1, 200)
    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=(7.2, 4.6), layout="constrained")
        axes = figure.subplots()
        for machine, (color, _) in zip(wall.machines[-4:], STYLES, strict=False):
            cycles = wall.average(hits, machine.cache_cycles, machine.dram_cycles)
            axes.plot(1 - hits, cycles, color=color, label=f"{_named(machine)}, {_dram(machine)}")
        axes.axhline(5, color="#555555", linestyle="--", lw=1.2)
        axes.annotate("the wall of 1995: 5 cycles", (1.1e-4, 5.4), fontsize=8.5, color="#555555")
        axes.axvline(0.2, color="#555555", linestyle=":", lw=1.2)
        axes.annotate("80 % hits", (0.19, 1.2), fontsize=8.5, color="#555555", ha="right")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(1e-4, 1)
        axes.set_ylim(1, 1000)
        axes.set_xlabel("share of accesses that miss the cache")
        axes.set_ylabel("average access, cycles")
        axes.legend(frameon=False, loc="upper left")
    return figure


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
        _named(machine),
        render(machine.clock_hz, "Hz"),
        f"{machine.cache_cycles:g} cycles",
        render(machine.dram_s, "s"),
        f"{machine.dram_cycles:.0f} cycles",
        *(f"{_average(wall, machine, hit):.4g}" for hit in wall.hits),
        f"{needed:.2%}",
        f"{of_1995:.2%}",
    )


def _average(wall: Wall, machine: Machine, hit: float) -> float:
    return float(wall.average(hit, machine.cache_cycles, machine.dram_cycles))


def _named(machine: Machine) -> str:
    return f"{machine.name} ({machine.date[:4]})" if machine.date else machine.name


def _dram(machine: Machine) -> str:
    return f"DRAM {machine.dram_cycles:.0f} cycles"

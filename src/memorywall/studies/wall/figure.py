"""The study of the wall as a picture: the average access over the miss rate, a curve a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memorywall.report.figures import LOOK, STYLES, load_matplotlib
from memorywall.studies.wall.computation import average_access
from memorywall.studies.wall.findings import Machine, Wall, dated_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
        for one, (color, _) in zip(wall.machines[-4:], STYLES, strict=False):
            machine = one.machine
            cycles = average_access(hits, machine.cache_cycles, machine.dram_cycles)
            axes.plot(
                1 - hits,
                cycles,
                color=color,
                label=f"{dated_name(machine)}, {_dram(machine)}",
            )
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


def _dram(machine: Machine) -> str:
    return f"DRAM {machine.dram_cycles:.0f} cycles"

"""A picture of training memory over time: one model's storages, role by role."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from textwrap import shorten
from typing import TYPE_CHECKING

from memorywall.core.training import STORAGE_ROLES, StorageRole, TrainingMemory
from memorywall.report.figures import LOOK, load_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROLES: dict[StorageRole, str] = {
    "weights": "#0072B2", "buffers": "#444444", "inputs": "#999999",
    "optimizer_states": "#E69F00", "gradients": "#D55E00", "activations": "#009E73",
    "temporaries": "#CCCCCC",
}  # fmt: skip
_HOW = ("optimizer", "autocast", "checkpointing")  # of the conventions, in a title
_VISIBLE = 0.002  # of the peak: less would be a hair
_NARROW = 0.07  # of the steps: a phase's name would not fit in less
_HAIR = 0.004  # of the steps: two pixels of a picture 600 wide
_LONGEST = 110  # characters of a line of the title
_TIP = 7  # matplotlib's triangle whose tip is at the point
_FAR = 3  # times the peak: a line there would flatten the picture
_POINTS = 1200  # of a timeline; a picture is no wider


def draw_timeline(memory: TrainingMemory, capacities: Sequence[tuple[str, float]] = ()) -> Figure:
    """Draw the live arrays at every moment of the steps, by role, and mark the peak.

    Args:
        memory: of the steps.
        capacities: of devices, by name: byte.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    with load_matplotlib().rc_context({**LOOK, "axes.grid.axis": "y"}):
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

        figure = Figure(figsize=(8.0, 4.6), layout="constrained")
        axes = figure.subplots()
        line = memory.timeline
        times = line.thinned(_POINTS)
        axes.set_axisbelow(True)
        unit, name = _unit(memory.peak_bytes)
        least = memory.peak_bytes * _VISIBLE
        roles = [role for role in STORAGE_ROLES if line.live_bytes[role].max() > least]
        axes.stackplot(
            times, [line.live_bytes[role][times] / unit for role in roles], labels=_words(roles),
            colors=[_ROLES[role] for role in roles], step="post", linewidth=0,
        )  # fmt: skip
        _mark_phases(axes, memory)
        _draw_peak(axes, memory, roles, unit, _HAIR * times[-1])
        axes.plot(line.peak, memory.peak_bytes / unit, "k", marker=_TIP, zorder=4)
        axes.annotate(
            f"peak {memory.peak_bytes / unit:.3g} {name}", (line.peak, memory.peak_bytes / unit),
            xytext=(0, 7), textcoords="offset points", fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            ha="right" if line.peak > times[-1] / 2 else "left",
        )  # fmt: skip
        axes.set_xlim(0, times[-1])
        axes.set_ylim(0, memory.peak_bytes / unit * 1.15)
        far = _draw_capacities(axes, memory, capacities, unit)
        run = f"operators run, steps: {memory.conventions.get('steps', '1')}"
        axes.set_xlabel("; ".join((run, *far)))
        axes.set_ylabel(name)
        axes.set_title(
            f"{memory.model}: what training keeps", loc="left", fontweight="bold", pad=30
        )
        axes.text(0, 1.015, _subtitle(memory), transform=axes.transAxes, fontsize=8, va="bottom")
        figure.legend(loc="outside lower center", ncols=len(roles), frameon=False, fontsize=8)
    return figure


def _draw_capacities(
    axes: Axes, memory: TrainingMemory, capacities: Sequence[tuple[str, float]], unit: float
) -> list[str]:
    """Draw a line at the memory of each device, and return texts for those far above the peak."""
    far = []
    for device, capacity in capacities:
        times = capacity / memory.peak_bytes
        if times > _FAR:
            far.append(f"memory of {device}: {times:.0f} times the peak")
            continue
        axes.set_ylim(0, max(axes.get_ylim()[1], 1.3 * capacity / unit))  # below the phases
        axes.axhline(capacity / unit, color="#555555", lw=1.2, ls="--", zorder=5)
        axes.annotate(
            f"memory of {device}", (1, capacity / unit), (-4, 3), fontsize=8, color="#555555",
            xycoords=("axes fraction", "data"), textcoords="offset points", ha="right", zorder=5,
        )  # fmt: skip
    return far


def _subtitle(memory: TrainingMemory) -> str:
    """Return how the steps were run, and where the peak is, in two lines."""
    said, moment = memory.conventions, memory.peak_moment
    how = ", ".join(
        (
            *memory.inputs,
            *(f"{name} {said[name]}" for name in _HOW if name in said),
        )
    )
    where = moment.module or "the model itself"
    peak = f"peak in the {moment.phase} phase, at {moment.operator} in {where}"
    return f"{shorten(how, _LONGEST, placeholder=' ...')}\n{shorten(peak, _LONGEST)}"


def _draw_peak(
    axes: Axes, memory: TrainingMemory, roles: Sequence[StorageRole], unit: float, width: float
) -> None:
    """Draw the live arrays at the peak as a bar, since one operator would not be visible."""
    bottom = 0.0
    for role in roles:
        height = memory.at_peak[role] / unit
        axes.bar(
            memory.timeline.peak, height, width, bottom, color=_ROLES[role], linewidth=0, zorder=3
        )
        bottom += height


def _mark_phases(axes: Axes, memory: TrainingMemory) -> None:
    """Write every phase's name over its stretch, and draw a line where it begins."""
    moments = memory.timeline.moments
    for phase, group in groupby(range(len(moments)), lambda time: moments[time].phase):
        stretch = list(group)
        if phase == "setup" or len(stretch) < len(moments) / 50:
            continue
        axes.axvline(stretch[0], color="black", lw=0.6, alpha=0.5)
        upright = len(stretch) < _NARROW * len(moments)
        axes.annotate(
            phase, ((stretch[0] + stretch[-1]) / 2, 0.985), xycoords=("data", "axes fraction"),
            ha="center", va="top", fontsize=8, rotation=90 if upright else 0,
        )  # fmt: skip


def _unit(nbytes: int) -> tuple[float, str]:
    scale = next(step for step in (1e9, 1e6, 1e3, 1.0) if nbytes >= step or step == 1.0)
    return scale, {1e9: "GB", 1e6: "MB", 1e3: "kB", 1.0: "B"}[scale]


def _words(roles: Sequence[StorageRole]) -> list[str]:
    return [role.replace("_", " ") for role in roles]

"""The share of a data sheet's bound that public runs reached, a row a device."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from memorywall.report.figures import LOOK, STYLES, load_matplotlib
from memorywall.studies.cases.findings import Cases

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_cases(cases: Cases) -> Figure:
    """Draw the attained share of every rate and time, by device and phase.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    matplotlib = load_matplotlib()
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    shares: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    for one in cases.bounds():
        if one.attained is not None and not one.case.quantity.startswith("footprint."):
            phase = one.case.words.get("phase", "")
            shares[phase].append((one.case.device, one.attained))
    devices = sorted({device for points in shares.values() for device, _ in points}, reverse=True)
    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=(7.2, 1.2 + 0.24 * len(devices)), layout="constrained")
        axes = figure.subplots()
        for (phase, points), (color, _) in zip(shares.items(), STYLES, strict=False):
            axes.scatter(
                [share for _, share in points],
                [devices.index(device) for device, _ in points],
                color=color,
                s=22,
                label=phase,
            )
        axes.axvline(1, color="#555555", linestyle="--", lw=1.2)
        axes.set_yticks(range(len(devices)), devices)
        axes.set_xlim(0, 1.1)
        axes.set_xlabel("share of the data sheet's bound that the run reached")
        if shares:
            axes.legend(frameon=False, loc="upper left")
    return figure

"""Pictures, drawn by matplotlib (the extra ``figures``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memorywall.bench.profiles import Profile, ProfiledCase
from memorywall.core.errors import InvalidInputError, MissingDependencyError, shown
from memorywall.core.files import check_place, replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png", ".pdf")

# Okabe and Ito's colours, distinct for colour-blind readers; shapes are distinct in grey.
STYLES = (("#0072B2", "o"), ("#E69F00", "s"), ("#D55E00", "^"), ("#009E73", "D"))
LOOK = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "svg.fonttype": "none",
    "svg.hashsalt": "memorywall",
    "pdf.fonttype": 42,
}


def draw_roofline(found: Profile) -> Figure:
    """Draw a profile's operators under the machine's measured roofs.

    A sloped roof for every memory level, a flat one for every dtype that was run; each class of
    operators of each case where it was predicted (hollow) and where it was measured (filled).

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    matplotlib = load_matplotlib()
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    dtypes = list(dict.fromkeys(case.dtype for case in found.cases))
    peaks = {dtype: found.roofs.flop_per_s[dtype] for dtype in dtypes}
    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=(7.2, 5.0), layout="constrained")
        axes = figure.subplots()
        for (color, marker), kind in zip(
            STYLES, ("gemm", "attention", "elementwise"), strict=False
        ):
            for case in found.cases:
                _draw_point(axes, case, kind, color, marker)
            axes.plot([], [], color=color, marker=marker, linestyle="none", label=kind)
        low, high = (1e-2, 1e4)
        for level, bandwidth in found.roofs.byte_per_s.items():
            ridge = max(peaks.values()) / bandwidth
            axes.plot([low, ridge], [low * bandwidth, ridge * bandwidth], color="#555555", lw=1)
            axes.annotate(
                f"{level} {bandwidth / 1e9:.0f} GB/s", (low * 1.3, low * 1.45 * bandwidth),
                rotation=33, rotation_mode="anchor", fontsize=8, color="#555555",
            )  # fmt: skip
        for dtype, peak in peaks.items():
            axes.axhline(peak, color="#555555", lw=1, linestyle="--")
            axes.annotate(
                f"{dtype} {peak / 1e9:.0f} GFLOP/s", (high, peak * 1.1), ha="right", fontsize=8,
                color="#555555",
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(low, high)
        axes.set_xlabel("FLOP per byte moved")
        axes.set_ylabel("FLOP/s")
        axes.set_title(f"{found.model} on {found.hardware}", loc="left", fontsize=10)
        axes.legend(loc="lower right", frameon=False, title="hollow predicted, filled measured")
    return figure


def _draw_point(axes: Axes, case: ProfiledCase, kind: str, color: str, marker: str) -> None:
    flops, moved = case.work_by_class.get(kind, (0.0, 0.0))
    sides = ((case.predicted_by_class, "white"), (case.measured_by_class, color))
    for by_class, face in sides:
        seconds = by_class.get(kind)
        if flops and moved and seconds:
            axes.plot(
                flops / moved, flops / seconds, color=color, marker=marker, markerfacecolor=face,
                linestyle="none",
            )  # fmt: skip


def save(figure: Figure, path: Path) -> Path:
    """Write a figure atomically in the format of the path's suffix, and return the path.

    Raises:
        InvalidInputError: another suffix, or a place that cannot be written.
    """
    suffix = _suffix(path)
    matplotlib = load_matplotlib()
    metadata: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(
        suffix, {}
    )
    with _writing(path), matplotlib.rc_context(LOOK), replacing(path) as beside:
        figure.savefig(beside, format=suffix[1:], dpi=200, metadata=metadata)
    return path


def check_figure(path: Path) -> None:
    """Check that a figure can be drawn into a path, before the work that it shows.

    Raises:
        InvalidInputError: a suffix that is not known, or a place that cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    _suffix(path)
    load_matplotlib()
    with _writing(path):
        check_place(path)


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InvalidInputError(
            f"{path}: cannot draw a {shown(path.suffix)}.", f"Use one of {', '.join(SUFFIXES)}."
        )
    return suffix


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidInputError(
            f"{path} cannot be written: {error.strerror}.", "Give another place: --figure."
        ) from None


def load_matplotlib() -> Any:
    """Return matplotlib, or say how to install it."""
    try:
        import matplotlib  # noqa: ICN001, PLC0415 - an extra, imported where it is used
    except ImportError:
        raise MissingDependencyError("matplotlib", "figures", "drawing") from None
    return matplotlib

"""The series of the paper and of its 2021 blog, as drawn, and the paper's continued to 2026."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date

from memorywall.catalog.trends import datasets, read
from memorywall.core.growth import Point, Series
from memorywall.trends import device_series, model_series
from memorywall.trends.selection import Selection

_HARDWARE = {
    "flops": (
        "peak arithmetic",
        "peak over that of the R10000; fp32 to 2016, then fp16 or bf16 of tensor units",
    ),
    "dram": ("memory bandwidth", "of a whole card or chip, over that of GDDR3"),
    "interconnect": (
        "interconnect",
        "signalling rate of one lane in one direction over that of PCIe 1.0a, not GB/s of a device",
    ),
}
_SIZES = {
    "transformer": (
        "transformer-size",
        "parameters of Transformers",
        "the ten red marks; recommendation and vision models are in no fit",
    ),
    "accelerator": (
        "accelerator-memory",
        "memory of one accelerator",
        "GB divided by 6, the paper's bound for what it can train, in billions of parameters",
    ),
    "cv": ("vision-size", "parameters of vision models", "the five marks before 2017"),
    "recsys": ("recommender-size", "parameters of recommenders", "drawn, and in no fit"),
}
_UNFITTED = ("vision-size", "recommender-size")


@dataclass(frozen=True, slots=True)
class Printed:
    """A printed fit: growth per two years, and per twenty if printed."""

    per_2_years: float
    per_20_years: float | None = None


_FIRST_LANE = 2.5e9  # PCIe 1.0a, bit/s

# The paper: Figs 1, 2a and 2b. The blog: its text and figures of 2021.
PRINTED = {
    "paper-flops": Printed(3.0, 60_000),
    "paper-dram": Printed(1.6, 100),
    "paper-interconnect": Printed(1.4, 30),
    "paper-transformer-size": Printed(410),
    "paper-accelerator-memory": Printed(2),
    "paper-training-compute": Printed(750),
    "blog-flops": Printed(3.1, 90_000),
    "blog-dram": Printed(1.4, 30),
    "blog-interconnect": Printed(1.4, 30),
    "blog-transformer-size": Printed(240),
    "blog-accelerator-memory": Printed(2),
    "blog-training-compute": Printed(15),
}


def tables() -> dict[str, Callable[[Selection], Series]]:
    """Return every series of the paper and the blog by its name."""
    found: dict[str, Callable[[Selection], Series]] = {}
    for book in ("paper", "blog"):
        for key in _HARDWARE:
            found[f"{book}-{key}"] = _builder(_hardware, book, key)
        for key, (name, _, _) in _SIZES.items():
            found[f"{book}-{name}"] = _builder(_sizes, book, key)
        found[f"{book}-training-compute"] = _builder(_compute, book, "")
    for name in (*_HARDWARE, *(name for name, _, _ in _SIZES.values()), "training-compute"):
        if name not in _UNFITTED:
            found[f"continued-{name}"] = _builder(_continued, name, "")
    return {**found, "paper-other-compute": _other_compute, "lane-rate": _lane_rate}


def _builder(
    build: Callable[[str, str], Series], first: str, second: str
) -> Callable[[Selection], Series]:
    return lambda _: build(first, second)


def _hardware(book: str, key: str) -> Series:
    title, definition = _HARDWARE[key]
    points = (
        _point(row, "normalised", row.get("label") or row.get("identified", ""))
        for row in read(f"{book}_hardware")
        if row["series"] == key
    )
    if book == "blog" and key == "dram":
        definition = "rate by pin over that of DDR in 1998"
    return _series(
        f"{book}-{key}", title, "times the first", definition, f"{book}_hardware", points
    )


def _sizes(book: str, key: str) -> Series:
    name, title, definition = _SIZES[key]
    rows: Iterable[Mapping[str, str]] = read(f"{book}_sizes")
    if key == "accelerator" and book == "blog":  # the file of the blog has no such rows
        rows = [row for row in read("paper_sizes") if row["series"] == key][:6]
    points = (
        _point(row, "billion_parameters", row["name"]) for row in rows if row["series"] == key
    )
    unit = "billion parameters"
    return _series(f"{book}-{name}", title, unit, definition, f"{book}_sizes", points)


def _compute(book: str, _: str) -> Series:
    definition = "the ten marks of Transformers" if book == "paper" else "all 21 models"
    points = (
        _point(row, "petaflop", row["name"])
        for row in read("paper_compute")
        if book == "blog" or row["transformer"] == "yes"
    )
    name = f"{book}-training-compute"
    return _series(name, "training compute", "PFLOP", definition, "paper_compute", points)


def _other_compute(_: Selection) -> Series:
    points = (
        _point(row, "petaflop", row["name"])
        for row in read("paper_compute")
        if row["transformer"] == "no"
    )
    definition = "the eleven marks other than Transformers, in no fit of the paper"
    name = "paper-other-compute"
    return _series(name, "training compute", "PFLOP", definition, "paper_compute", points)


def _continued(name: str, _: str) -> Series:
    """Return a series of the paper, then later points, scaled to its unit."""
    paper = tables()[f"paper-{name}"](Selection())
    later, unit = _later(name)
    last = max(point.date for point in paper.points)
    more = tuple(
        replace(point, value=point.value / unit) for point in later.points if point.date > last
    )
    return replace(
        paper,
        name=f"continued-{name}",
        definition=f"{paper.definition}; after {last}: {later.definition}",
        source=f"{paper.source}; {later.source}",
        points=(*paper.points, *more),
    )


def _later(name: str) -> tuple[Series, float]:
    """Return the current series of the paper's kind, and the paper's unit in its unit."""
    today = Selection()
    return {
        "flops": lambda: (device_series.tables()["peak"](today), 0.339e9),
        "dram": lambda: (device_series.tables()["bandwidth"](today), 15.2e9),
        "interconnect": lambda: (_lanes(), _FIRST_LANE),
        "transformer-size": lambda: (model_series.tables()["parameters"](today), 1e9),
        "accelerator-memory": lambda: (device_series.tables()["capacity"](today), 6e9),
        "training-compute": lambda: (model_series.tables()["training-compute"](today), 1e15),
    }[name]()


def _lane_rate(_: Selection) -> Series:
    series = _continued("interconnect", "")
    return replace(
        series,
        name="lane-rate",
        title="rate of one lane",
        unit="bit/s",
        definition="signalling rate of one lane in one direction, generations of PCIe and NVLink",
        points=tuple(replace(p, value=p.value * _FIRST_LANE) for p in series.points),
    )


def _lanes() -> Series:
    """Return the generations of links after the paper's, bit/s of one lane."""
    points = (
        Point(date.fromisoformat(row["date"]), 1e9 * float(row["lane_gt_s"]), row["name"])
        for row in read("links")
    )
    definition = "generations of NVLink and PCIe"
    return _series("lane-rate", "rate of one lane", "bit/s", definition, "links", points)


def _point(row: Mapping[str, str], column: str, name: str) -> Point:
    return Point(date.fromisoformat(row["date"]), float(row[column]), name)


def _series(
    name: str, title: str, unit: str, definition: str, dataset: str, points: Iterable[Point]
) -> Series:
    return Series(name, title, unit, definition, datasets()[dataset].title, tuple(points))

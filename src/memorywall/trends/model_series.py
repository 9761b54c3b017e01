"""Series of published models, and of the memory of one device relative to the largest model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date

from memorywall.catalog.trends import datasets, used
from memorywall.core.growth import Point, Series
from memorywall.trends import device_series
from memorywall.trends.selection import Selection

# "Attention Is All You Need" appeared on 12 June 2017: older models are not Transformers.
_FIRST = "2017-06-12"
_BYTES = 2  # a parameter in 16 bits
_FRONTIER = (
    "language models since the Transformer that were among the ten of the most training compute "
    "when published"
)


def tables() -> dict[str, Callable[[Selection], Series]]:
    """Return every series of models by its name."""
    return {
        "parameters": _parameters,
        "training-compute": _training_compute,
        "largest-model": _largest_model,
        "largest-fit": _largest_fit,
        "devices-to-hold": _devices_to_hold,
    }


def _parameters(_: Selection) -> Series:
    return _series(
        "parameters", "parameters", "parameters", f"all, every expert counted; {_FRONTIER}",
        _frontier("parameters"),
    )  # fmt: skip


def _training_compute(_: Selection) -> Series:
    return _series(
        "training-compute", "training compute", "FLOP", f"of the final run; {_FRONTIER}",
        _frontier("training_flop"),
    )  # fmt: skip


def _largest_model(_: Selection) -> Series:
    return _series(
        "largest-model", "largest published model", "parameters",
        f"each model larger than all before it (records depend on each other); {_FRONTIER}",
        _records(_frontier("parameters")),
    )  # fmt: skip


def _largest_fit(selection: Selection) -> Series:
    points = _records(device_series.values("capacity", selection).values())
    return Series(
        "largest-fit",
        "largest model that fits one device",
        "parameters",
        "memory of the largest device to date in parameters of 16 bits, with no other data in it "
        "(records depend on each other)",
        datasets()["hardware"].source,
        tuple(replace(point, value=point.value / _BYTES) for point in points),
    )


def _devices_to_hold(selection: Selection) -> Series:
    fits = _largest_fit(selection).points
    points = []
    for model in _largest_model(selection).points:
        room = [fit.value for fit in fits if fit.date <= model.date]
        if room:
            points.append(replace(model, value=model.value / max(room)))
    return _series(
        "devices-to-hold", "devices that the largest model fills", "devices",
        "parameters of the largest model to date, in 16 bits, over the memory of the largest "
        "device to date (records depend on each other)",
        points,
    )  # fmt: skip


def _frontier(column: str) -> list[Point]:
    return [
        Point(date.fromisoformat(row["date"]), float(row[column]), row["name"])
        for row in used("models")
        if row["frontier"] and "Language" in row["domain"] and row["date"] >= _FIRST and row[column]
    ]


def _records(points: Iterable[Point]) -> list[Point]:
    """Return the points above all earlier ones."""
    records: list[Point] = []
    for point in sorted(points, key=lambda point: (point.date, -point.value)):
        if not records or point.value > records[-1].value:
            records.append(point)
    return records


def _series(name: str, title: str, unit: str, definition: str, points: Iterable[Point]) -> Series:
    return Series(name, title, unit, definition, datasets()["models"].source, tuple(points))

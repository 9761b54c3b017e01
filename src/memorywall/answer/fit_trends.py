"""Growth of devices and models, and the forecast device of a year."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache
from math import nan
from pathlib import Path

from memorywall.core.errors import InvalidInputError, join_words, shown
from memorywall.core.files import read_text, user_path
from memorywall.core.growth import Growth, IntervalCoverage, Point, Series
from memorywall.core.hardware import FORECAST, Hardware
from memorywall.trends.coverage import coverage
from memorywall.trends.fit import Line, fit
from memorywall.trends.forecast import forecast, quantity
from memorywall.trends.selection import DTYPES, SEGMENTS, Selection
from memorywall.trends.series import expand, find_series

CUT_OFFS = (2018, 2020, 2022)
DEFAULT = ("today", "derived", "latency")
_LARGEST_FILE = 2**20
_PLACES = {
    "fp32": ("peak", "peaks.fp32"),
    "fp16": ("peak", "peaks.fp16"),
    "fp8": ("peak", "peaks.fp8"),
    "int8": ("peak", "peaks.int8"),
    "bandwidth": ("bandwidth", "memories[1].bandwidth"),
    "capacity": ("capacity", "memories[1].capacity"),
    "tdp": ("power", "power.tdp"),
}


def trends(
    names: Sequence[str] = (),
    *,
    since: int | None = None,
    until: int | None = None,
    only: str | None = None,
    dtype: str | None = None,
    to: int = 2030,
) -> list[Growth]:
    """Return the growth of series: the slope of log10 on the date, and what is known of it.

    Args:
        names: of series or of groups (``today``, ``derived``, ``latency``, ``paper``, ``blog``), or
            paths of CSVs with columns ``date``, ``value`` and optionally ``name``; by default the
            group ``today``.
        since, until: first and last year.
        only: segment of devices: data-centre (the default), inference, workstation, consumer or
            all.
        dtype: of peaks and ridge points: fp32, fp16 (the default), fp8, fp4 or int8.
        to: the year up to which lines are followed, with prediction intervals.

    Raises:
        UnknownNameError: no such series, segment or dtype.
        InvalidInputError: a series without a line, a file that is not a series, or a segment or
            dtype without effect on the series.
    """
    words = {word: value for word, value in (("only", only), ("dtype", dtype)) if value is not None}
    selection = Selection(since, until, **words)
    expanded = expand(names or DEFAULT)
    if only is not None:
        others = [replace(selection, only=other) for other in SEGMENTS]
        _refuse_unused("only", only, expanded, selection, others)
    if dtype is not None:
        others = [replace(selection, dtype=other) for other in DTYPES]
        _refuse_unused("dtype", dtype, expanded, selection, others)
    return [fit(load_series(name, selection), to) for name in expanded]


def _refuse_unused(
    word: str, asked: str, names: Sequence[str], selection: Selection, others: Sequence[Selection]
) -> None:
    """Refuse a word of a selection that none of the series depends on.

    Raises:
        InvalidInputError: all of them have the same points in every other selection.
    """
    for name in names:
        points = load_series(name, selection).points
        if any(load_series(name, other).points != points for other in others):
            return
    raise InvalidInputError(
        f"{word} has no effect on {join_words(names)}; got {shown(asked)}.", f"Leave {word} out."
    )


def out_of_sample(
    names: Sequence[str] = (), cut_offs: Sequence[int] = CUT_OFFS, *, dtype: str = "fp16"
) -> list[IntervalCoverage]:
    """Return how lines fitted up to some years predicted what came later, series by series."""
    selection = Selection(dtype=dtype)
    return [
        row
        for name in expand(names or DEFAULT)
        for row in coverage(load_series(name, selection), cut_offs)
    ]


def load_series(name: str, selection: Selection) -> Series:
    """Return a series by its name, or a custom one by the path of a CSV."""
    if name.casefold().endswith(".csv"):
        return selection.of_years(read_series(user_path(name)))
    return find_series(name, selection)


def read_series(path: Path) -> Series:
    """Read a series from a CSV with the columns ``date``, ``value`` and perhaps ``name``.

    A value that is missing stays in, so that a fit can say which.

    Raises:
        InvalidInputError: the file cannot be read, lacks a column, or has a date or value that is
            none.
    """
    rows = list(csv.DictReader(read_text(path, _LARGEST_FILE, "a CSV").splitlines()))
    if not rows or not {"date", "value"} <= set(rows[0]):
        raise InvalidInputError(
            f"{path} has no rows with the columns 'date' and 'value'.",
            "Such as: date,value,name and below it 2024-03-18,8e12,B200.",
        )
    points = tuple(_point(row, f"{path}, row {number}") for number, row in enumerate(rows, start=2))
    return Series(path.stem, path.stem, "", "as given", str(path), points)


def _point(row: dict[str, str | None], where: str) -> Point:
    day, value = (row["date"] or "").strip(), (row["value"] or "").strip()
    try:
        full = f"{day}-01-01" if len(day) == len("2024") else day
        return Point(
            date.fromisoformat(full), float(value) if value else nan, row.get("name") or ""
        )
    except ValueError:
        raise InvalidInputError(
            f"{where} must be a date such as 2024-03-18 and a number, got {shown(day)} and "
            f"{shown(value)}."
        ) from None


def ridge_line(dtype: str) -> Line:
    """Return the line of the ridge point of data-centre devices, in FLOP per byte."""
    return Line(find_series("ridge", Selection(dtype=dtype)))


def forecast_device(name: str) -> Hardware:
    """Return the device that trends make of a year, by a name such as ``forecast:2030``.

    Raises:
        InvalidInputError: no year, or one for which the trends say nothing.
        MissingDependencyError: statsmodels is not installed.
    """
    text = name.removeprefix(FORECAST)
    if not (text.isascii() and text.isdigit() and len(text) == len("2030")):
        raise InvalidInputError(f"{shown(name)} names no year.", "Such as: forecast:2030.")
    return _forecast(int(text))


@lru_cache(maxsize=32)
def _forecast(year: int) -> Hardware:
    quantities = {}
    for key, (name, place) in _PLACES.items():
        selection = Selection(dtype=key) if name == "peak" else Selection()
        quantities[key] = quantity(place, find_series(name, selection))
    device = forecast(year, quantities)
    return replace(device, notes=(*device.notes, _record()))


@lru_cache(maxsize=1)
def _record() -> str:
    """Return how such forecasts fared: those made of what was known at the end of a past year."""
    until = CUT_OFFS[-1]
    rows = out_of_sample(("peak", "bandwidth", "capacity"), (until,))
    held = ", ".join(f"{row.covered[0.8]:.0%} of {row.series}" for row in rows)
    return (
        f"Lines up to {until} held {held} of the later devices in their 80 % intervals: where "
        f"growth changes, as after {until}, intervals are too narrow."
    )

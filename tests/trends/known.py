"""Data sets whose fits are known from elsewhere, dressed as series of dated numbers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from memorywall.core.growth import Point, Series

START = date(2000, 1, 1)
DAYS = 365.25


def series(years: Iterable[float], values: Iterable[float], name: str = "known") -> Series:
    """Return a series at years since 2000, which are rounded to days."""
    dates = [START + timedelta(days=round(DAYS * year)) for year in years]
    points = tuple(Point(day, float(value)) for day, value in zip(dates, values, strict=True))
    return Series(name, name, "", "", "", points)


def days(counts: Iterable[float], values: Iterable[float]) -> Series:
    """Return a series at whole days since 2000."""
    dates = [START + timedelta(days=round(count)) for count in counts]
    points = tuple(Point(day, float(value)) for day, value in zip(dates, values, strict=True))
    return Series("known", "known", "", "", "", points)


# NIST Statistical Reference Datasets, Norris: 36 pairs (y, x) of a simple regression.
NORRIS = (
    (0.1, 0.2), (338.8, 337.4), (118.1, 118.2), (888.0, 884.6), (9.2, 10.1), (228.1, 226.5),
    (668.5, 666.3), (998.5, 996.3), (449.1, 448.6), (778.9, 777.0), (559.2, 558.2), (0.3, 0.4),
    (0.1, 0.6), (778.1, 775.5), (668.8, 666.9), (339.3, 338.0), (448.9, 447.5), (10.8, 11.6),
    (557.7, 556.0), (228.3, 228.1), (998.0, 995.8), (888.8, 887.6), (119.6, 120.2), (0.3, 0.3),
    (0.6, 0.3), (557.6, 556.8), (339.3, 339.1), (888.0, 887.2), (998.5, 999.0), (778.9, 779.0),
    (10.2, 11.1), (117.6, 118.3), (228.9, 229.2), (668.4, 669.1), (449.2, 448.9), (0.2, 0.5),
)  # fmt: skip

# R's data set cars: speed and distance to stop, of the 1920s.
SPEED = (
    4, 4, 7, 7, 8, 9, 10, 10, 10, 11, 11, 12, 12, 12, 12, 13, 13, 13, 13, 14, 14, 14, 14, 15, 15,
    15, 16, 16, 17, 17, 17, 18, 18, 18, 18, 19, 19, 19, 20, 20, 20, 20, 20, 22, 23, 24, 24, 24, 24,
    25,
)  # fmt: skip
DISTANCE = (
    2, 10, 4, 22, 16, 10, 18, 26, 34, 17, 28, 14, 20, 24, 28, 26, 34, 34, 46, 26, 36, 60, 80, 20,
    26, 54, 32, 40, 32, 40, 50, 42, 56, 76, 84, 36, 46, 68, 32, 48, 52, 56, 64, 66, 54, 70, 92, 93,
    120, 85,
)  # fmt: skip

"""Forecast a device of a year from trends: the median of each quantity, and joint draws.

A draw is one device that may be sold that year. Each quantity follows the predictive distribution
of its line (Student's t, exact for a least-squares line with normal errors); draws of different
quantities are correlated as their residuals on the devices that have both (a Gaussian copula), so
that a device with high arithmetic likely has high bandwidth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from memorywall.core.errors import InvalidInputError
from memorywall.core.growth import Interval, Point, Series
from memorywall.core.hardware import Hardware, Memory
from memorywall.core.numbers import Array
from memorywall.core.units import render
from memorywall.trends.fit import Line, design

LEVEL = 0.8
DRAWS = 1024
FIRST_YEAR, LAST_YEAR = 2012, 2050
_MEMORY = "main memory"
_LEAST_SHARED = 5  # with fewer common devices, two quantities count as uncorrelated


@dataclass(frozen=True, slots=True)
class ForecastLine:
    """One number of a forecast device: its line, and its field in ``Hardware``."""

    place: str
    unit: str
    points: Mapping[str, Point]
    line: Line


def quantity(place: str, series: Series) -> ForecastLine:
    """Return a quantity from a series whose points are named by device."""
    return ForecastLine(
        place, series.unit, {point.name: point for point in series.points}, Line(series)
    )


def forecast(year: float, quantities: Mapping[str, ForecastLine]) -> Hardware:
    """Return the device of a year by the trends of its quantities.

    Keys of ``quantities``: a dtype for peaks, ``bandwidth``, ``capacity`` and ``tdp``.

    Raises:
        InvalidInputError: a year outside the range of the forecast.
    """
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise InvalidInputError(
            f"the year of a forecast must be from {FIRST_YEAR} to {LAST_YEAR}, got {year:g}.",
            "For example: forecast:2030.",
        )
    middles = {name: q.line.predict([year], LEVEL)[0] for name, q in quantities.items()}
    drawn = _draws(year, list(quantities.values()))
    columns = dict(zip(quantities, drawn, strict=True))
    return _device(
        f"forecast:{year:g}",
        {name: interval.middle for name, interval in middles.items()},
        sources=_sources(quantities, middles),
        notes=_notes(year, quantities),
        draws=_device(f"forecast:{year:g}, drawn", columns),
    )


def _device(name: str, numbers: Mapping[str, Any], **more: Any) -> Hardware:
    rest = ("bandwidth", "capacity", "tdp")
    peaks = {dtype: number for dtype, number in numbers.items() if dtype not in rest}
    if "fp16" in peaks:  # the data give one 16-bit peak, used for both formats
        peaks["bf16"] = peaks["fp16"]
    return Hardware(
        name=name,
        peaks=peaks,
        memories=(Memory(_MEMORY, numbers["capacity"], numbers["bandwidth"]),),
        kind="forecast",
        title="A data-centre accelerator by trend",
        device_class="forecast",
        released=name.removeprefix("forecast:").partition(",")[0],
        tdp=None if isinstance(numbers["tdp"], np.ndarray) else numbers["tdp"],
        **more,
    )


def _draws(year: float, quantities: list[ForecastLine]) -> Array:
    """Return draws, one row per quantity: quasi-random and reproducible."""
    from scipy import stats  # noqa: PLC0415 - an extra, and slow

    together = stats.qmc.MultivariateNormalQMC(
        np.zeros(len(quantities)), _correlation(quantities), rng=np.random.default_rng(0)
    )
    uniform = stats.norm.cdf(together.random(DRAWS)).T
    rows = []
    for one, shares in zip(quantities, uniform, strict=True):
        result = one.line.result
        predicted = result.get_prediction(design([year]))
        middle, error = predicted.predicted_mean[0], predicted.se_obs[0]
        rows.append(10 ** (middle + error * stats.t.ppf(shares, result.df_resid)))
    return np.asarray(rows)


def _correlation(quantities: list[ForecastLine]) -> Array:
    """Return the correlation of the residuals of quantities on the devices that have both."""
    matrix = np.eye(len(quantities))
    for row, one in enumerate(quantities):
        for column, other in enumerate(quantities[:row]):
            matrix[row, column] = matrix[column, row] = _shared(one, other)
    values, vectors = np.linalg.eigh(matrix)
    # Pairs over different devices need not form a correlation matrix: take the nearest one.
    mended = vectors @ np.diag(np.maximum(values, 1e-6)) @ vectors.T
    scale = 1 / np.sqrt(np.diag(mended))
    return np.asarray(mended * scale[:, None] * scale)


def _shared(one: ForecastLine, other: ForecastLine) -> float:
    names = [name for name in one.points if name in other.points]
    if len(names) < _LEAST_SHARED:
        return 0.0
    residuals = [
        dict(zip((p.name for p in q.line.series.points), q.line.result.resid, strict=True))
        for q in (one, other)
    ]
    pairs = np.array([[by_name[name] for name in names] for by_name in residuals])
    return float(np.corrcoef(pairs)[0, 1])


def _sources(
    quantities: Mapping[str, ForecastLine], middles: Mapping[str, Interval]
) -> dict[str, str]:
    sources = {one.place: _source(one, middles[name]) for name, one in quantities.items()}
    if "peaks.fp16" in sources:
        sources["peaks.bf16"] = sources["peaks.fp16"]
    return sources


def _source(one: ForecastLine, interval: Interval) -> str:
    low, high = render(interval.low, one.unit), render(interval.high, one.unit)
    points = one.line.series.points
    years = f"{min(p.date for p in points).year} to {max(p.date for p in points).year}"
    return (
        f"trend of {len(points)} devices, {years} ({one.line.series.source}); 80 % of devices "
        f"between {low} and {high}"
    )


def _notes(year: float, quantities: Mapping[str, ForecastLine]) -> tuple[str, ...]:
    last = max(p.date for q in quantities.values() for p in q.line.series.points)
    text = (
        f"{year:g} by lines through devices up to {last}, assuming constant growth: the median of "
        "all data-centre accelerators of that year, not the largest."
    )
    return (text,)

"""Decode steps in a row at many points at once."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from memorywall.core.hardware import Hardware
from memorywall.core.numbers import Array
from memorywall.core.results import Cost
from memorywall.cost.template.point import Point
from memorywall.cost.template.points import Points, flattened, shape_of
from memorywall.cost.template.series import Run, bound_at_any

# Points of a block: rows at both ends of a stretch fit the processor's cache.
BLOCK = 4096
_NUMBERS = 7  # of the roofline's costs: FLOPs to waiting seconds


def run_at_points(run: Run, point: Point, steps: int, hardware: Hardware) -> Cost:
    """Return the cost of decode steps in a row at every point, as arrays of their shape.

    Raises:
        UnsupportedError: the device has no peak for the program's arithmetic or a wider one.
    """
    shape = shape_of(point, hardware)
    rates = (hardware.bandwidth, *(hardware.peak(dtype) for dtype in run.dtypes))
    flat = Points(point, rates, shape).map(lambda number: flattened(number, shape))
    found = [np.empty(prod(shape)) for _ in range(_NUMBERS)]
    for start in range(0, prod(shape), BLOCK):
        some = slice(start, start + BLOCK)
        for total, numbers in zip(found, _run(run, flat.cut(some), steps), strict=True):
            total[some] = numbers
    return Cost(*(total.reshape(shape) for total in found))


def _run(run: Run, points: Points, steps: int) -> list[Any]:
    """Return the numbers of the cost of some steps at points along one axis."""
    point, (bandwidth, *peaks) = points.point, points.rates
    total: list[Array | float] = [0.0] * _NUMBERS
    for stretch in run.bends.stretches(point, steps):
        ends = point._replace(length=stretch.first), point._replace(length=stretch.last)
        part = run.stretch(*ends, stretch.count, bandwidth, list(peaks), bound_at_any)
        total = [a + b for a, b in zip(total, part, strict=True)]
    return total

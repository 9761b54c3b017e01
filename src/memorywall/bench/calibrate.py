"""From micro-benchmarks to a measured device: ceilings, and the speed of each operator.

Only the micro-benchmarks are used, never a model that is predicted from them. The toys, models with
almost no work, give the overhead of the framework.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from memorywall.bench.timing import Measurement, interval
from memorywall.core.calibration import Calibration, Curve

# The drift of a shared machine between a measurement and a run minutes later: the median difference
# of six measurements of one machine (results/README.md).
DRIFT = 0.12

_PRODUCTS = ("linear", "conv1d")

# A larger one of these can run as several smaller ones, so a FLOP of it takes no longer; this
# corrects a size measured while the machine was slow.
_SPLITTABLE = (*_PRODUCTS, "attention causal", "attention full")

# The seconds of a call that takes only its floor.
_NOTHING = 1e-12


def calibrate(
    measurements: Iterable[Measurement],
    floors_of: Callable[[Calibration, str, int, str], tuple[float, int]],
) -> Calibration:
    """Return the calibration from measurements.

    ``floors_of(calibration, model_type, layers, dtype)`` prices a toy without the framework: the
    seconds of its operators, and their number.
    """
    found = list(measurements)
    points = _points(found)
    floors = {
        key: min(seconds for _, _, seconds in group)
        for key, group in points.items()
        if key[0] not in _PRODUCTS and not key[0].startswith("attention")
    }
    curves, residuals = {}, []
    for key, group in points.items():
        floor = floors.get(key, 0.0)
        curve = _curve(key, group, floor)
        if curve is None:
            continue
        curves[key] = curve
        if key[0] in _PRODUCTS or key[0].startswith("attention"):
            residuals += [
                seconds / (floor + units * float(curve.seconds_per_unit(size)))
                for size, units, seconds in group
            ]
    bare = Calibration(curves)
    dispatch, forward = _framework(found, bare, floors_of)
    low, high = _limits(found, residuals)
    return Calibration(curves, dispatch, forward, low=low, high=high, points=len(found))


def _limits(measurements: Sequence[Measurement], residuals: Sequence[float]) -> tuple[float, float]:
    """Return the factors on a prediction for a nominal 80 % interval.

    Three causes, assumed independent: the scatter of the benchmarks about their curves, the spread
    of each benchmark, and the drift of the machine between a measurement and a run.
    """
    spread = [m.spread / 2 for m in measurements if m.name in (*_PRODUCTS, "attention", "toy")]
    unsteady = statistics.median(spread) if spread else 0.0
    low, high = interval(residuals, 0.8) if residuals else (1.0, 1.0)
    below = math.hypot(1 / low - 1, unsteady, DRIFT)
    above = math.hypot(high - 1, unsteady, DRIFT)
    return 1 / (1 + below), 1 + above


def _points(
    measurements: Sequence[Measurement],
) -> dict[tuple[str, str], list[tuple[float, float, float]]]:
    """Return (size, units of work, seconds) of every call, by operator and dtype."""
    points: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    for m in measurements:
        p = m.parameters
        if m.name in _PRODUCTS:
            points[m.name, p["dtype"]].append((p["rows"], m.flops, m.median_s))
        elif m.name == "attention" and p["tokens"] == 1:
            if p["heads"] == p["kv_heads"]:
                points["attention decode", p["dtype"]].append(
                    (m.moved_bytes, m.moved_bytes, m.median_s)
                )
            else:
                points["attention decode grouped", p["dtype"]].append(
                    (m.flops, m.flops, m.median_s)
                )
        elif m.name == "attention":
            kind = "attention causal" if p["causal"] else "attention full"
            points[kind, p["dtype"]].append((p["tokens"], m.flops, m.median_s))
        elif m.name == "elementwise":
            elements = float(p["rows"] * p["width"])
            points[p["function"], p["dtype"]].append((elements, elements, m.median_s))
    return points


def _curve(
    key: tuple[str, str], group: Sequence[tuple[float, float, float]], floor: float
) -> Curve | None:
    """Fit a curve: at each size the median of the shapes, minus the floor."""
    by_size: dict[float, list[float]] = defaultdict(list)
    for size, units, seconds in group:
        if seconds > floor * 1.05 or floor == 0:
            by_size[size].append(max(seconds - floor, _NOTHING) / units)
    if not by_size:
        return None
    sizes = tuple(sorted(by_size))
    seconds_each: Iterable[float] = (
        math.exp(statistics.fmean(math.log(value) for value in by_size[size])) for size in sizes
    )
    if key[0] in _SPLITTABLE:
        seconds_each = itertools.accumulate(seconds_each, min)
    return Curve(*key, sizes=sizes, seconds=tuple(seconds_each), floor_s=floor)


def _framework(
    measurements: Sequence[Measurement],
    bare: Calibration,
    floors_of: Callable[[Calibration, str, int, str], tuple[float, int]],
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the framework's overhead per operator and per pass, by dtype.

    Two toys that differ only in their number of layers give the time of a layer; the time of its
    operators is known, and the rest is the framework's.
    """
    toys: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for m in measurements:
        if m.name == "toy":
            p = m.parameters
            toys[p["model_type"], p["dtype"]][p["layers"]] = m.median_s
    dispatch: dict[str, list[float]] = defaultdict(list)
    forward: dict[str, list[float]] = defaultdict(list)
    for (model_type, dtype), by_layers in toys.items():
        few, many = min(by_layers), max(by_layers)
        priced = {n: floors_of(bare, model_type, n, dtype) for n in (few, many)}
        operators = priced[many][1] - priced[few][1]
        if not operators:
            continue
        own = priced[many][0] - priced[few][0]
        each = max(0.0, (by_layers[many] - by_layers[few] - own) / operators)
        dispatch[dtype].append(each)
        forward[dtype].append(max(0.0, by_layers[few] - priced[few][0] - priced[few][1] * each))
    return (
        {dtype: statistics.fmean(values) for dtype, values in dispatch.items()},
        {dtype: statistics.fmean(values) for dtype, values in forward.items()},
    )

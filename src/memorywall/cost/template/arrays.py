"""The roofline and the footprint of a template at many points at once.

latency = sum over classes of max(arithmetic, traffic). With D = arithmetic - traffic, a class with
D <= 0 at all points is memory-bound and one with D >= 0 compute-bound: both go into one sum over
terms. Of the others half of both goes there as well, and |D| / 2 is added. Where a device's numbers
are arrays everything is counted in bytes, arithmetic times the rate of bytes a FLOP, and divided by
the bandwidth at last. Fields that are not read are not computed.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from memorywall.core.hardware import Hardware
from memorywall.core.numbers import Array, Number, is_array
from memorywall.core.program import Program
from memorywall.core.results import Cost, Footprint
from memorywall.cost.template.bounds import Bounds
from memorywall.cost.template.classes import Classes
from memorywall.cost.template.evaluate import evaluate
from memorywall.cost.template.point import Point
from memorywall.cost.template.points import Joined, Points, Sum, full, shape_of
from memorywall.cost.template.resident import Residents
from memorywall.cost.template.rows import Form
from memorywall.cost.template.tables import Table


class ArrayPrices:
    """The cost of a program at many points."""

    def __init__(self, program: Program) -> None:
        self._classes = Classes(program)
        self._classes.terms.replace_calls(Table)

    def at(self, point: Point, hardware: Hardware) -> Cost:
        """Return the cost at every point; its numbers are worked out when they are read.

        Raises:
            UnsupportedError: the device has no peak for the program's arithmetic or a wider one.
        """
        peaks = tuple(hardware.peak(dtype) for dtype in self._classes.dtypes)
        points = Points(point, (1,), shape_of(point, hardware))
        return ArrayCost(self._classes, points, hardware.bandwidth, peaks)


class ArrayCost(Cost):
    """A cost whose numbers are arrays of one shape, each worked out when it is first read."""

    def __init__(
        self, classes: Classes, points: Points, bandwidth: Number, peaks: tuple[Number, ...]
    ) -> None:
        set_ = object.__setattr__  # the numbers are frozen, and these are none of them
        set_(self, "_classes", classes)
        set_(self, "_bandwidth", bandwidth)
        set_(self, "_peaks", peaks)
        set_(self, "_points", points)
        for resource in ("network", "overhead"):  # the roofline knows neither
            set_(self, f"{resource}_s", 0.0)
            set_(self, f"{resource}_bound_s", 0.0)

    _classes: Classes
    _bandwidth: Number
    _peaks: tuple[Number, ...]
    _points: Points

    @cached_property
    def flops(self) -> Array:
        """FLOP."""
        return self._total(self._classes.flops)

    @cached_property
    def moved_bytes(self) -> Array:
        """Byte."""
        return self._total(self._classes.moved)

    @cached_property
    def compute_s(self) -> Array:
        """Seconds of arithmetic alone."""
        if len(self._peaks) == 1:
            return self._shaped(self.flops / self._peaks[0])
        parts = zip(self._classes.compute, self._peaks, strict=True)
        return self._shaped(sum(self._total(form) / peak for form, peak in parts))

    @cached_property
    def memory_s(self) -> Array:
        """Seconds of traffic alone."""
        return self._shaped(self.moved_bytes / self._bandwidth)

    @cached_property
    def overlapped_s(self) -> Array:
        """The longer of the two."""
        return np.maximum(self.compute_s, self.memory_s)

    @cached_property
    def latency_s(self) -> Array:
        """Seconds of all operators, each the longer of arithmetic and traffic."""
        return self._seconds(self._binding.latency)

    @cached_property
    def waiting_s(self) -> Array:
        """Seconds of the operators that are memory-bound."""
        return self._seconds(self._binding.waiting)

    @cached_property
    def _binding(self) -> _Binding:
        return _Binding(self._classes, self._points, self._bandwidth, self._peaks)

    def _total(self, form: Form) -> Array:
        return evaluate(self._classes.terms, Joined(_weighed(form, 0, 1)), self._points)

    def _seconds(self, joined: Joined) -> Array:
        found = evaluate(self._classes.terms, joined, self._binding.points)
        return self._shaped(found / self._bandwidth) if self._binding.in_bytes else found

    def _shaped(self, array: Any) -> Array:
        shape = self._points.shape
        return array if np.shape(array) == shape else full(array, shape)


class ArrayFootprint(Footprint):
    """A footprint whose numbers are arrays of one shape, each worked out when it is first read."""

    def __init__(self, residents: Residents, points: Points, capacity: Number | None) -> None:
        set_, shape = object.__setattr__, points.shape
        set_(self, "_residents", residents)
        set_(self, "_points", points)
        set_(self, "capacity", None if capacity is None else full(capacity, shape))
        set_(self, "gradients", full(0, shape))
        set_(self, "optimizer_states", full(0, shape))

    _residents: Residents
    _points: Points

    @cached_property
    def weights(self) -> Array:
        """Byte."""
        return self._total(self._residents.weights)

    @cached_property
    def kv_cache(self) -> Array:
        """Byte."""
        return self._total(self._residents.kv_cache)

    @cached_property
    def state(self) -> Array:
        """Byte."""
        return self._total(self._residents.state)

    @cached_property
    def activations(self) -> Array:
        """Byte: the most that are alive at any operator."""
        terms = self._residents.terms
        bounds = Bounds(terms, self._points)
        kept: list[Sum] = []
        for form in self._residents.alive:
            total = _weighed(form, 0, 1)
            if not any(_never_above(bounds, total, other) for other in kept):
                kept = [other for other in kept if not _never_above(bounds, other, total)]
                kept.append(total)
        return evaluate(terms, Joined(kept[0], tuple(kept[1:]), "largest"), self._points)

    def _total(self, form: Form) -> Array:
        return evaluate(self._residents.terms, Joined(_weighed(form, 0, 1)), self._points)


def _never_above(bounds: Bounds, a: Sum, b: Sum) -> bool:
    """Return whether a sum is at no point above another."""
    over = dict(a)
    _add(over, b, -1)
    return bounds.of(over)[1] <= 0


class _Weights(NamedTuple):
    """The rates that convert FLOPs and bytes to one unit: seconds, or bytes over the bandwidth.

    Attributes:
        in_bytes: whether it is bytes.
        rates: what terms are weighed by, the first being 1.
        of_flops: by dtype, which rate a FLOP is weighed by, and a factor.
        of_bytes: the factor of a byte.
    """

    in_bytes: bool
    rates: tuple[Number, ...]
    of_flops: list[tuple[int, float]]
    of_bytes: float


def _weights(bandwidth: Number, peaks: tuple[Number, ...]) -> _Weights:
    plain = [float(peak) for peak in peaks if not is_array(peak)]
    if len(plain) < len(peaks):  # a rate for every dtype
        rates = tuple([bandwidth / peak for peak in peaks])
        return _Weights(True, (1, *rates), [(i, 1.0) for i in range(1, len(peaks) + 1)], 1.0)
    if is_array(bandwidth):  # one for all
        return _Weights(True, (1, bandwidth), [(1, 1 / peak) for peak in plain], 1.0)
    return _Weights(False, (1,), [(0, 1 / peak) for peak in plain], 1 / float(bandwidth))


class _Binding:
    """The bounds of the classes at some points, as sums over terms.

    Attributes:
        in_bytes: whether sums are bytes, to be divided by the bandwidth; else they are seconds.
        points: with the rates that weigh FLOPs.
        latency, waiting: the sums to evaluate.
    """

    def __init__(
        self, classes: Classes, points: Points, bandwidth: Number, peaks: tuple[Number, ...]
    ) -> None:
        weights = _weights(bandwidth, peaks)
        self.in_bytes = weights.in_bytes
        self.points = Points(points.point, weights.rates, points.shape)
        bounds = Bounds(classes.terms, self.points)
        waiting = _weighed(classes.memory_alone, 0, weights.of_bytes)
        base = dict(waiting)
        for form, weight in zip(classes.compute_alone, weights.of_flops, strict=True):
            _add(base, _weighed(form, *weight))
        halves, others, partners = [], [], []
        for each in classes.classes:
            compute = _weighed(each.flops, *weights.of_flops[each.dtype])
            memory = _weighed(each.moved, 0, weights.of_bytes)
            over = dict(compute)
            _add(over, memory, -1)
            low, high = bounds.of(over)
            if high <= 0:
                _add(base, memory)
                _add(waiting, memory)
            elif low > 0:
                _add(base, compute)
            else:
                _add(base, compute, 0.5)
                _add(base, memory, 0.5)
                halves.append({column: half / 2 for column, half in over.items()})
                others.append(over)
                partners.append(memory)
        self.latency = Joined(base, tuple(halves), "absolute")
        self.waiting = Joined(waiting, tuple(others), "where", tuple(partners))


def array_footprint(residents: Residents, point: Point, hardware: Hardware) -> Footprint:
    """Return the footprint at every point; its numbers are worked out when they are read."""
    points = Points(point, (1,), shape_of(point, hardware))
    return ArrayFootprint(residents, points, hardware.usable)


def _weighed(form: Form, rate: int, weight: float) -> Sum:
    return {(place, rate): coefficient * weight for place, coefficient in form.items()}


def _add(total: Sum, other: Sum, times: float = 1.0) -> None:
    """Add a sum to another in place."""
    for column, coefficient in other.items():
        total[column] = total.get(column, 0.0) + times * coefficient

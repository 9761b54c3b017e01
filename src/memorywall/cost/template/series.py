"""Decode steps in a row, in closed form: FLOPs, bytes and times of any number of steps.

Along a stretch FLOPs and bytes of a class are arithmetic series, n (first + last) / 2. So is the
time while one of the two binds, and as their difference is linear, that changes once at most: the
steps before the turn are one series, those from it on another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any, NamedTuple, TypeAlias

from memorywall.core.geometry import Kind
from memorywall.core.hardware import Hardware
from memorywall.core.numbers import floored, is_array, maximum, minimum
from memorywall.core.program import Program
from memorywall.core.results import Cost, OpCost
from memorywall.cost.template.classes import Classes
from memorywall.cost.template.point import Point
from memorywall.cost.template.rows import Form, Rows, Terms
from memorywall.cost.template.scalars import moved_bytes
from memorywall.cost.template.stretches import Bends, Stretch

# The first and the last value of an arithmetic series; numbers, or arrays of them.
Line: TypeAlias = "tuple[Any, Any]"
# FLOPs, bytes, and the peak of the arithmetic.
Pair: TypeAlias = "tuple[Line, Line, Any]"
# Of such pairs, how many steps, and the bandwidth: the seconds of all steps that are compute-bound,
# and of all that are memory-bound.
Bound: TypeAlias = Callable[[list[Pair], Any, Any], tuple[Any, Any]]


class Run:
    """The total cost of consecutive decode steps.

    Attributes:
        dtypes: the arithmetic of the operators.
        bends: where rows stop being linear in the length.
    """

    def __init__(self, program: Program) -> None:
        c = Classes(program)
        self.dtypes = c.dtypes
        forms = [c.flops, c.moved, c.memory_alone, *c.compute, *c.compute_alone]
        for each in c.classes:
            forms += [each.flops, each.moved]
        self._rows = Rows(c.terms, forms)
        self.bends = bends_of(c.terms, forms)
        self._flops, self._moved, self._alone, *places = self._rows.places
        kinds = len(self.dtypes)
        self._compute, self._compute_alone = places[:kinds], places[kinds : 2 * kinds]
        pairs = places[2 * kinds :]
        self._classes = [
            (each.dtype, flops, moved)
            for each, flops, moved in zip(c.classes, pairs[::2], pairs[1::2], strict=True)
        ]

    def at(self, point: Point, steps: int, hardware: Hardware) -> Cost:
        """Return the cost of some steps, the first at the point's length; scalars.

        Raises:
            UnsupportedError: the device has no peak for the program's arithmetic or a wider one.
        """
        bandwidth = hardware.bandwidth
        peaks = [hardware.peak(dtype) for dtype in self.dtypes]
        batch, _, source, images = point
        total: tuple[Any, ...] = ()
        for first, stride, count in self.bends.stretches(point, steps):
            at_first = Point(batch, first, source, images)
            at_last = Point(batch, first + (count - 1) * stride, source, images)
            part = self.stretch(at_first, at_last, count, bandwidth, peaks, bound_at_one)
            total = tuple([a + b for a, b in zip(total, part, strict=True)]) if total else part
        return Cost(*total)

    def stretch(
        self, at_first: Point, at_last: Point, count: Any, bandwidth: Any, peaks: list[Any],
        bound: Bound,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Return the fields of the cost of one stretch, scalars or arrays.

        Args:
            at_first, at_last: its ends.
            count: how many steps it has.
            bandwidth, peaks: of the device, the peaks by dtype.
            bound: distinguishes compute-bound from memory-bound steps.
        """
        first: list[Any] = self._rows.at(at_first)
        last: list[Any] = self._rows.at(at_last)
        flops = series(first[self._flops], last[self._flops], count)
        moved = series(first[self._moved], last[self._moved], count)
        memory_s = moved / bandwidth
        waiting = series(first[self._alone], last[self._alone], count) / bandwidth
        compute_s = busy = c0 = c1 = 0.0
        for place, alone, peak in zip(self._compute, self._compute_alone, peaks, strict=True):
            c0, c1 = c0 + first[place] / peak, c1 + last[place] / peak
            compute_s = compute_s + series(first[place], last[place], count) / peak
            busy = busy + series(first[alone], last[alone], count) / peak
        pairs = [
            ((first[f], last[f]), (first[m], last[m]), peaks[dtype])
            for dtype, f, m in self._classes
        ]
        while_busy, while_waiting = bound(pairs, count, bandwidth)
        busy, waiting = busy + while_busy, waiting + while_waiting
        traffic = first[self._moved] / bandwidth, last[self._moved] / bandwidth
        longer, others = bound([((c0, c1), traffic, 1.0)], count, 1.0)
        return flops, moved, compute_s, memory_s, busy + waiting, longer + others, waiting


class RunListing:
    """The cost of every operator over consecutive decode steps."""

    def __init__(self, program: Program) -> None:
        terms = Terms()
        self._ops: list[tuple[str, Kind, int, int, str, tuple[str, ...]]] = []
        forms: list[Form] = []
        for path, op, repeat in program.walk():
            traffic = op.traffic
            numbers = (op.flops, moved_bytes(op), *traffic.values())
            forms += [terms.linear(number) for number in numbers]
            runs = repeat if op.runs else 0
            self._ops.append((path, op.kind, repeat, runs, op.dtype, tuple(traffic)))
        self._rows = Rows(terms, forms)
        self.bends = bends_of(terms, forms)

    def at(self, point: Point, steps: int, hardware: Hardware) -> list[OpCost]:
        """Return every operator's cost over some steps, its numbers scalars or arrays.

        Raises:
            UnsupportedError: the device has no peak for the program's arithmetic or a wider one.
        """
        stretches = self.bends.stretches(point, steps)
        parts = [self._stretch(point, stretch, hardware) for stretch in stretches]
        found = [reduce(add, op) for op in zip(*parts, strict=True)]
        runs = [op[3] for op in self._ops]
        return [replace(op, count=n * steps) for op, n in zip(found, runs, strict=True)]

    def _stretch(self, point: Point, stretch: Stretch, hardware: Hardware) -> list[OpCost]:
        first = self._rows.at(point._replace(length=stretch.first))
        last = self._rows.at(point._replace(length=stretch.last))
        lines = iter([(first[place], last[place]) for place in self._rows.places])
        count, bandwidth = stretch.count, hardware.bandwidth
        costs = []
        for path, kind, repeat, _, dtype, roles in self._ops:
            flops, moved, peak = next(lines), next(lines), hardware.peak(dtype)
            turn = turn_of(flops, moved, count, bandwidth, peak)
            waits, traffic = {}, {}
            for role in roles:
                line = next(lines)
                traffic[role] = series(*line, count) * repeat
                waits[role] = turn.waiting(line, count) * repeat / bandwidth
            work, total = series(*flops, count) * repeat, sum(traffic.values(), 0)
            waiting = turn.waiting(moved, count) * repeat / bandwidth
            busy = turn.busy(flops, count) * repeat / peak
            both = busy + waiting
            times = (work / peak, total / bandwidth, both, both, waiting)
            costs.append(OpCost(path, kind, 0, Cost(work, total, *times), traffic, waits))
        return costs


class Turn(NamedTuple):
    """Where what binds changes along a series, at most once; numbers, or arrays of them.

    Attributes:
        before: how many steps lie before it; all where nothing changes.
        waits_first: whether the first of them is memory-bound.
    """

    before: Any
    waits_first: Any

    def waiting(self, line: Line, count: Any) -> Any:
        """Return the sum of a series over the steps that are memory-bound."""
        until, after = _halves(line, count, self.before)
        return _choose(self.waits_first, until, after)

    def busy(self, line: Line, count: Any) -> Any:
        """Return the sum of a series over the steps that are compute-bound."""
        until, after = _halves(line, count, self.before)
        return _choose(self.waits_first, after, until)


def bends_of(terms: Terms, forms: list[Form]) -> Bends:
    """Return where any of some sums over terms bends along the length."""
    used = {place for form in forms for place in form}
    return Bends(terms.origins[place] for place in sorted(used))


def series(first: Any, last: Any, count: Any) -> Any:
    """Return the sum of an arithmetic series; of integers an integer."""
    total = (first + last) * count
    return total // 2 if type(total) is int else total / 2


def bound_at_one(pairs: list[Pair], count: int, bandwidth: float) -> tuple[float, float]:
    """Return the seconds of compute-bound and of memory-bound steps; scalars."""
    busy = waiting = 0.0
    half = count / 2
    for (f0, f1), (m0, m1), peak in pairs:
        waits_first = m0 / bandwidth >= f0 / peak
        if waits_first != (m1 / bandwidth >= f1 / peak):
            other_busy, other_waiting = bound_at_any([((f0, f1), (m0, m1), peak)], count, bandwidth)
            busy, waiting = busy + other_busy, waiting + other_waiting
        elif waits_first:
            waiting += (m0 + m1) * half / bandwidth
        else:
            busy += (f0 + f1) * half / peak
    return busy, waiting


def bound_at_any(pairs: list[Pair], count: Any, bandwidth: Any) -> tuple[Any, Any]:
    """Return the same of scalars or arrays."""
    busy = waiting = 0.0
    for flops, moved, peak in pairs:
        turn = turn_of(flops, moved, count, bandwidth, peak)
        busy = busy + turn.busy(flops, count) / peak
        waiting = waiting + turn.waiting(moved, count) / bandwidth
    return busy, waiting


def turn_of(flops: Line, moved: Line, count: Any, bandwidth: Any, peak: Any) -> Turn:
    """Return where what binds changes along FLOPs and bytes that both are series.

    Where both times are equal memory binds; rounding may put that a step beside where the lines
    meet, so the steps around are tried.
    """
    at_first = moved[0] / bandwidth - flops[0] / peak
    at_last = moved[1] / bandwidth - flops[1] / peak
    waits_first = at_first >= 0
    changes = waits_first != (at_last >= 0)
    if changes is False:
        return Turn(count, waits_first)
    meet = at_first / _choose(changes, at_first - at_last, 1.0) * (count - 1)
    most = maximum(count - 1, 0)  # of many points some may have no step
    before = minimum(maximum(floored(meet, 1) - 1, 1), most)
    for _ in range(3):
        memory_s = value(moved, before, count) / bandwidth
        same = (memory_s >= value(flops, before, count) / peak) == waits_first
        before = minimum(before + same, most)
    return Turn(_choose(changes, before, count), waits_first)


def value(line: Line, step: Any, count: Any) -> Any:
    """Return a series at one of its steps, the first being 0; of integers an integer."""
    first, last = line
    gaps = maximum(count - 1, 1)
    if type(first) is int and type(last) is int and type(count) is int:
        return first + (last - first) // gaps * step
    return first + (last - first) / gaps * step


def _halves(line: Line, count: Any, before: Any) -> Line:
    """Return the sums of a series before a step and from it on."""
    until = series(line[0], value(line, before - 1, count), before)
    return until, series(value(line, before, count), line[1], count - before)


def _choose(condition: Any, a: Any, b: Any) -> Any:
    """Return one of two numbers, or of arrays element by element."""
    if is_array(condition):
        import numpy as np  # noqa: PLC0415

        return np.where(condition, a, b)
    return a if condition else b

"""Decode steps in a row, in closed form: FLOPs, bytes and times of any number of steps.

Along a stretch FLOPs and bytes of a class are arithmetic series, n (first + last) / 2. So is the
time while one of the two binds, and as their difference is linear, that changes once at most: the
steps before the crossing are one series, those after it another.
"""

from __future__ import annotations

from typing import Any, TypeAlias, cast

from memorywall.core.hardware import Hardware
from memorywall.core.numbers import halved
from memorywall.core.program import Program
from memorywall.core.results import Cost
from memorywall.cost.template.classes import Classes
from memorywall.cost.template.point import Point
from memorywall.cost.template.rows import Rows
from memorywall.cost.template.stretches import Bends

# The first and the last value of an arithmetic series.
Line: TypeAlias = tuple[float, float]


class Run:
    """What decode steps in a row cost as a whole."""

    def __init__(self, program: Program) -> None:
        c = Classes(program)
        self._dtypes = c.dtypes
        forms = [c.flops, c.moved, c.memory_alone, *c.compute, *c.compute_alone]
        for each in c.classes:
            forms += [each.flops, each.moved]
        self._rows = Rows(c.terms, forms)
        used = {place for form in forms for place in form}
        self._bends = Bends(c.terms.origins[place] for place in sorted(used))
        self._flops, self._moved, self._alone, *places = self._rows.places
        kinds = len(self._dtypes)
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
        bandwidth = cast("float", hardware.bandwidth)
        peaks = cast("list[float]", [hardware.peak(dtype) for dtype in self._dtypes])
        totals = [0, 0, 0.0, 0.0, 0.0, 0.0, 0.0]
        for stretch in self._bends.stretches(point, steps):
            first = cast("list[Any]", self._rows.at(point._replace(length=stretch.first)))
            last = first
            if stretch.count > 1:
                last = cast("list[Any]", self._rows.at(point._replace(length=stretch.last)))
            part = self._stretch(first, last, stretch.count, bandwidth, peaks)
            totals = [a + b for a, b in zip(totals, part, strict=True)]
        return Cost(*totals)

    def _stretch(
        self, first: list[Any], last: list[Any], count: int, bandwidth: float, peaks: list[float]
    ) -> tuple[Any, ...]:
        """Return the fields of the cost of one stretch, given its rows at both ends."""
        flops, moved = (
            halved((first[place] + last[place]) * count) for place in (self._flops, self._moved)
        )
        waiting = (first[self._alone] + last[self._alone]) * count / 2 / bandwidth
        busy = 0.0
        for place, peak in zip(self._compute_alone, peaks, strict=True):
            busy += (first[place] + last[place]) * count / 2 / peak
        for dtype, of_flops, of_moved in self._classes:
            peak = peaks[dtype]
            f0, f1, m0, m1 = first[of_flops], last[of_flops], first[of_moved], last[of_moved]
            at_first, at_last = m0 / bandwidth - f0 / peak, m1 / bandwidth - f1 / peak
            if at_first >= 0 and at_last >= 0:
                waiting += (m0 + m1) * count / 2 / bandwidth
            elif at_first < 0 and at_last < 0:
                busy += (f0 + f1) * count / 2 / peak
            else:
                before = crossing((f0, f1), (m0, m1), count, bandwidth, peak)
                moved_before, moved_after = split((m0, m1), count, before)
                flops_before, flops_after = split((f0, f1), count, before)
                if at_first >= 0:
                    waiting, busy = waiting + moved_before / bandwidth, busy + flops_after / peak
                else:
                    waiting, busy = waiting + moved_after / bandwidth, busy + flops_before / peak
        compute, overlapped = self._overlapped(first, last, count, bandwidth, peaks)
        return (flops, moved, compute, moved / bandwidth, busy + waiting, overlapped, waiting)

    def _overlapped(
        self, first: list[Any], last: list[Any], count: int, bandwidth: float, peaks: list[float]
    ) -> tuple[float, float]:
        """Return the seconds of arithmetic, and the sum over steps of the longer of the two."""
        c0 = sum([first[place] / peak for place, peak in zip(self._compute, peaks, strict=True)])
        c1 = sum([last[place] / peak for place, peak in zip(self._compute, peaks, strict=True)])
        m0, m1 = first[self._moved] / bandwidth, last[self._moved] / bandwidth
        compute, memory = (c0 + c1) * count / 2, (m0 + m1) * count / 2
        if m0 >= c0 and m1 >= c1:
            return compute, memory
        if m0 < c0 and m1 < c1:
            return compute, compute
        before = crossing((c0, c1), (m0, m1), count, 1.0, 1.0)
        memory_before, memory_after = split((m0, m1), count, before)
        compute_before, compute_after = split((c0, c1), count, before)
        if m0 >= c0:
            return compute, memory_before + compute_after
        return compute, compute_before + memory_after


def crossing(flops: Line, moved: Line, count: int, bandwidth: float, peak: float) -> int:
    """Return how many of some steps lie before what binds changes; it must differ at the ends.

    Where both times are equal memory binds, which rounding may put beside where the lines meet.
    """
    at_first = moved[0] / bandwidth - flops[0] / peak
    slope = (moved[1] / bandwidth - flops[1] / peak - at_first) / (count - 1)
    meet = int(-at_first / slope)
    for before in range(max(meet - 1, 1), min(meet + 3, count)):
        memory_s = at(moved, before, count) / bandwidth
        if (memory_s >= at(flops, before, count) / peak) != (at_first >= 0):
            return before
    return count - 1


def at(line: Line, step: int, count: int) -> float:
    """Return the value of a series at one of its steps, the first being 0."""
    first, last = line
    if isinstance(first, int) and isinstance(last, int):
        return first + (last - first) // (count - 1) * step
    return first + (last - first) / (count - 1) * step


def split(line: Line, count: int, before: int) -> tuple[float, float]:
    """Return the sums of a series before a step and from it on."""
    until = (line[0] + at(line, before - 1, count)) * before / 2
    return until, (at(line, before, count) + line[1]) * (count - before) / 2

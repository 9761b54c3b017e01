"""The roofline of a template at one point, by rows in the order of the program.

Times are summed in the order of the operators, as ``cost.roofline`` does it, so an answer is equal
to the last digit to that of the program lowered at that point.
"""

from __future__ import annotations

from typing import Any, cast

from memorywall.core.hardware import Hardware
from memorywall.core.numbers import maximum
from memorywall.core.program import Op, Program
from memorywall.core.results import Cost, OpCost
from memorywall.core.symbols import Expression
from memorywall.cost.template.point import Point
from memorywall.cost.template.rows import Rows, Terms


class Prices:
    """The cost of a whole program."""

    def __init__(self, program: Program) -> None:
        self._dtypes: list[str] = []
        numbers: list[Any] = []
        flops: Any = 0
        moved: Any = 0
        for _, op, repeat in program.walk():
            op_flops, op_moved = op.flops * repeat, moved_bytes(op) * repeat
            flops, moved = flops + op_flops, moved + op_moved
            if op.dtype not in self._dtypes:
                self._dtypes.append(op.dtype)
            numbers += [op_flops, op_moved]
        terms = Terms()
        rows = Rows(terms, [terms.exact(number) for number in (*numbers, flops, moved)])
        *places, self._flops, self._moved = rows.places
        dtypes = [self._dtypes.index(op.dtype) for _, op, _ in program.walk()]
        self._rows = rows
        # Of every operator that does or moves something: places of its FLOPs, of its bytes (None
        # where it moves nothing and rides on another), and its dtype.
        self._ops = [
            (place, None if is_zero(traffic) else of_traffic, dtype)
            for work, traffic, place, of_traffic, dtype in zip(
                numbers[::2], numbers[1::2], places[::2], places[1::2], dtypes, strict=True
            )
            if not (is_zero(work) and is_zero(traffic))
        ]

    def at(self, point: Point, hardware: Hardware) -> Cost:
        """Return the cost at one point, its numbers scalars.

        Raises:
            UnsupportedError: the device has no peak for the program's arithmetic or a wider one.
        """
        values = cast("list[float]", self._rows.at(point))
        bandwidth = cast("float", hardware.bandwidth)
        peaks = cast("list[float]", [hardware.peak(dtype) for dtype in self._dtypes])
        compute = memory = latency = waiting = 0.0
        for of_flops, of_moved, dtype in self._ops:
            compute_s = values[of_flops] / peaks[dtype]
            compute += compute_s
            if of_moved is None:
                latency += compute_s
                continue
            memory_s = values[of_moved] / bandwidth
            memory += memory_s
            if memory_s >= compute_s:
                latency += memory_s
                waiting += memory_s
            else:
                latency += compute_s
        flops, moved = values[self._flops], values[self._moved]
        overlapped = max(compute, memory)
        return Cost(flops, moved, compute, memory, latency, overlapped, waiting)


class Listing:
    """The cost of every operator of a program."""

    def __init__(self, program: Program) -> None:
        numbers: list[Any] = []
        self._ops: list[tuple[str, str, int, int, str, tuple[str, ...]]] = []
        for path, op, repeat in program.walk():
            traffic = op.traffic
            numbers += [op.flops, moved_bytes(op), *traffic.values()]
            runs = repeat if op.runs else 0
            self._ops.append((path, op.kind, repeat, runs, op.dtype, tuple(traffic)))
        terms = Terms()
        self._rows = Rows(terms, [terms.exact(number) for number in numbers])

    def at(self, point: Point, hardware: Hardware) -> list[OpCost]:
        """Return every operator's cost over its repetitions, its numbers scalars or arrays."""
        values = self._rows.at(point)
        places = iter(self._rows.places)
        bandwidth = hardware.bandwidth
        peaks = {dtype: hardware.peak(dtype) for dtype in {op[4] for op in self._ops}}
        costs = []
        for path, kind, repeat, runs, dtype, roles in self._ops:
            flops, moved = values[next(places)], values[next(places)]
            compute_s, memory_s = flops / peaks[dtype], moved / bandwidth
            slower = maximum(compute_s, memory_s)
            waiting = slower * (memory_s >= compute_s)
            parts = (flops, moved, compute_s, memory_s, slower, slower, waiting)
            cost = Cost(*(part * repeat for part in parts))
            each = {role: values[next(places)] for role in roles}
            traffic = {role: part * repeat for role, part in each.items()}
            least = maximum(moved, 1)
            waits = {role: waiting * repeat * part / least for role, part in each.items()}
            costs.append(OpCost(path, kind, runs, cost, traffic, waits))
        return costs


def moved_bytes(op: Op) -> Any:
    """Return the bytes of all that one execution moves: those that are whole first, as ``Op``."""
    whole: Any = 0
    rest: Any = None
    for tensor in op.reads + op.writes:
        moved: Any = tensor.moved_bytes
        if isinstance(moved, Expression | float):
            rest = moved if rest is None else rest + moved
        else:
            whole = whole + moved
    return whole if rest is None else rest + whole


def is_zero(number: object) -> bool:
    """Return whether a number is zero at every point."""
    return type(number) is int and number == 0

"""The roofline of a template at one point, by rows in the order of the program.

Times are summed in the order of the operators, as ``cost.roofline`` does it, so an answer is equal
to the last digit to that of the program lowered at that point.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast, overload

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


class _Place(NamedTuple):
    """An operator of a program: its path, class, repeat, runs, dtype, and the roles it moves."""

    path: str
    kind: str
    repeat: int
    runs: int
    dtype: str
    roles: tuple[str, ...]


class Listing:
    """The cost of every operator of a program."""

    def __init__(self, program: Program) -> None:
        self._ops: list[_Place] = []
        self._numbers: list[list[Any]] = []  # FLOPs, bytes, and bytes by role, of each operator
        for path, op, repeat in program.walk():
            traffic, runs = op.traffic, repeat if op.runs else 0
            self._numbers.append([op.flops, moved_bytes(op), *traffic.values()])
            self._ops.append(_Place(path, op.kind, repeat, runs, op.dtype, tuple(traffic)))
        self._rows = _rows_of(number for numbers in self._numbers for number in numbers)
        self._alone: dict[int, Rows] = {}

    def __len__(self) -> int:
        return len(self._ops)

    def at(self, point: Point, hardware: Hardware) -> list[OpCost]:
        """Return every operator's cost over its repetitions, its numbers scalars or arrays."""
        values = self._rows.at(point)
        places = iter(self._rows.places)
        return [
            _cost_of(op, [values[next(places)] for _ in numbers], hardware)
            for op, numbers in zip(self._ops, self._numbers, strict=True)
        ]

    def one(self, index: int, point: Point, hardware: Hardware) -> OpCost:
        """Return one operator's cost over its repetitions, its numbers scalars or arrays."""
        if index not in self._alone:
            self._alone[index] = _rows_of(self._numbers[index])
        rows = self._alone[index]
        values = rows.at(point)
        return _cost_of(self._ops[index], [values[place] for place in rows.places], hardware)


class Operators(Sequence[OpCost]):
    """The operators of a program at many points, each priced when it is read and not kept.

    A million points of all operators at once would take gigabytes.
    """

    def __init__(self, listing: Listing, point: Point, hardware: Hardware) -> None:
        self._listing, self._point, self._hardware = listing, point, hardware

    def __len__(self) -> int:
        return len(self._listing)

    @overload
    def __getitem__(self, index: int) -> OpCost: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[OpCost]: ...

    def __getitem__(self, index: int | slice) -> OpCost | Sequence[OpCost]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        return self._listing.one(range(len(self))[index], self._point, self._hardware)


def _rows_of(numbers: Iterable[Any]) -> Rows:
    terms = Terms()
    return Rows(terms, [terms.exact(number) for number in numbers])


def _cost_of(op: _Place, values: Sequence[Any], hardware: Hardware) -> OpCost:
    """Return an operator's cost from its FLOPs, its bytes, and its bytes by role."""
    flops, moved, *by_role = values
    compute_s, memory_s = flops / hardware.peak(op.dtype), moved / hardware.bandwidth
    slower = maximum(compute_s, memory_s)
    waiting = slower * (memory_s >= compute_s)
    repeat = op.repeat
    parts = (flops, moved, compute_s, memory_s, slower, slower, waiting)
    cost = Cost(*(part * repeat for part in parts))
    each = dict(zip(op.roles, by_role, strict=True))
    traffic = {role: part * repeat for role, part in each.items()}
    least = maximum(moved, 1)
    waits = {role: waiting * repeat * part / least for role, part in each.items()}
    return OpCost(op.path, op.kind, op.runs, cost, traffic, waits)


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

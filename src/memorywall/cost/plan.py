"""The time of a pass by its kernels: the calls of a program, each by its formula.

Products with as many rows are one group, whose formula runs once for all of them; the sum of a
group at a number is kept, so that steps of one batch differ in their attention alone. Decode steps
in a row are sampled along their lengths, between which all formulas are nearly straight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, prod
from typing import Any

import numpy as np

from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Table
from memorywall.core.numbers import Array, Number, is_array
from memorywall.cost.calls import Call
from memorywall.cost.kernels import find_kernel
from memorywall.cost.other_calls import roofs, stream
from memorywall.cost.template.point import Point
from memorywall.cost.template.rows import Rows, Terms

# Lengths at which steps in a row are priced; as few steps are all priced.
SAMPLES = 16
# Sums of a group that are kept.
_MOST_KEPT = 4096
# Points priced at once: arrays of a block, with an axis of candidates, fit the processor's cache.
_BLOCK = 2048

# The kinds whose constants calls without a measured kernel have.
_PRICED_AS = {"stream": "gemm", "roofs": "gemm"}

Lookup = Callable[[str, str], Table]


@dataclass(slots=True, eq=False)
class _Group:
    """Calls with one formula, priced together along a trailing axis.

    Attributes:
        kernel: the kind.
        table: its constants and interval.
        seconds: the varying arguments in, seconds out, of one execution of each call.
        places: where the varying arguments are among the values of a point.
        repeats: executions of each call.
        executions: of all calls.
        calls: the calls.
        floor_s: of one execution, the time of its launch.
        kept: sums at numbers.
    """

    kernel: str
    table: Table
    seconds: Callable[..., Number]
    places: tuple[int, ...]
    repeats: Array
    executions: int
    calls: tuple[Call, ...]
    floor_s: float
    kept: dict[tuple[Number, ...], float]

    def total(self, values: Sequence[Any]) -> Number:
        """Return the seconds of all calls at a point, or at points that broadcast."""
        arguments = tuple([values[place] for place in self.places])
        if any(is_array(argument) for argument in arguments):
            return self._total_many(arguments)
        known = self.kept.get(arguments)
        if known is None:
            found = self.seconds(*arguments)
            same = np.ndim(found) == 0  # calls with one formula, such as norms of one width
            known = float(found * self.executions if same else found @ self.repeats)
            if len(self.kept) >= _MOST_KEPT:
                self.kept.clear()
            self.kept[arguments] = known
        return known

    def each(self, arguments: Sequence[Any]) -> Array:
        """Return the seconds of each call along a trailing axis."""
        spread = [a[..., None] if is_array(a) else a for a in arguments]
        found = np.asarray(self.seconds(*spread), dtype=np.float64)
        calls = len(self.calls)
        return found if found.shape[-1:] == (calls,) else np.broadcast_to(
            found, (*found.shape[:-1], calls)
        )  # fmt: skip

    def _total_many(self, arguments: Sequence[Any]) -> Array:
        shape = np.broadcast_shapes(*[np.shape(argument) for argument in arguments])
        if prod(shape) <= _BLOCK:
            return np.asarray(self.each(arguments) @ self.repeats)
        found = np.empty(shape)
        rows = max(1, _BLOCK // max(1, prod(shape[1:])))
        for start in range(0, shape[0], rows):
            part = [_rows_of(a, len(shape), start, rows) for a in arguments]
            if prod(shape[1:]) > _BLOCK and len(shape) > 1:
                row = [a[0] if _leads(a, len(shape)) else a for a in part]
                found[start] = self._total_many(row)
            else:
                found[start : start + rows] = self.each(part) @ self.repeats
        return found


def _leads(argument: Any, axes: int) -> bool:
    return is_array(argument) and argument.ndim == axes


def _rows_of(argument: Any, axes: int, start: int, rows: int) -> Any:
    """Return some rows along the leading axis of an array, which may be one along it."""
    if not _leads(argument, axes) or argument.shape[0] == 1:
        return argument
    return argument[start : start + rows]


@dataclass(frozen=True, slots=True, eq=False)
class Spent:
    """Seconds of a pass by kind of kernel, and of its host.

    Attributes:
        by_kind: seconds of each kind.
        host_s: seconds of the host.
        total: all together.
    """

    by_kind: Mapping[str, Number]
    host_s: Number
    total: Number


class Plan:
    """The kernels of a program on a device.

    Args:
        calls: those of a program with symbols for its lengths, fused.
        hardware: the device.
        lookup: a kind and a dtype in, the device's table out.
    """

    def __init__(self, calls: list[Call], hardware: Hardware, lookup: Lookup) -> None:
        self.calls = calls
        self.hardware = hardware
        terms = Terms()
        rows: dict[str, int] = {}
        forms: list[Any] = []

        def place(number: Any) -> int:
            text = str(number)
            if text not in rows:
                rows[text] = len(forms)
                forms.append(terms.exact(number))
            return rows[text]

        groups = _grouped(self.calls)
        places = [tuple([place(v) for v in calls[0].varying.values()]) for calls in groups]
        self._rows = Rows(terms, forms)
        at = self._rows.places
        self.groups = [
            _group(calls, tuple([at[each] for each in some]), hardware, lookup)
            for calls, some in zip(groups, places, strict=True)
        ]
        self.host_s = lookup("step", "").constants["step_s"]
        self._kept: dict[tuple[Point, int], Spent] = {}

    def spent(self, point: Point, steps: int = 0) -> Spent:
        """Return the seconds of one run at a point, or at points that broadcast.

        With ``steps``, of as many decode steps in a row, the first at the point's length.
        """
        if any(is_array(number) for number in point):
            return self._over(point, steps) if steps else self._at(point)
        known = self._kept.get((point, steps))
        if known is None:
            known = self._over(point, steps) if steps else self._at(point)
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[point, steps] = known
        return known

    def _at(self, point: Point) -> Spent:
        values = self._rows.at(point)
        by_kind: dict[str, Number] = {}
        total: Number = self.host_s
        for group in self.groups:
            seconds = group.total(values)
            by_kind[group.kernel] = by_kind.get(group.kernel, 0.0) + seconds
            total = total + seconds
        return Spent(by_kind, self.host_s, total)

    def _over(self, point: Point, steps: int) -> Spent:
        lengths, weights = _samples(steps)
        stepped = Point(*[n[..., None] if is_array(n) else n for n in point])
        found = self._at(stepped._replace(length=stepped.length + lengths))
        by_kind = {kind: _along(s, weights, steps) for kind, s in found.by_kind.items()}
        total = _along(found.total, weights, steps)
        return Spent(by_kind, found.host_s * steps, total)

    def each(self, point: Point, steps: int = 0) -> list[tuple[Call, Number, float]]:
        """Return every call with the seconds of all of its executions, and their launches'."""
        weights = None
        if steps:
            lengths, weights = _samples(steps)
            stepped = Point(*[n[..., None] if is_array(n) else n for n in point])
            point = stepped._replace(length=stepped.length + lengths)
        values, found = self._rows.at(point), []
        times = steps or 1
        for group in self.groups:
            seconds = group.each([values[place] for place in group.places]) * group.repeats
            for index, call in enumerate(group.calls):
                spent: Number = seconds[..., index]
                spent = spent if weights is None else _along(spent, weights, steps)
                launched = group.floor_s * call.repeat * times
                found.append((call, spent if np.ndim(spent) else float(spent), launched))
        return found

    def interval(self, spent: Spent, system: Table) -> tuple[Number, Number]:
        """Return factors of the ends of the 80 % interval of a time.

        The error of a kind on a device is the same in all layers; those of different kinds, and
        of the system around them, are independent: their squares add.
        """
        tables = {group.kernel: group.table for group in self.groups}
        return tuple(
            _end([(s / spent.total, getattr(tables[k], end)) for k, s in spent.by_kind.items()],
                 getattr(system, end))
            for end in ("low", "high")
        )  # type: ignore[return-value]  # fmt: skip


def _end(parts: Sequence[tuple[Number, float]], system: float) -> Number:
    square: Number = log(system) ** 2
    for share, factor in parts:
        square = square + (share * log(factor)) ** 2
    sign = -1 if system <= 1 and all(factor <= 1 for _, factor in parts) else 1
    return np.exp(sign * np.sqrt(square)) if is_array(square) else exp(sign * float(square) ** 0.5)


def _grouped(calls: Sequence[Call]) -> list[list[Call]]:
    """Return calls by formula: products with as many rows together, others if they are the same."""
    groups: dict[object, list[Call]] = {}
    for call in calls:
        varying = tuple(str(number) for number in call.varying.values())
        key: tuple[object, ...] = (call.kernel, call.dtype, call.arithmetic, varying)
        if call.kernel != "gemm":
            key = (*key, tuple(call.shape.items()))
        groups.setdefault(key, []).append(call)
    return list(groups.values())


def _group(
    calls: list[Call], places: tuple[int, ...], hardware: Hardware, lookup: Lookup
) -> _Group:
    first = calls[0]
    kind = _PRICED_AS.get(first.kernel, first.kernel)
    table = lookup(kind, "bf16" if first.kernel in _PRICED_AS else first.dtype)
    seconds = _formula(calls, hardware, table)
    return _Group(
        first.kernel, table, seconds, places, np.array([float(c.repeat) for c in calls]),
        sum(c.repeat for c in calls), tuple(calls), table.constants.get("launch_s", 0.0), {},
    )  # fmt: skip


def _formula(calls: list[Call], hardware: Hardware, table: Table) -> Callable[..., Number]:
    """Return the seconds of one execution of each call of a group, by their varying arguments."""
    first, constants = calls[0], table.constants
    if first.kernel == "stream":
        return stream(hardware, constants)
    if first.kernel == "roofs":
        return roofs(hardware, first.arithmetic, constants)
    # The weights of a pass are read once each: no call finds them in a cache.
    shape: dict[str, Any] = {**first.shape, "cold": True, "arithmetic": first.arithmetic}
    if first.kernel == "gemm":
        shape |= {name: np.array([float(c.shape[name]) for c in calls]) for name in first.shape}
    return find_kernel(first.kernel).prepare(shape, hardware, table.dtype, constants)


def _samples(steps: int) -> tuple[Array, Array]:
    """Return lengths, from 0, at which steps in a row are priced, and the steps of each."""
    count = min(steps, SAMPLES)
    edges = np.round(np.linspace(0, steps, count + 1))
    weights = np.diff(edges)
    return np.floor((edges[:-1] + edges[1:] - 1) / 2), weights


def _along(seconds: Number, weights: Array, steps: int) -> Number:
    """Sum over steps in a row, of samples along the trailing axis."""
    if not is_array(seconds) or seconds.shape[-1:] != weights.shape:
        return seconds[..., 0] * steps if is_array(seconds) else seconds * steps
    total = seconds @ weights
    return total if np.ndim(total) else float(total)

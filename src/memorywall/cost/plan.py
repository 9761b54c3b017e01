"""The time of a pass by its kernels: the calls of a program, each by its formula.

Products with as many rows are one group, whose formula runs once for all of them; the sum of a
group at a number is kept, so that steps of one batch differ in their attention alone. Decode steps
in a row are sampled along their lengths, between which all formulas are nearly straight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import exp, log, prod
from typing import Any

import numpy as np

from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Table
from memorywall.core.numbers import Array, Number, is_array, maximum
from memorywall.cost.calls import Call
from memorywall.cost.kernels import find_kernel
from memorywall.cost.other_calls import roofs, stream
from memorywall.cost.template.point import Point
from memorywall.cost.template.rows import Rows, Terms

# Lengths at which steps in a row are priced; as few steps are all priced.
SAMPLES = 32
# Sums of a group that are kept.
_MOST_KEPT = 4096
# Points priced at once: arrays of a block, with an axis of candidates, fit the processor's cache.
_BLOCK = 2048

# Kernels whose formulas count other work than a program does: never faster than its roofs.
_MAY_BE_BELOW = ("attention_decode", "attention_prefill", "moe")
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
        roofs: of each call, where its FLOPs and its bytes are among the values of a point, and the
            rates at which none can be faster; none for kernels whose formula holds that.
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
    roofs: tuple[tuple[int, int, float, float], ...]
    kept: dict[tuple[Number, ...], float]

    def total(self, values: Sequence[Any]) -> Number:
        """Return the seconds of all calls at a point, or at points that broadcast."""
        arguments = tuple([values[place] for place in self.places])
        if any(is_array(argument) for argument in arguments):
            return self.many(values, self.repeats)
        known = self.kept.get(arguments)
        if known is None:
            found = self._at(arguments, self._floors(values))
            same = np.ndim(found) == 0  # calls with one formula, such as norms of one width
            known = float(found * self.executions if same else found @ self.repeats)
            if len(self.kept) >= _MOST_KEPT:
                self.kept.clear()
            self.kept[arguments] = known
        return known

    def many(self, values: Sequence[Any], weights: Array) -> Array:
        """Return sums of the calls' seconds, each times a weight, at points that broadcast."""
        arguments = [values[place] for place in self.places]
        return self._blocks(arguments, self._floors(values), weights)

    def _floors(self, values: Sequence[Any]) -> list[Any]:
        """Return the seconds of each call at the device's roofs; none where no call is below."""
        return [
            maximum(values[flops] / peak, values[moved] / bandwidth)
            for flops, moved, peak, bandwidth in self.roofs
        ]

    def _at(self, arguments: Sequence[Any], floors: Sequence[Any]) -> Any:
        found = self.seconds(*arguments)
        if not floors:
            return found
        return np.maximum(found, floors[0] if len(floors) == 1 else floors)

    def _each(self, arguments: Sequence[Any], floors: Sequence[Any]) -> Array:
        """Return the seconds of each call along a trailing axis."""
        found = np.asarray(self.seconds(*[_deeper(a) for a in arguments]), dtype=np.float64)
        if floors:
            least = np.stack(np.broadcast_arrays(*floors), axis=-1)
            found = np.maximum(found, least)
        calls = len(self.calls)
        if found.shape[-1:] == (calls,):
            return found
        one = found[..., 0] if found.ndim and found.shape[-1] == 1 else found
        return np.broadcast_to(one[..., None], (*one.shape, calls))

    def _blocks(self, arguments: list[Any], floors: list[Any], weights: Array) -> Array:
        """Work sums out in blocks that fit the processor's cache."""
        both = [*arguments, *floors]
        shape = np.broadcast_shapes(*[np.shape(number) for number in both])
        if prod(shape) <= _BLOCK:
            return np.asarray(self._each(arguments, floors) @ weights)
        found = np.empty(shape)
        inner = prod(shape[1:])
        rows = max(1, _BLOCK // max(1, inner))
        for start in range(0, shape[0], rows):
            part = [_rows_of(number, len(shape), start, rows) for number in both]
            if inner > _BLOCK:
                part = [n[0] if _leads(n, len(shape)) else n for n in part]
            some = self._blocks(part[: len(arguments)], part[len(arguments) :], weights)
            found[start if inner > _BLOCK else slice(start, start + rows)] = some
        return found


def _deeper(number: Any) -> Any:
    """Return an array with a trailing axis of one, along which calls differ."""
    return number[..., None] if is_array(number) else number


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
        places = [[place(v) for v in calls[0].varying.values()] for calls in groups]
        roofs = [
            [(place(c.flops), place(c.moved_bytes), c.arithmetic) for c in calls]
            if calls[0].kernel in _MAY_BE_BELOW
            else []
            for calls in groups
        ]
        self._rows = Rows(terms, forms)
        at = self._rows.places
        self.groups = [
            _group(calls, [at[each] for each in some], hardware, lookup)
            for calls, some in zip(groups, places, strict=True)
        ]
        bandwidth = float(hardware.bandwidth)
        for group, some in zip(self.groups, roofs, strict=True):
            group.roofs = tuple(
                (at[flops], at[moved], float(hardware.peak(arithmetic)), bandwidth)
                for flops, moved, arithmetic in some
            )
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

    def calls_at(
        self, point: Point, steps: int = 0
    ) -> Sequence[tuple[Call, Callable[[], Number], float]]:
        """Return every call with a function of its seconds, and the seconds of its launches.

        They are of all executions; with ``steps``, of as many steps in a row.
        """
        weights = None
        if steps:
            lengths, weights = _samples(steps)
            stepped = Point(*[n[..., None] if is_array(n) else n for n in point])
            point = stepped._replace(length=stepped.length + lengths)
        values, found = self._rows.at(point), []
        for group in self.groups:
            for index, call in enumerate(group.calls):
                alone = np.zeros(len(group.calls))
                alone[index] = call.repeat
                seconds = partial(_seconds, group, values, alone, weights, steps)
                found.append((call, seconds, group.floor_s * call.repeat * (steps or 1)))
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


def _seconds(
    group: _Group, values: Sequence[Any], alone: Array, weights: Array | None, steps: int
) -> Number:
    """Return the seconds of one call of a group."""
    found = group.many(values, alone)
    if weights is not None:
        return _along(found, weights, steps)
    return found if found.ndim else float(found)


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


def _group(calls: list[Call], places: Sequence[int], hardware: Hardware, lookup: Lookup) -> _Group:
    first = calls[0]
    kind = _PRICED_AS.get(first.kernel, first.kernel)
    table = lookup(kind, "bf16" if first.kernel in _PRICED_AS else first.dtype)
    seconds = _formula(calls, hardware, table)
    return _Group(
        first.kernel, table, seconds, tuple(places), np.array([float(c.repeat) for c in calls]),
        sum(c.repeat for c in calls), tuple(calls), table.constants.get("launch_s", 0.0), (), {},
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
    if not is_array(seconds) or seconds.ndim == 0:
        return float(seconds) * steps
    if seconds.shape[-1:] != weights.shape:
        return seconds[..., 0] * steps
    total = seconds @ weights
    return total if np.ndim(total) else float(total)

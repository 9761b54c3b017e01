"""Runs of lengths along which every row is an arithmetic series.

Between the lengths at which a window fills or a chunk or page begins, all rows of a decode step
are linear in its length; or linear at every so-many-th length, where something is rounded. A
stretch is such a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from math import gcd, lcm
from typing import Any, NamedTuple

from memorywall.core.numbers import Number, floored, is_array, maximum, minimum
from memorywall.core.symbols import (
    Atom,
    Expression,
    Least,
    Monomial,
    Rounded,
    Symbol,
    evaluate,
    variables_of,
)
from memorywall.cost.template.point import VARIABLES, Point

_LENGTH = "S"


class Stretch(NamedTuple):
    """Lengths in steps of ``stride``: ``first``, ``first + stride``, ..., ``count`` of them.

    Of many points they are arrays, and may be of no step at some.
    """

    first: Any
    stride: int
    count: Any

    @property
    def last(self) -> Any:
        """The last of them."""
        return self.first + (self.count - 1) * self.stride


class Bends:
    """Where rows bend along the length.

    Attributes:
        straight: whether rows are linear between bends at all; else only a step at a time is.
    """

    def __init__(self, origins: Iterable[Monomial | Symbol | Expression | None]) -> None:
        self.straight = True
        self._limits: dict[str, Least] = {}
        self._roundings: dict[str, Rounded] = {}
        self._stride = 1
        for origin in origins:
            if isinstance(origin, tuple):
                self._note([atom for atom in origin if _LENGTH in variables_of(atom)])
            else:
                self.straight = self.straight and _LENGTH not in variables_of(origin)

    def stretches(self, point: Point, steps: int) -> Iterator[Stretch]:
        """Yield the stretches of some steps, the first at the point's length."""
        first: Any = point.length
        if not (self._limits or self._roundings or self._stride > 1) and self.straight:
            yield Stretch(first, 1, steps)
            return
        if not self.straight:
            yield from (Stretch(first + step, 1, 1 + 0 * first) for step in range(steps))
            return
        starts, stride = [first, first + steps], self._stride
        for limit in self._limits.values():
            slope, value = _line(limit.inner, point)
            starts.append(first - floored(value - limit.limit, slope))
        for rounding in self._roundings.values():
            slope, value = _line(rounding.inner, point)
            number = rounding.number
            multiples = _most(floored(slope * steps, number)) + 1
            period = number if is_array(slope) else number // gcd(number, int(slope))
            if period < multiples:
                stride = lcm(stride, period)
                continue
            # Past a multiple what is rounded up is one more, and at a multiple the others begin.
            above = value - int(rounding.rounding == "ceil") - floored(value, number) * number
            starts += [first - floored(above - m * number, slope) for m in range(multiples + 1)]
        for low, high in pairwise(_in_order(starts, first, first + steps)):
            for offset in range(min(stride, _most(high - low))):
                yield Stretch(low + offset, stride, -floored(offset - (high - low), stride))

    def _note(self, growing: list[Atom]) -> None:
        """Note the atoms of one product that the length is in: it must be one, and linear."""
        self.straight = self.straight and len(growing) < 2
        for atom in growing:
            if isinstance(atom, Least) and isinstance(atom.limit, int) and _is_linear(atom.inner):
                self._limits[atom.text] = atom
            elif isinstance(atom, Rounded) and _is_linear(atom.inner):
                self._roundings[atom.text] = atom
            elif isinstance(atom, Rounded) and atom.inner.divisor == 1:
                # Of what bends itself: its bends count, and between them every so-many-th length.
                self._stride = lcm(self._stride, atom.number)
                for monomial in atom.inner.terms:
                    inner = [part for part in monomial if _LENGTH in variables_of(part)]
                    self.straight = self.straight and not any(isinstance(a, Rounded) for a in inner)
                    self._note(inner)
            elif atom.text != _LENGTH:
                self.straight = False


def _line(symbol: Symbol, point: Point) -> tuple[Any, Any]:
    """Return the slope of a polynomial along the length, and its value at a point."""
    if symbol.text == _LENGTH:  # nearly always
        return 1, point.length
    at = dict(zip(VARIABLES, point, strict=True))
    value = evaluate(symbol, at)
    return evaluate(symbol, {**at, _LENGTH: at[_LENGTH] + 1}) - value, value


def _is_linear(symbol: Symbol) -> bool:
    """Return whether a polynomial is linear in the length and grows with it."""
    for monomial, coefficient in symbol.terms.items():
        growing = [atom.text for atom in monomial if _LENGTH in variables_of(atom)]
        if growing not in ([], [_LENGTH]) or (growing and coefficient < 0):
            return False
    return symbol.divisor == 1


def _most(number: Number) -> int:
    return int(number.max()) if is_array(number) else int(number)


def _in_order(starts: list[Any], first: Any, end: Any) -> list[Any]:
    """Return lengths in order, without those before the first or past the end."""
    within: list[Any] = [minimum(maximum(start, first), end) for start in starts]
    if not any(is_array(start) for start in within):
        return sorted(set(within))
    import numpy as np  # noqa: PLC0415

    return list(np.sort(np.broadcast_arrays(*within), axis=0))

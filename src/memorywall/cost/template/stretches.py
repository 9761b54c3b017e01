"""Runs of lengths along which every row is an arithmetic series.

Between the lengths at which a window fills or a chunk or page begins, all rows of a decode step
are linear in its length; or linear at every so-many-th length, where something is rounded. A
stretch is such a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from math import gcd, lcm
from typing import NamedTuple

from memorywall.core.symbols import Atom, Expression, Least, Monomial, Rounded, Symbol, evaluate
from memorywall.cost.template.point import VARIABLES, Point

_LENGTH = "S"


class Stretch(NamedTuple):
    """Lengths in steps of ``stride``: ``first``, ``first + stride``, ..., ``count`` of them."""

    first: int
    stride: int
    count: int

    @property
    def last(self) -> int:
        """The last of them."""
        return self.first + (self.count - 1) * self.stride


class Bends:
    """Where rows bend along the length.

    Attributes:
        straight: whether rows are linear between bends at all; else only a step at a time is.
    """

    def __init__(self, origins: Iterable[Monomial | Expression | None]) -> None:
        self.straight = True
        self._limits: dict[str, Least] = {}
        self._roundings: dict[str, Rounded] = {}
        for origin in origins:
            if isinstance(origin, Expression):
                self.straight = self.straight and not _has_length(origin)
            elif origin is not None:
                self._note([atom for atom in origin if _atom_has_length(atom)])

    def _note(self, growing: list[Atom]) -> None:
        """Note the atoms of one product that the length is in: it must be one, and linear."""
        self.straight = self.straight and len(growing) < 2
        for atom in growing:
            if isinstance(atom, Least) and isinstance(atom.limit, int) and _is_linear(atom.inner):
                self._limits[atom.text] = atom
            elif isinstance(atom, Rounded) and _is_linear(atom.inner):
                self._roundings[atom.text] = atom
            elif atom.text != _LENGTH:
                self.straight = False

    def stretches(self, point: Point, steps: int) -> Iterator[Stretch]:
        """Yield the stretches of some steps, the first at the point's length."""
        first = int(point.length)
        end = first + steps
        if not self.straight:
            yield from (Stretch(length, 1, 1) for length in range(first, end))
            return
        starts, stride = {first, end}, 1
        for limit in self._limits.values():
            slope, value = _line(limit.inner, point)
            starts.add(first - (value - limit.limit) // slope)
        for rounding in self._roundings.values():
            slope, value = _line(rounding.inner, point)
            period = rounding.number // gcd(rounding.number, slope)
            if period <= slope * steps // rounding.number:
                stride = lcm(stride, period)
                continue
            # Past a multiple what is rounded up is one more, and at a multiple the others begin.
            up = int(rounding.rounding == "ceil")
            number = rounding.number
            for multiple in range(value // number, (value + slope * steps) // number + 1):
                starts.add(first - (value - up - multiple * number) // slope)
        bounds = sorted(start for start in starts if first <= start <= end)
        for low, high in pairwise(bounds):
            for start in range(low, min(low + stride, high)):
                yield Stretch(start, stride, -(-(high - start) // stride))


def _line(symbol: Symbol, point: Point) -> tuple[int, int]:
    """Return the slope of a polynomial along the length, and its value at a point."""
    at = dict(zip(VARIABLES, point, strict=True))
    value = evaluate(symbol, at)
    return evaluate(symbol, {**at, _LENGTH: at[_LENGTH] + 1}) - value, value


def _is_linear(symbol: Symbol) -> bool:
    """Tell whether a polynomial is linear in the length and grows with it."""
    powers = [sum(_atom_has_length(atom) for atom in m) for m in symbol.terms]
    named = all(a.text == _LENGTH for m in symbol.terms for a in m if _atom_has_length(a))
    grows = all(c > 0 for m, c in symbol.terms.items() if any(_atom_has_length(a) for a in m))
    return max(powers) < 2 and named and grows and symbol.divisor == 1


def _atom_has_length(atom: Atom) -> bool:
    return atom.text == _LENGTH or any(_has_length(part) for part in atom.parts())


def _has_length(number: object) -> bool:
    if isinstance(number, Symbol):
        return any(_atom_has_length(atom) for monomial in number.terms for atom in monomial)
    return isinstance(number, Expression) and any(_has_length(part) for part in number.parts)

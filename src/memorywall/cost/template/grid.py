"""Sums over terms on an outer grid: terms are products of a row's factor and a column's.

Where every input varies along one axis, or along others, that axis is the columns and all others
are the rows. A row then has separate coefficients over few terms of the columns: bounds settle it
alone, and a block of rows is one small product. A term that mixes both, as min(B S, vocabulary)
does, is worked out at every point.
"""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from memorywall.core.numbers import Array, is_array
from memorywall.core.symbols import variables_of
from memorywall.cost.template.point import VARIABLES, Point
from memorywall.cost.template.points import (
    Column,
    Joined,
    Points,
    Sum,
    axes_of,
    flattened,
    multiply,
)
from memorywall.cost.template.rows import Terms

# Points of a block; an axis that is shorter than this is not worth it; rows at a time.
BLOCK = 32768
SHORTEST = 32
ROWS = 8192

# Rows of a grid for which something is worked out: all in a range, or a list.
_Rows: TypeAlias = "slice | Array"


class _Factors(NamedTuple):
    """A term times a rate, as what rows have and which term of the columns."""

    places: tuple[int, ...]
    rate: int
    column: int


class _Part(NamedTuple):
    """A sum on some rows: coefficients of the terms of the columns, and terms that mix both."""

    rows: Array
    mixed: Sum


def column_axis(points: Points) -> int | None:
    """Return the last long axis such that no input varies along it and another; None without."""
    shape = points.shape
    axis = max((i for i, length in enumerate(shape) if length >= SHORTEST), default=None)
    if axis is None or prod(shape) == shape[axis]:
        return None
    for number in points.numbers:
        varies = axes_of(number, shape)
        if varies[axis] and sum(varies) > 1:
            return None
    return axis


def evaluate_grid(terms: Terms, joined: Joined, points: Points, axis: int) -> Array:
    """Return the value of sums that are joined, as an array of the shape of the points."""
    shape = points.shape
    others = (*shape[:axis], *shape[axis + 1 :])
    out = np.empty((prod(others), shape[axis]))
    grid = _Grid(terms, joined, points, axis)
    for start in range(0, len(out), ROWS):
        grid.fill(out[start : start + ROWS], start)
    return np.moveaxis(out.reshape(*others, shape[axis]), -1, axis)


class _Grid:
    """Sums on a grid, their terms taken apart into factors of rows and of columns."""

    def __init__(self, terms: Terms, joined: Joined, points: Points, axis: int) -> None:
        self._terms, self._joined = terms, joined
        shape = points.shape
        inputs = zip((*VARIABLES, *range(len(points.rates))), points.numbers, strict=True)
        self._of_columns = {name for name, number in inputs if axes_of(number, shape)[axis]}
        on_rows = (*shape[:axis], 1, *shape[axis + 1 :])
        self._rows = points.map(lambda n: 1 if axes_of(n, shape)[axis] else flattened(n, on_rows))
        line = tuple([n if i == axis else 1 for i, n in enumerate(shape)])
        self._columns = points.map(lambda n: flattened(n, line) if axes_of(n, shape)[axis] else 1)
        self._keys: dict[tuple[tuple[int, ...], int], int] = {}
        columns = {column for total in joined.sums for column in total}
        self._factors = {column: self._factored(column) for column in sorted(columns)}
        self._table = self._terms_of_columns(shape[axis])
        self._low, self._high = self._table.min(axis=1), self._table.max(axis=1)

    def fill(self, out: Array, start: int) -> None:
        """Write the values of some rows of the grid, the first of them ``start``."""
        rows = self._rows.cut(slice(start, start + len(out)))
        base, *rest = self._parts(rows, len(out))
        others = rest[: len(self._joined.others)]
        partners = rest[len(others) :]
        open_rows = []
        for index, other in enumerate(others):
            partner = partners[index] if partners else None
            open_rows.append(self._settle(base, other, partner))
        width = self._table.shape[1]
        wide = min(width, BLOCK)
        tall = max(1, BLOCK // wide)
        for top in range(0, len(out), tall):
            for left in range(0, width, wide):
                block = slice(top, min(top + tall, len(out))), slice(left, min(left + wide, width))
                self._fill_block(out, block, rows, base, others, partners, open_rows)

    def _fill_block(
        self,
        out: Array,
        block: tuple[slice, slice],
        rows: Points,
        base: _Part,
        others: list[_Part],
        partners: list[_Part],
        open_rows: list[Array],
    ) -> None:
        here, columns = block
        mixed = self._mixed(rows, here, columns)
        target = out[block]
        multiply(base.rows[here], self._table[:, columns], target)
        for column, coefficient in base.mixed.items():
            target += coefficient * mixed[column]
        for index, other in enumerate(others):
            found = open_rows[index]
            low, high = np.searchsorted(found, (here.start, here.stop))
            if low == high:
                continue
            some = _as_range(found[low:high] - here.start)
            values = self._values(other, here, columns, some, mixed)
            if self._joined.join == "absolute":
                target[some] += np.abs(values, out=values)
            elif self._joined.join == "largest":
                target[some] = np.maximum(target[some], values)
            else:
                partner = self._values(partners[index], here, columns, some, mixed)
                target[some] += np.multiply(partner, values <= 0, out=partner)

    def _values(
        self, part: _Part, here: slice, columns: slice, some: _Rows, mixed: dict[Column, Array]
    ) -> Array:
        """Return a sum at some rows of a block."""
        rows = part.rows[here][some]
        values = np.empty((len(rows), columns.stop - columns.start))
        multiply(rows, self._table[:, columns], values)
        for column, coefficient in part.mixed.items():
            values += coefficient * np.broadcast_to(mixed[column], self._shape(here, columns))[some]
        return values

    def _shape(self, here: slice, columns: slice) -> tuple[int, int]:
        return here.stop - here.start, columns.stop - columns.start

    def _settle(self, base: _Part, other: _Part, partner: _Part | None) -> Array:
        """Move a sum into the base in rows where its bounds settle it; return the other rows."""
        every = np.arange(len(other.rows))
        if other.mixed or (partner is not None and partner.mixed):
            return every
        join = self._joined.join
        if join == "largest":
            if base.mixed:
                return every
            _, above = self._bounds(other.rows - base.rows)
            below, _ = self._bounds(other.rows - base.rows)
            base.rows[below >= 0] = other.rows[below >= 0]
            return np.flatnonzero((above > 0) & (below < 0))
        low, high = self._bounds(other.rows)
        negative, positive = high <= 0, low > 0
        if partner is not None:
            base.rows[negative] += partner.rows[negative]
        else:
            base.rows[negative] -= other.rows[negative]
            base.rows[positive] += other.rows[positive]
        return np.flatnonzero(~(negative | positive))

    def _bounds(self, rows: Array) -> tuple[Array, Array]:
        """Return the least and the largest value that each row may have."""
        above, below = np.maximum(rows, 0), np.minimum(rows, 0)
        low: Array = above @ self._low + below @ self._high
        high: Array = above @ self._high + below @ self._low
        return low, high

    def _factored(self, column: Column) -> _Factors | None:
        """Return the factors of a column; None where a term mixes rows and columns."""
        place, rate = column
        origin = self._terms.origins[place]
        parts = [(place, origin)]
        if isinstance(origin, tuple):
            parts = [(self._terms.atom_place(atom), (atom,)) for atom in origin]
        of_rows, of_columns = [], []
        for part, what in parts:
            names = variables_of(what)
            if names and names <= self._of_columns:
                of_columns.append(part)
            elif names.isdisjoint(self._of_columns):
                of_rows.append(part)
            else:
                return None
        along = rate if rate in self._of_columns else 0
        key = tuple(of_columns), along
        index = self._keys.setdefault(key, len(self._keys))
        return _Factors(tuple(of_rows), 0 if along else rate, index)

    def _terms_of_columns(self, width: int) -> Array:
        """Return the values of the factors of the columns, a row each."""
        table = np.ones((len(self._keys), width))
        needed = self._terms.needed(place for places, _ in self._keys for place in places)
        values = self._terms.some(self._columns.point, needed)
        for (places, rate), index in self._keys.items():
            for place in places:
                table[index] *= values[place]
            table[index] *= self._columns.rates[rate]
        return table

    def _parts(self, rows: Points, count: int) -> list[_Part]:
        """Return the sums at some rows."""
        known = [factors for factors in self._factors.values() if factors is not None]
        needed = self._terms.needed(place for factors in known for place in factors.places)
        values = self._terms.some(rows.point, needed)
        found = []
        for total in self._joined.sums:
            part = _Part(np.zeros((count, len(self._keys))), {})
            for column, coefficient in total.items():
                factors = self._factors[column]
                if factors is None:
                    part.mixed[column] = coefficient
                    continue
                factor: Any = reduce(
                    lambda total, place: total * values[place], factors.places, coefficient
                )
                part.rows[:, factors.column] += factor * rows.rates[factors.rate]
            found.append(part)
        return found

    def _mixed(self, rows: Points, here: slice, columns: slice) -> dict[Column, Array]:
        """Return the terms that mix rows and columns, at the points of a block."""
        mixed = [column for column, factors in self._factors.items() if factors is None]
        if not mixed:
            return {}
        down = rows.map(lambda n: n[here, None] if is_array(n) else n)
        across = self._columns.cut(columns)
        pairs = zip(down.numbers, across.numbers, strict=True)
        numbers = [b if is_array(b) else a for a, b in pairs]
        point = Point(*numbers[: len(VARIABLES)])
        rates = numbers[len(VARIABLES) :]
        values = self._terms.some(point, self._terms.needed(place for place, _ in mixed))
        return {(place, rate): values[place] * rates[rate] for place, rate in mixed}


def _as_range(rows: Array) -> _Rows:
    """Return rows in order as a range where they are one, which is faster to pick."""
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows

"""Symbols as rows of integer coefficients over shared terms, evaluated many at a time.

Terms are products of atoms; each is worked out once at a point, and a row is a short sum over
them. Whole numbers stay Python integers, so a row is exact at any length; expressions are replayed
in the order of the formula, so they round as it does. Arrays go the same way, element by element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from memorywall.core.numbers import Number, minimum
from memorywall.core.symbols import (
    Atom,
    Expression,
    Least,
    Monomial,
    Rounded,
    Symbol,
    divided,
)
from memorywall.cost.template.point import VARIABLES, Point

# From the values of the terms before it to that of one term.
Step: TypeAlias = Callable[[list[Any]], Any]


class Terms:
    """What rows are sums of: one, the variables, then atoms, their products and expressions."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._next = 1 + len(VARIABLES)
        self._places: dict[object, int] = {name: i for i, name in enumerate(VARIABLES, start=1)}
        self._places[()] = 0

    def values(self, point: Point) -> list[Any]:
        """Return the value of every term at a point."""
        found: list[Any] = [1, *point]
        for step in self.steps:
            found.append(step(found))
        return found

    def place(self, monomial: Monomial) -> int:
        """Return the place of a product of atoms among the values."""
        known = self._places.get(monomial)
        if known is not None:
            return known
        if len(monomial) == 1:
            return self._atom(monomial[0])
        left, right = self.place(monomial[:-1]), self.place(monomial[-1:])
        return self._keep(monomial, lambda v: v[left] * v[right])

    def row(self, symbol: Symbol) -> list[tuple[int, int]]:
        """Return a polynomial as (coefficient, place) pairs, its divisor left out."""
        return [(coefficient, self.place(m)) for m, coefficient in symbol.terms.items()]

    def whole(self, number: Any) -> int:
        """Return the place of a symbol or an expression among the values, as a term of its own."""
        if isinstance(number, Expression):
            return self._expression(number)
        if len(number.terms) == 1 and number.divisor == 1:
            ((monomial, coefficient),) = number.terms.items()
            if coefficient == 1:
                return self.place(monomial)
        row, divisor = self.row(number), number.divisor
        key = (frozenset(row), divisor)
        known = self._places.get(key)
        if known is not None:
            return known
        if divisor == 1:
            return self._keep(key, lambda v: sum([c * v[i] for c, i in row]))
        return self._keep(key, lambda v: divided(sum([c * v[i] for c, i in row]), divisor))

    def _atom(self, atom: Atom) -> int:
        known = self._places.get(atom.text)  # a variable
        if known is not None:
            return known
        places = [self.whole(part) for part in atom.parts()]
        first = places[0]
        if isinstance(atom, Least) and isinstance(atom.limit, int):
            limit = atom.limit
            return self._keep((atom,), lambda v: minimum(v[first], limit))
        if isinstance(atom, Rounded):
            number = atom.number
            if atom.rounding == "floor":
                return self._keep((atom,), lambda v: v[first] // number)
            if atom.rounding == "ceil":
                return self._keep((atom,), lambda v: -(-v[first] // number))
            return self._keep((atom,), lambda v: v[first] % number)
        return self._keep((atom,), lambda v: atom.value([v[i] for i in places]))

    def _expression(self, expression: Expression) -> int:
        function = expression.function
        # Each argument as (whether it is a place, the place or the constant).
        parts = [
            (True, self.whole(part)) if isinstance(part, Symbol | Expression) else (False, part)
            for part in expression.parts
        ]
        key = (function, *parts)
        known = self._places.get(key)
        if known is not None:
            return known
        if len(parts) == 2:
            (left_varies, a), (right_varies, b) = parts
            if left_varies and right_varies:
                return self._keep(key, lambda v: function(v[a], v[b]))
            if left_varies:
                return self._keep(key, lambda v: function(v[a], b))
            return self._keep(key, lambda v: function(a, v[b]))
        return self._keep(key, lambda v: function(*[v[x] if of else x for of, x in parts]))

    def _keep(self, key: object, step: Step) -> int:
        self.steps.append(step)
        self._places[key] = place = self._next
        self._next += 1
        return place


class Rows:
    """Numbers that are evaluated together; equal ones are one row.

    Attributes:
        places: where the value of each number is in what ``at`` returns.
    """

    def __init__(self, numbers: Iterable[Any]) -> None:
        self._terms = Terms()
        self._constants: list[Any] = []
        self._ones: list[tuple[int, int]] = []
        self._twos: list[tuple[int, int, int, int]] = []
        self._threes: list[tuple[int, int, int, int, int, int]] = []
        self._longer: list[list[tuple[int, int]]] = []
        self._terms_alone: list[int] = []
        groups = (
            self._constants, self._ones, self._twos, self._threes, self._longer, self._terms_alone,
        )  # fmt: skip
        known: dict[object, tuple[int, int]] = {}  # which group, and where in it
        found = [self._sort(number, groups, known) for number in numbers]
        starts = [sum(len(group) for group in groups[:i]) for i in range(len(groups))]
        self.places = [starts[group] + place for group, place in found]

    def at(self, point: Point) -> list[Number]:
        """Return the values of all rows at a point."""
        v = self._terms.values(point)
        return [
            *self._constants,
            *[a * v[i] for a, i in self._ones],
            *[a * v[i] + b * v[j] for a, i, b, j in self._twos],
            *[a * v[i] + b * v[j] + c * v[k] for a, i, b, j, c, k in self._threes],
            *[sum([a * v[i] for a, i in row]) for row in self._longer],
            *[v[i] for i in self._terms_alone],
        ]

    def _sort(
        self, number: Any, groups: tuple[list[Any], ...], known: dict[object, tuple[int, int]]
    ) -> tuple[int, int]:
        """Put a number into the group of rows of its length, unless it is known."""
        item: Any
        if isinstance(number, Symbol) and number.divisor == 1:
            item = self._terms.row(number)
            group = min(len(item), 4)
            key: object = frozenset(item)
            item = item if group == 4 else tuple([x for pair in item for x in pair])
        elif isinstance(number, Symbol | Expression):
            group, item = 5, self._terms.whole(number)
            key = item
        else:
            group, item, key = 0, number, (type(number), number)
        if key not in known:
            known[key] = group, len(groups[group])
            groups[group].append(item)
        return known[key]

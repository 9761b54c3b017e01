"""Symbols as rows of integer coefficients over shared terms, evaluated many at a time.

Terms are products of atoms; each is worked out once at a point, and a row is a short sum over
them. Whole numbers stay Python integers, so a row is exact at any length; expressions are replayed
in the order of the formula, so they round as it does. Arrays go the same way, element by element.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from memorywall.core.numbers import Number, floored, minimum
from memorywall.core.symbols import (
    Atom,
    Call,
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
# A sum over terms: the coefficient of each place among their values.
Form: TypeAlias = dict[int, Any]


class Terms:
    """The terms of rows: one, the variables, then atoms, their products and expressions.

    Attributes:
        origins: the source of each place: a product of atoms, a polynomial, an expression; None of
            a variable that nothing has.
    """

    def __init__(self) -> None:
        self.origins: list[Monomial | Symbol | Expression | None] = [(), *[None] * len(VARIABLES)]
        self._steps: list[Step] = []
        self._inputs: list[tuple[int, ...]] = []
        self._places: dict[object, int] = {name: i for i, name in enumerate(VARIABLES, start=1)}
        self._places[()] = 0

    def values(self, point: Point) -> list[Any]:
        """Return the value of every term at a point."""
        found: list[Any] = [1, *point]
        for step in self._steps:
            found.append(step(found))
        return found

    def needed(self, places: Iterable[int]) -> list[int]:
        """Return places and all that they are worked out from, in the order to work them out."""
        found, waiting = set[int](), list(places)
        while waiting:
            place = waiting.pop()
            if place > len(VARIABLES) and place not in found:
                found.add(place)
                waiting += self._inputs[place - 1 - len(VARIABLES)]
        return sorted(found)

    def some(self, point: Point, needed: Iterable[int]) -> list[Any]:
        """Return the values of the needed terms at a point, each at its place."""
        found: list[Any] = [1, *point, *[None] * len(self._steps)]
        for place in needed:
            found[place] = self._steps[place - 1 - len(VARIABLES)](found)
        return found

    def replace_calls(self, change: Callable[[Callable[[Any], Any]], Callable[[Any], Any]]) -> None:
        """Replace every function that is called whole by one that gives the same."""
        for place, origin in enumerate(self.origins):
            if isinstance(origin, Call):
                at = place - 1 - len(VARIABLES)
                function, (argument,) = change(origin.of), self._inputs[at]
                self._steps[at] = _called(function, argument)

    def atom_place(self, atom: Atom) -> int:
        """Return the place of an atom."""
        return self._atom(atom)

    def exact(self, number: Any) -> Form:
        """Return a number as a sum that is equal to it to the last digit at every point."""
        if isinstance(number, Symbol) and number.divisor == 1:
            return self._sum(number)
        if isinstance(number, Symbol | Expression):
            return {self._whole(number): 1}
        return {0: number} if number else {}

    def linear(self, number: Any) -> Form:
        """Return a number as a sum over as few terms as can be, equal to it up to rounding.

        Products with whole numbers and sums of expressions are taken apart.
        """
        if isinstance(number, Expression):
            parts, found = number.parts, None
            if number.function is operator.mul and isinstance(parts[1], int):
                found = scaled(self.linear(parts[0]), parts[1])
            elif number.function is operator.mul and isinstance(parts[0], int):
                found = scaled(self.linear(parts[1]), parts[0])
            elif number.function is operator.add:
                found = added(self.linear(parts[0]), self.linear(parts[1]))
            if found is not None:
                return found
        return self.exact(number)

    def _sum(self, symbol: Symbol) -> Form:
        return {self._product(m): coefficient for m, coefficient in symbol.terms.items()}

    def _product(self, monomial: Monomial) -> int:
        """Return the place of a product of atoms."""
        known = self._places.get(monomial)
        if known is not None:
            return known
        if len(monomial) == 1:
            return self._atom(monomial[0])
        left, right = self._product(monomial[:-1]), self._product(monomial[-1:])
        return self._keep(monomial, lambda v: v[left] * v[right], (left, right), monomial)

    def _whole(self, number: Symbol | Expression) -> int:
        """Return the place of a symbol or an expression, as a separate term."""
        if isinstance(number, Expression):
            return self._expression(number)
        form, divisor = self._sum(number), number.divisor
        row = tuple([(coefficient, place) for place, coefficient in form.items()])
        if len(row) == 1 and row[0][0] == divisor == 1:
            return row[0][1]
        key = (frozenset(row), divisor)
        known = self._places.get(key)
        if known is not None:
            return known
        step: Step = lambda v: divided(sum([c * v[i] for c, i in row]), divisor)  # noqa: E731
        return self._keep(key, step, tuple(form), number)

    def _atom(self, atom: Atom) -> int:
        known = self._places.get(atom.text)
        if known is not None:  # a variable
            self.origins[known] = (atom,)
            return known
        known = self._places.get((atom,))
        if known is not None:
            return known
        places = [self._whole(part) for part in atom.parts()]
        first = places[0]
        step: Step = lambda v: atom.value([v[i] for i in places])  # noqa: E731
        if isinstance(atom, Least) and isinstance(atom.limit, int):
            limit = atom.limit
            step = lambda v: minimum(v[first], limit)  # noqa: E731
        elif isinstance(atom, Rounded):
            number = atom.number
            step = {
                "floor": lambda v: floored(v[first], number),
                "ceil": lambda v: -floored(-v[first], number),
                "rest": lambda v: v[first] - number * floored(v[first], number),
            }[atom.rounding]
        return self._keep((atom,), step, tuple(places), (atom,))

    def _expression(self, expression: Expression) -> int:
        function = expression.function
        # Each argument as (whether it is a place, the place or the constant).
        parts = [
            (True, self._whole(part)) if isinstance(part, Symbol | Expression) else (False, part)
            for part in expression.parts
        ]
        key = (function, *parts)
        known = self._places.get(key)
        if known is not None:
            return known
        step: Step = lambda v: function(*[v[x] if of else x for of, x in parts])  # noqa: E731
        if len(parts) == 2:
            (left_varies, a), (right_varies, b) = parts
            if not right_varies:
                step = lambda v: function(v[a], b)  # noqa: E731
            elif left_varies:
                step = lambda v: function(v[a], v[b])  # noqa: E731
        return self._keep(key, step, tuple([x for of, x in parts if of]), expression)

    def _keep(
        self,
        key: object,
        step: Step,
        inputs: tuple[int, ...],
        origin: Monomial | Symbol | Expression | None = None,
    ) -> int:
        self._places[key] = place = len(self.origins)
        self.origins.append(origin)
        self._steps.append(step)
        self._inputs.append(inputs)
        return place


def _called(function: Callable[[Any], Any], argument: int) -> Step:
    return lambda v: function(v[argument])


class Rows:
    """Sums over terms that are evaluated together; equal ones are one row.

    Attributes:
        places: where the value of each sum is in what ``at`` returns.
    """

    def __init__(self, terms: Terms, forms: Iterable[Form]) -> None:
        self._terms = terms
        self._constants: list[Any] = []
        self._ones: list[tuple[Any, ...]] = []
        self._twos: list[tuple[Any, ...]] = []
        self._threes: list[tuple[Any, ...]] = []
        self._longer: list[list[tuple[Any, int]]] = []
        groups = (self._constants, self._ones, self._twos, self._threes, self._longer)
        known: dict[object, tuple[int, int]] = {}  # which group, and where in it
        found = [_sort(form, groups, known) for form in forms]
        starts = [sum(len(group) for group in groups[:i]) for i in range(len(groups))]
        self.places = [starts[group] + place for group, place in found]

    def at(self, point: Point) -> list[Number]:
        """Return the values of all rows at a point."""
        v = self._terms.values(point)
        found = self._constants + [a * v[i] for a, i in self._ones]
        if self._twos:
            found += [a * v[i] + b * v[j] for a, i, b, j in self._twos]
        if self._threes:
            found += [a * v[i] + b * v[j] + c * v[k] for a, i, b, j, c, k in self._threes]
        if self._longer:
            found += [sum([a * v[i] for a, i in row]) for row in self._longer]
        return found


def _sort(
    form: Form, groups: tuple[list[Any], ...], known: dict[object, tuple[int, int]]
) -> tuple[int, int]:
    """Put a sum into the group of rows of its length, unless it is known."""
    key = frozenset(form.items())
    if key not in known:
        item: Any = [(coefficient, place) for place, coefficient in form.items()]
        if not form or list(form) == [0]:
            group, item = 0, form.get(0, 0)
        else:
            group = min(len(form), 4)
            item = item if group == 4 else tuple([x for pair in item for x in pair])
        known[key] = group, len(groups[group])
        groups[group].append(item)
    return known[key]


def added(a: Form, b: Form) -> Form:
    """Return the sum of two sums over terms."""
    total = dict(a)
    for place, coefficient in b.items():
        total[place] = total.get(place, 0) + coefficient
    return {place: coefficient for place, coefficient in total.items() if coefficient}


def scaled(form: Form, times: int) -> Form:
    """Return a multiple of a sum over terms."""
    return {place: coefficient * times for place, coefficient in form.items()}

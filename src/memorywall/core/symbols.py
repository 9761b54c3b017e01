"""Exact symbolic numbers: the results of formulas for lengths that are not known yet.

A ``Symbol`` is a polynomial with integer coefficients over atoms: variables such as the batch, and
roundings, remainders and minima of polynomials. It replaces a number in a formula, so a forward
pass lowered once with symbols holds its work at every batch and length. Arithmetic is exact: a
polynomial at a point is the integer that the formula gives there.

A number that need not be whole (the expected number of experts of some tokens) is an
``Expression``: operations in the order they were written, so that it rounds at a point as the
formula does there.

Variables are at least one. A comparison, ``bool``, ``int`` or
``float`` of either kind raises TypeError: a formula that branches on a length has no one answer.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from math import gcd, prod
from typing import Any, Literal, NoReturn, TypeAlias
from weakref import WeakValueDictionary

from memorywall.core import numbers

Rounding: TypeAlias = Literal["floor", "ceil", "rest"]
Monomial: TypeAlias = "tuple[Atom, ...]"

_ONE: Monomial = ()


class Atom:
    """A factor of polynomials; equal atoms are one object, identified by ``text``.

    Attributes:
        text: such as ``S``, ``ceil(B*S/8)``, ``min(S, 4096)``.
        low, high: bounds of its value; None where none is known.
        grows: whether it never falls where a variable grows.
    """

    __slots__ = ("__weakref__", "grows", "high", "low", "text")

    text: str
    low: int | None
    high: int | None
    grows: bool

    def parts(self) -> tuple[Symbol, ...]:
        """Return the polynomials that it is made of."""
        return ()

    def value(self, parts: list[Any]) -> Any:
        """Return its value, given those of its parts, numbers or arrays."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.text


class Variable(Atom):
    """A whole number of at least one that is not known yet."""

    __slots__ = ()

    def __init__(self, name: str) -> None:
        self.text, self.low, self.high, self.grows = name, 1, None, True


class Rounded(Atom):
    """A polynomial over a whole number: rounded down, rounded up, or its remainder."""

    __slots__ = ("inner", "number", "rounding")

    def __init__(self, rounding: Rounding, inner: Symbol, number: int) -> None:
        self.rounding, self.inner, self.number = rounding, inner, number
        self.text = f"{rounding}({inner.text}/{number})"
        self.low, self.high, self.grows = None, None, _grows(inner)
        low = lower_bound(inner)
        if rounding == "rest":
            self.low, self.high, self.grows = 0, number - 1, False
        elif low is not None:
            self.low = -(-low // number) if rounding == "ceil" else low // number

    def parts(self) -> tuple[Symbol, ...]:
        """Return the polynomial that is rounded."""
        return (self.inner,)

    def value(self, parts: list[Any]) -> Any:
        """Return its value, given that of the polynomial."""
        (inner,) = parts
        if self.rounding == "floor":
            return inner // self.number
        return -(-inner // self.number) if self.rounding == "ceil" else inner % self.number


class Least(Atom):
    """The smaller of a polynomial and a number, or another polynomial."""

    __slots__ = ("inner", "limit")

    def __init__(self, inner: Symbol, limit: Symbol | int) -> None:
        self.inner, self.limit = inner, limit
        self.text = f"min({inner.text}, {limit.text if isinstance(limit, Symbol) else limit})"
        low, other = lower_bound(inner), lower_bound(limit)
        self.low = None if low is None or other is None else min(low, other)
        self.high = limit if isinstance(limit, int) else None
        self.grows = _grows(inner) and (isinstance(limit, int) or _grows(limit))

    def parts(self) -> tuple[Symbol, ...]:
        """Return the polynomials that are compared."""
        return (self.inner, self.limit) if isinstance(self.limit, Symbol) else (self.inner,)

    def value(self, parts: list[Any]) -> Any:
        """Return its value, given those of the polynomials."""
        limit: Any = self.limit if len(parts) == 1 else parts[1]
        return numbers.minimum(parts[0], limit)


_ATOMS: WeakValueDictionary[str, Atom] = WeakValueDictionary()


def _one_of(atom: Atom) -> Atom:
    """Return the atom of its text."""
    return _ATOMS.setdefault(atom.text, atom)


class Symbolic:
    """The operations that symbols and expressions refuse."""

    __slots__ = ()

    text: str

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError(
            f"{self.text} is not a number yet: it requires arithmetic that is the same at every "
            "batch and length, without comparing or converting it"
        )

    __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __int__ = __float__ = __index__ = _refuse
    __len__ = __iter__ = __abs__ = __round__ = __floor__ = __ceil__ = __divmod__ = _refuse
    __array__ = _refuse
    __array_ufunc__ = None  # an array leaves arithmetic to what is here
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, _: object) -> bool:
        self._refuse()

    def __ne__(self, _: object) -> bool:
        self._refuse()

    def __repr__(self) -> str:
        return self.text

    # The result is not a polynomial: it is replayed.

    def __truediv__(self, other: Any) -> Any:
        return _replayed(operator.truediv, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _replayed(operator.truediv, other, self)

    def __rpow__(self, other: Any) -> Any:
        return _replayed(operator.pow, other, self)

    def __rfloordiv__(self, other: Any) -> Any:
        return _replayed(operator.floordiv, other, self)

    def __rmod__(self, other: Any) -> Any:
        return _replayed(operator.mod, other, self)


class Symbol(Symbolic):
    """A polynomial with integer coefficients, over a common divisor if it contains halves.

    Attributes:
        terms: the coefficient of each product of atoms; ``()`` is the product of none, one.
        divisor: of the whole, without a remainder at any point.
    """

    __slots__ = ("_text", "divisor", "terms")

    def __init__(self, terms: dict[Monomial, int], divisor: int = 1) -> None:
        self.terms, self.divisor = terms, divisor
        self._text: str | None = None

    @property
    def text(self) -> str:  # type: ignore[override]
        """The polynomial, its terms in the order of the alphabet."""
        if self._text is None:
            written = sorted((_written(m), c) for m, c in self.terms.items())
            total = " + ".join([_times(c, m) for m, c in written])
            self._text = total if self.divisor == 1 else f"({total})/{self.divisor}"
        return self._text

    def __add__(self, other: Any) -> Any:
        if type(other) is int:
            if not other:
                return self
            other = Symbol({_ONE: other})
        elif type(other) is not Symbol:
            return _replayed(operator.add, self, other)
        return _sum(self, other, 1)

    def __radd__(self, other: Any) -> Any:
        return self + other if type(other) is int else _replayed(operator.add, other, self)

    def __sub__(self, other: Any) -> Any:
        if type(other) is int:
            return self + -other
        if type(other) is not Symbol:
            return _replayed(operator.sub, self, other)
        return _sum(self, other, -1)

    def __rsub__(self, other: Any) -> Any:
        return -self + other if type(other) is int else _replayed(operator.sub, other, self)

    def __neg__(self) -> Symbol:
        return Symbol({m: -c for m, c in self.terms.items()}, self.divisor)

    def __mul__(self, other: Any) -> Any:
        if type(other) is int:
            if other == 1:
                return self
            return _settled({m: c * other for m, c in self.terms.items()}, self.divisor)
        if type(other) is not Symbol:
            return _replayed(operator.mul, self, other)
        terms: dict[Monomial, int] = {}
        for left, times in self.terms.items():
            for right, coefficient in other.terms.items():
                product = _product(left, right)
                terms[product] = terms.get(product, 0) + times * coefficient
        return _settled(terms, self.divisor * other.divisor)

    def __rmul__(self, other: Any) -> Any:
        return self * other if type(other) is int else _replayed(operator.mul, other, self)

    def __pow__(self, other: Any) -> Any:
        if type(other) is not int or other < 0:
            return _replayed(operator.pow, self, other)
        return prod([self] * other)

    def __floordiv__(self, other: Any) -> Any:
        if type(other) is not int or other < 1:
            return _replayed(operator.floordiv, self, other)
        if _is_negative(self):
            return -_rounded("ceil", -self, other)
        return _rounded("floor", self, other)

    def __mod__(self, other: Any) -> Any:
        if type(other) is not int or other < 1:
            return _replayed(operator.mod, self, other)
        number = other * self.divisor
        terms = {m: c % number for m, c in self.terms.items() if c % number}
        shared = gcd(number, *terms.values())
        inner = _settled({m: c // shared for m, c in terms.items()}, 1)
        number //= shared
        if isinstance(inner, int):
            return _settled({_ONE: inner % number * shared}, self.divisor)
        atom = _one_of(Rounded("rest", inner, number))
        return _settled({(atom,): shared}, self.divisor)


class Expression(Symbolic):
    """A number that need not be whole: a function of symbols, expressions and constants.

    Attributes:
        function: the formula's function, of the values of ``parts`` at a point.
        parts: symbols and expressions, and anything else as it is.
    """

    __slots__ = ("_text", "function", "parts")

    def __init__(self, function: Callable[..., Any], *parts: Any) -> None:
        self.function, self.parts = function, parts
        self._text: str | None = None

    @property
    def text(self) -> str:  # type: ignore[override]
        """The calls; two expressions of one text have one value at every point."""
        if self._text is None:
            inner = [p.text if isinstance(p, Symbolic) else repr(p) for p in self.parts]
            self._text = f"{self.function.__name__}({', '.join(inner)})"
        return self._text

    def __add__(self, other: Any) -> Any:
        return _replayed(operator.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return _replayed(operator.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return _replayed(operator.sub, self, other)

    def __rsub__(self, other: Any) -> Any:
        return _replayed(operator.sub, other, self)

    def __mul__(self, other: Any) -> Any:
        return _replayed(operator.mul, self, other)

    def __rmul__(self, other: Any) -> Any:
        return _replayed(operator.mul, other, self)

    def __floordiv__(self, other: Any) -> Any:
        return _replayed(operator.floordiv, self, other)

    def __mod__(self, other: Any) -> Any:
        return _replayed(operator.mod, self, other)

    def __pow__(self, other: Any) -> Any:
        return _replayed(operator.pow, self, other)

    def __neg__(self) -> Any:
        return _replayed(operator.neg, self)


class Call(Expression):
    """A function of one symbol that is called whole, and stays the same past some value."""

    __slots__ = ()

    def of(self, value: Any) -> Any:
        """Return the function of a value instead of the symbol."""
        parts = [value if isinstance(part, Symbolic) else part for part in self.parts]
        return self.function(*parts)


def _replayed(function: Callable[..., Any], *parts: Any) -> Any:
    """Return an operation of numbers as an expression; a value other than a number has none."""
    if all(isinstance(part, int | float | Symbolic) for part in parts):
        return Expression(function, *parts)
    return NotImplemented


def variable(name: str) -> Symbol:
    """Return a whole number of at least one, known by its name."""
    return Symbol({(_one_of(Variable(name)),): 1})


def is_symbolic(value: object) -> bool:
    """Return whether a number is not known yet: a symbol or an expression."""
    return isinstance(value, Symbolic)


def minimum(a: Any, b: Any) -> Any:
    """Return the smaller of two numbers, at least one of them symbolic."""
    if isinstance(a, Symbol | int) and isinstance(b, Symbol | int):
        return _least(a, b)
    return Expression(numbers.minimum, a, b)


def maximum(a: Any, b: Any) -> Any:
    """Return the larger of two numbers of which one at least is symbolic."""
    if isinstance(a, Symbol | int) and isinstance(b, Symbol | int):
        return a + b - _least(a, b)
    return Expression(numbers.maximum, a, b)


def halved(a: Any) -> Any:
    """Return half of a symbol that is even at every point; half of an expression."""
    return _settled(a.terms, 2 * a.divisor) if isinstance(a, Symbol) else a / 2


def lower_bound(symbol: Symbol | int) -> int | None:
    """Return a lower bound of a polynomial; None if none is found.

    Every atom is written as its lower bound plus an excess of at least zero: if no product of
    excesses has a negative coefficient, the constant is the bound. Products with one must be
    bounded.
    """
    if isinstance(symbol, int):
        return symbol
    excess = _over_lows(symbol.terms)
    if excess is None:
        return None
    low = excess.pop(_ONE, 0)
    for monomial, coefficient in excess.items():
        if coefficient < 0:
            highest = 1
            for atom in monomial:
                if atom.high is None or atom.low is None:
                    return None
                highest *= atom.high - atom.low
            low += coefficient * highest
    return -(-low // symbol.divisor)


def variables_of(number: object) -> frozenset[str]:
    """Return the names of the variables in a number, an atom, or several of these."""
    if isinstance(number, Variable):
        return frozenset((number.text,))
    if isinstance(number, Atom):
        return variables_of(number.parts())
    if isinstance(number, Symbol):
        return variables_of(tuple(number.terms))
    if isinstance(number, Expression):
        return variables_of(number.parts)
    names = [variables_of(part) for part in number] if isinstance(number, tuple) else []
    return frozenset[str]().union(*names)


def evaluate(number: Any, point: Mapping[str, Any]) -> Any:
    """Return the value of a number at a point, given by the names of its variables."""
    if isinstance(number, Symbol):
        total: Any = 0
        for monomial, coefficient in number.terms.items():
            total = total + prod([_value(atom, point) for atom in monomial], start=coefficient)
        return divided(total, number.divisor)
    if isinstance(number, Expression):
        return number.function(*(evaluate(part, point) for part in number.parts))
    return number


def divided(total: Any, divisor: int) -> Any:
    """Return a whole number over one that divides it.

    Raises:
        ArithmeticError: it does not; a formula halved what was odd.
    """
    if divisor == 1:
        return total
    if isinstance(total, int) and total % divisor:
        raise ArithmeticError(f"{total} must be divisible by {divisor}: a formula halved it")
    return total // divisor


def _value(atom: Atom, point: Mapping[str, Any]) -> Any:
    if isinstance(atom, Variable):
        return point[atom.text]
    return atom.value([evaluate(part, point) for part in atom.parts()])


def _settled(terms: dict[Monomial, int], divisor: int = 1) -> Symbol | int:
    """Return a polynomial without zeros, in lowest terms; a constant as an integer."""
    if 0 in terms.values():
        terms = {m: c for m, c in terms.items() if c}
    if divisor != 1:
        shared = gcd(divisor, *terms.values())
        if shared != 1:
            terms, divisor = {m: c // shared for m, c in terms.items()}, divisor // shared
    if not terms:
        return 0
    if len(terms) == 1 and divisor == 1 and _ONE in terms:
        return terms[_ONE]
    return Symbol(terms, divisor)


def _sum(a: Symbol, b: Symbol, times: int) -> Symbol | int:
    divisor = a.divisor
    if divisor == b.divisor:
        terms = dict(a.terms)
    else:
        divisor = a.divisor * b.divisor // gcd(a.divisor, b.divisor)
        terms = {m: c * (divisor // a.divisor) for m, c in a.terms.items()}
        times *= divisor // b.divisor
    for monomial, coefficient in b.terms.items():
        terms[monomial] = terms.get(monomial, 0) + times * coefficient
    return _settled(terms, divisor)


def _product(a: Monomial, b: Monomial) -> Monomial:
    if not a:
        return b
    return tuple(sorted(a + b, key=_text_of)) if b else a


_text_of = operator.attrgetter("text")


def _written(monomial: Monomial) -> str:
    return "*".join([atom.text for atom in monomial])


def _times(coefficient: int, product: str) -> str:
    if not product:
        return str(coefficient)
    return product if coefficient == 1 else f"{coefficient}*{product}"


def _is_negative(symbol: Symbol) -> bool:
    """Return whether no term except the constant one is positive."""
    return all(c < 0 for m, c in symbol.terms.items() if m)


def _grows(symbol: Symbol) -> bool:
    """Return whether a polynomial never falls when a variable grows."""
    positive = all(c > 0 for m, c in symbol.terms.items() if m)
    return positive and all(atom.grows for atom in chain.from_iterable(symbol.terms))


def _rounded(rounding: Literal["floor", "ceil"], symbol: Symbol, number: int) -> Symbol | int:
    """Return a polynomial over a number, rounded: whole multiples of the number leave the atom."""
    number *= symbol.divisor
    whole = _settled({m: c // number for m, c in symbol.terms.items()})
    inside = {m: c % number for m, c in symbol.terms.items() if c % number}
    constant = inside.pop(_ONE, 0)
    if not inside:
        more = -(-constant // number) if rounding == "ceil" else 0
        return whole + more
    shared = gcd(number, *inside.values())
    # If all other terms are multiples of the common factor, the constant counts in whole multiples
    # of it.
    constant = -(-constant // shared) if rounding == "ceil" else constant // shared
    number //= shared
    inside = {m: c // shared for m, c in inside.items()}
    if constant:
        inside[_ONE] = constant
    if number == 1:
        rest: Any = _settled(inside)
    else:
        rest = Symbol({(_one_of(Rounded(rounding, Symbol(inside), number)),): 1})
    total: Symbol | int = whole + rest
    return total


def _least(a: Symbol | int, b: Symbol | int) -> Symbol | int:
    """Return the smaller of two polynomials, which their difference may settle."""
    difference = a - b
    low, high = lower_bound(difference), lower_bound(-difference)
    if low is not None and low >= 0:
        return b
    if high is not None and high >= 0:
        return a
    if isinstance(a, int):
        a, b = b, a
    assert isinstance(a, Symbol)  # two integers are settled
    if isinstance(b, Symbol) or a.divisor != 1:
        return Symbol({(_one_of(Least(a, b)),): 1})
    if _is_negative(a):  # min(-q, b) = -max(q, -b)
        largest: Symbol | int = -maximum(-a, -b)
        return largest
    constant = a.terms.get(_ONE, 0)
    inner, limit = {m: c for m, c in a.terms.items() if m}, b - constant
    shared = gcd(limit, *inner.values())
    inner = {m: c // shared for m, c in inner.items()}
    atom = _one_of(Least(Symbol(inner), limit // shared))
    return _settled({(atom,): shared, _ONE: constant})


def _over_lows(terms: dict[Monomial, int]) -> dict[Monomial, int] | None:
    """Rewrite a polynomial in what atoms exceed their lower bounds by; None where one has none."""
    found: dict[Monomial, int] = {}
    for monomial, coefficient in terms.items():
        parts: Iterable[tuple[Monomial, int]] = [(_ONE, coefficient)]
        for atom in monomial:  # (low + excess) times the current product
            if atom.low is None:
                return None
            low = [(m, c * atom.low) for m, c in parts if atom.low]
            parts = [*low, *((_product(m, (atom,)), c) for m, c in parts)]
        for product, times in parts:
            found[product] = found.get(product, 0) + times
    return found

"""Symbols equal the numbers that they represent: laws against Python's arithmetic."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memorywall.core.numbers import halved, maximum, minimum
from memorywall.core.symbols import (
    Call,
    Expression,
    Symbol,
    evaluate,
    is_symbolic,
    lower_bound,
    variable,
    variables_of,
)

B: Any = variable("B")
S: Any = variable("S")
NAMES = ("B", "S")

# A formula: its numbers made of the two lengths that it is given, symbols or integers alike.
Formula = Callable[[Any, Any], Any]


def binary(function: Callable[[Any, Any], Any]) -> Callable[[Formula, Formula], Formula]:
    return lambda f, g: lambda b, s: function(f(b, s), g(b, s))


def with_constant(function: Callable[[Any, int], Any]) -> Callable[[Formula, int], Formula]:
    return lambda f, n: lambda b, s: function(f(b, s), n)


def even_half(x: Any) -> Any:
    return halved(x * (x + 1))


LEAVES = st.one_of(
    st.just(lambda b, _: b),
    st.just(lambda _, s: s),
    st.integers(-40, 40).map(lambda n: lambda _b, _s: n),
)
FORMULAS: st.SearchStrategy[Formula] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda op, f, g: binary(op)(f, g),
            st.sampled_from([operator.add, operator.sub, operator.mul, minimum, maximum]),
            inner,
            inner,
        ),
        st.builds(
            lambda op, f, n: with_constant(op)(f, n),
            st.sampled_from([operator.floordiv, operator.mod]),
            inner,
            st.integers(1, 9),
        ),
        inner.map(lambda f: lambda b, s: even_half(f(b, s))),
        inner.map(lambda f: lambda b, s: -f(b, s)),
        inner.map(lambda f: lambda b, s: f(b, s) ** 2),
    ),
    max_leaves=6,
)
LENGTHS = st.integers(1, 300)


@given(FORMULAS, LENGTHS, LENGTHS)
def test_a_formula_of_symbols_is_that_of_numbers(formula: Formula, b: int, s: int) -> None:
    found = formula(B, S)
    value = evaluate(found, {"B": b, "S": s})
    assert value == formula(b, s)
    assert type(value) is int
    assert is_symbolic(found) or type(found) is int


@example(lambda b, s: (b - b * s) // 4, 2, 9)
@example(lambda b, s: minimum(b - b * s, 5), 2, 9)
@example(lambda b, s: (s - 3 * b) % 4 - minimum(s - 4, -2) * b, 1, 5)
@given(FORMULAS, LENGTHS, LENGTHS)
def test_a_lower_bound_is_never_passed(formula: Formula, b: int, s: int) -> None:
    found = formula(B, S)
    bound = lower_bound(found)
    assert bound is None or bound <= formula(b, s)


@given(FORMULAS, st.lists(st.tuples(LENGTHS, LENGTHS), min_size=1, max_size=5))
def test_arrays_are_evaluated_element_by_element(
    formula: Formula, points: list[tuple[int, int]]
) -> None:
    columns = [np.array(column, dtype=np.float64) for column in zip(*points, strict=True)]
    found = evaluate(formula(B, S), dict(zip(NAMES, columns, strict=True)))
    expected = [float(formula(b, s)) for b, s in points]
    assert np.broadcast_to(found, len(points)) == pytest.approx(expected, rel=1e-12)


@given(FORMULAS)
def test_what_is_the_same_at_every_point_is_a_number(formula: Formula) -> None:
    assert type(formula(B, S) - formula(B, S)) is int


def divided_unevenly(b: Any, s: Any) -> Any:
    return (0.1 * b + s / 3) * 7 - (b * 2 - 0.3)


def rounded_as_floats(b: Any, s: Any) -> Any:
    return -(-(0.7 * b + s) // 8) + (1 - 0.25**b) % 3


@pytest.mark.parametrize("formula", [divided_unevenly, rounded_as_floats])
@given(LENGTHS, LENGTHS)
def test_fractions_are_replayed_to_the_last_digit(formula: Formula, b: int, s: int) -> None:
    found = formula(B, S)
    assert isinstance(found, Expression)
    assert evaluate(found, {"B": b, "S": s}) == formula(b, s)


@pytest.mark.parametrize(
    "use",
    [
        lambda x: x < 3,
        lambda x: x <= 3,
        lambda x: x == 3,
        lambda x: x != 3,
        bool,
        int,
        float,
        abs,
        round,
        range,
        lambda x: [0] * x,
        lambda x: {x},
        lambda x: sorted([x, x + 1]),
        lambda x: np.asarray([1.0]) < x,
    ],
)
@pytest.mark.parametrize("number", [S, B * S + 1, S / 3])
def test_a_symbol_is_not_compared_or_converted(use: Callable[[Any], Any], number: Any) -> None:
    with pytest.raises(TypeError, match=r"not a number yet|unhashable|non-int|multiply sequence"):
        use(number)


def test_the_message_names_the_number_and_what_it_requires() -> None:
    with pytest.raises(TypeError, match=r"1 \+ 2\*S is not a number yet: it requires arithmetic"):
        bool(2 * S + 1)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (2 * (S + 1) - S, "2 + S"),
        (S - S, "0"),
        (halved(S * (S + 1)), "(S + S*S)/2"),
        (2 * halved(S * (S + 1)), "S + S*S"),
        # Multiples of the divisor leave the rounding: 10 S / 8 is S and 2 S / 8, a quarter of S.
        (10 * S // 8, "S + floor(S/4)"),
        (-(-10 * S // 8), "S + ceil(S/4)"),
        (16 * S // 8, "2*S"),
        ((10 * S + 9) % 8, "rest(1 + 2*S/8)"),
        # S is at least one, so that the least of S and 1 is 1.
        (minimum(S, 1), "1"),
        (maximum(S, 1), "S"),
        (minimum(S - 1, 7), "-1 + min(S, 8)"),
        (minimum(2 * S, 8), "2*min(S, 4)"),
        (maximum(7 - S, 0), "7 + -1*min(S, 7)"),
        (minimum(minimum(S, 4), 9), "min(S, 4)"),
    ],
)
def test_what_is_the_same_is_written_the_same(number: Any, text: str) -> None:
    assert (number.text if isinstance(number, Symbol) else str(number)) == text


def test_atoms_of_one_text_are_one_object() -> None:
    (first,), (second,) = (list((-(-(S * B) // 8)).terms) for _ in range(2))
    assert first[0] is second[0]


def test_an_odd_number_that_is_halved_is_refused() -> None:
    with pytest.raises(ArithmeticError, match="3 must be divisible by 2"):
        evaluate(halved(S), {"S": 3})


def test_variables_are_found_in_all_parts() -> None:
    assert variables_of(minimum(B, 4) * S) == {"B", "S"}
    assert variables_of(-(-(B + 1) // 8) / 3) == {"B"}
    assert variables_of(Call(pow, S, 2)) == {"S"}
    assert variables_of(7) == frozenset()


def test_a_call_is_the_function_with_a_value_in_the_symbols_place() -> None:
    call = Call(pow, S, 2)
    assert call.of(5) == 25
    assert evaluate(3 * call, {"S": 5}) == 75

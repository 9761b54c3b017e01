"""One formula, any number of points: what a quantity may be.

Batch sizes, lengths, bandwidths and all that is computed from them are a Python number or a NumPy
array. Scalars stay Python integers, exact to the last digit; arrays become float64 at the door,
because int64 overflows in silence.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from memorywall.core.errors import InvalidInputError, shown

Array: TypeAlias = NDArray[Any]
Number: TypeAlias = int | float | Array
Shape: TypeAlias = tuple[Number, ...]

# Far above any length or size in use, and far below where float64 loses whole numbers.
LARGEST = 2**40
# Rates and sizes outside these belong to no machine, and their quotients would not stay finite.
SMALLEST_QUANTITY, LARGEST_QUANTITY = 1e-6, 1e30


def product(shape: Shape, times: int = 1) -> Number:
    """Multiply lengths, and ``times``.

    The last axes first: they are whole numbers, so that the array in front is passed over once.
    """
    result: Number = times
    for length in reversed(shape):
        result = length * result
    return result


def minimum(a: Number, b: Number) -> Number:
    """Return the smaller, element by element; two Python numbers stay Python numbers."""
    if type(a) is np.ndarray or type(b) is np.ndarray:
        return np.minimum(a, b)
    return min(b, a)


def maximum(a: Number, b: Number) -> Number:
    """Return the larger, element by element; two Python numbers stay Python numbers."""
    if type(a) is np.ndarray or type(b) is np.ndarray:
        return np.maximum(a, b)
    return max(b, a)


def is_true(comparison: object) -> bool:
    """Return whether a comparison of two numbers holds, at every point where they are arrays."""
    return bool(np.all(comparison)) if type(comparison) is np.ndarray else bool(comparison)


def halved(a: Number) -> Number:
    """Return half of a number that is even by construction; integers stay integers."""
    return a // 2 if isinstance(a, int) else a / 2


def plain(value: object) -> Any:
    """Turn arrays and NumPy scalars into lists and Python numbers, for records."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value


def as_quantity(value: object, name: str) -> int | float | Array:
    """Check a positive quantity, 1e-6 to 1e30; an array becomes float64.

    Raises:
        InvalidInputError: text, a truth value, not finite, zero, negative or out of range.
    """
    number = _as_number(value, name, "a positive number")
    if isinstance(number, np.ndarray):
        good = bool(np.all((number >= SMALLEST_QUANTITY) & (number <= LARGEST_QUANTITY)))
    else:
        good = SMALLEST_QUANTITY <= number <= LARGEST_QUANTITY
    if not good:
        raise InvalidInputError(
            f"{name}: expected a positive number (1e-6 to 1e30), got {shown(plain(value))}"
        )
    return number


def as_count(value: object, name: str, least: int = 1) -> int | Array:
    """Check a whole number from ``least`` to 2^40; an array of them becomes float64.

    Raises:
        InvalidInputError: text, a truth value, a fraction, or out of range.
    """
    wanted = f"a whole number from {least} to 2^40"
    number = _as_number(value, name, wanted)
    if isinstance(number, np.ndarray):
        with np.errstate(invalid="ignore"):
            good = bool(
                np.all((number >= least) & (number <= LARGEST) & (number == np.floor(number)))
            )
        if good:
            return number
    elif least <= number <= LARGEST and number == int(number):
        return int(number)
    raise InvalidInputError(f"{name}: expected {wanted}, got {shown(plain(value))}")


def _as_number(value: object, name: str, wanted: str) -> int | float | Array:
    """Turn what a caller may give for a number into a Python number or a float64 array."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, np.ndarray | list | tuple):
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.empty(0)
        if array.size and array.dtype.kind in "iuf":
            array = array.astype(
                np.float64
            )  # a copy, so that the caller's array stays the caller's
            return array if array.ndim else float(array)
    raise InvalidInputError(f"{name}: expected {wanted}, got {shown(value)}")

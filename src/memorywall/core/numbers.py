"""One formula, any number of points: the types of a quantity.

Batch sizes, lengths, bandwidths and all results computed from them are Python numbers or NumPy
arrays. Scalars stay Python integers, exact to the last digit; arrays become float64 on input,
because int64 overflows silently. NumPy is imported only for arrays: a question of scalars does not
need it. While a pass is lowered for any length, numbers are symbols (``core/symbols.py``), which
add and multiply like numbers.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from memorywall.core.errors import InvalidInputError, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[Any]"
Number: TypeAlias = "int | float | Array"
Shape: TypeAlias = "tuple[Number, ...]"

_PLAIN = frozenset((int, float))

# Far above any length or size in use, and far below where float64 loses whole numbers.
LARGEST = 2**40
# No machine has rates and sizes outside these, and their quotients would not stay finite.
SMALLEST_QUANTITY, LARGEST_QUANTITY = 1e-6, 1e30


def product(shape: Shape, times: int = 1) -> Number:
    """Multiply lengths, and ``times``.

    The last axes first: they are whole numbers, so that the array in front is passed over once.
    """
    result: Number = times
    for length in reversed(shape):
        result = length * result
    return result


def is_array(value: object) -> TypeGuard[Array]:
    """Return whether a number is a NumPy array; NumPy is not imported for that."""
    if type(value) in _PLAIN:
        return False
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def minimum(a: Number, b: Number) -> Number:
    """Return the smaller, element by element; two Python numbers stay Python numbers."""
    if type(a) in _PLAIN and type(b) in _PLAIN:
        return min(b, a)
    if is_array(a) or is_array(b):
        import numpy as np  # noqa: PLC0415

        return np.minimum(a, b)
    from memorywall.core import symbols  # noqa: PLC0415

    if symbols.is_symbolic(a) or symbols.is_symbolic(b):
        smaller: Number = symbols.minimum(a, b)
        return smaller
    return min(b, a)


def maximum(a: Number, b: Number) -> Number:
    """Return the larger, element by element; two Python numbers stay Python numbers."""
    if type(a) in _PLAIN and type(b) in _PLAIN:
        return max(b, a)
    if is_array(a) or is_array(b):
        import numpy as np  # noqa: PLC0415

        return np.maximum(a, b)
    from memorywall.core import symbols  # noqa: PLC0415

    if symbols.is_symbolic(a) or symbols.is_symbolic(b):
        larger: Number = symbols.maximum(a, b)
        return larger
    return max(b, a)


def floored(a: Number, size: int) -> Number:
    """Return the number of whole sizes in a whole number, element by element."""
    if is_array(a):
        import numpy as np  # noqa: PLC0415

        return np.floor(a / size)  # ten times as fast as //, and as exact below 2^52
    return a // size


def is_true(comparison: object) -> bool:
    """Return whether a comparison of two numbers holds, at every point where they are arrays."""
    return bool(comparison.all()) if is_array(comparison) else bool(comparison)


def halved(a: Number) -> Number:
    """Return half of a number that is even by construction; integers stay integers."""
    if isinstance(a, int):
        return a // 2
    if is_array(a) or isinstance(a, float):
        return a / 2
    from memorywall.core import symbols  # noqa: PLC0415

    half: Number = symbols.halved(a)
    return half


def plain(value: object) -> Any:
    """Turn arrays and NumPy scalars into lists and Python numbers, for records."""
    if is_array(value) or _is_numpy_scalar(value):
        return value.tolist()
    return value


def as_quantity(value: object, name: str) -> int | float | Array:
    """Check a positive quantity, 1e-6 to 1e30; an array becomes float64.

    Raises:
        InvalidInputError: text, a truth value, not finite, zero, negative or out of range.
    """
    number = _as_number(value, name, "a positive number")
    within = is_true(number >= SMALLEST_QUANTITY) and is_true(number <= LARGEST_QUANTITY)
    if not within:
        raise InvalidInputError(
            f"{name} must be a positive number (1e-6 to 1e30), got {shown(plain(value))}"
        )
    return number


def as_count(value: object, name: str, least: int = 1) -> int | Array:
    """Check a whole number from ``least`` to 2^40; an array of them becomes float64.

    Raises:
        InvalidInputError: text, a truth value, a fraction, or out of range.
    """
    wanted = f"a whole number from {least} to 2^40"
    number = _as_number(value, name, wanted)
    if is_array(number):
        import numpy as np  # noqa: PLC0415

        with np.errstate(invalid="ignore"):  # NaN is in no range
            within = number.min() >= least and number.max() <= LARGEST
            if within and is_true(number == np.floor(number)):
                return number
    elif least <= number <= LARGEST and number == int(number):
        return int(number)
    raise InvalidInputError(f"{name} must be {wanted}, got {shown(plain(value))}")


def _is_numpy_scalar(value: object) -> TypeGuard[Array]:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic)


def _as_number(value: object, name: str, wanted: str) -> int | float | Array:
    """Convert a caller's number to a Python number or a float64 array."""
    if _is_numpy_scalar(value):
        value = value.item()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if is_array(value) or isinstance(value, list | tuple):
        import numpy as np  # noqa: PLC0415

        if np.ma.is_masked(value):
            raise InvalidInputError(
                f"{name} must be {wanted} at every point, got a masked array.",
                "Pass its compressed() values.",
            )
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.empty(0)
        if array.size and array.dtype.kind in "iuf":
            array = array.astype(np.float64)  # a copy, so that the caller's array is not shared
            return array if array.ndim else float(array)
    raise InvalidInputError(f"{name} must be {wanted}, got {shown(value)}")

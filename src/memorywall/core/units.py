"""Text with a unit in, base units out, and back: the only place where prefixes are read.

Inside the program everything is a plain number of FLOP, byte, second, FLOP/s or byte/s. GB is
10^9 byte and GiB is 2^30. Whole numbers are read here as well: k of a length is 1024 positions, and
M is 1024 k.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import cache
from typing import Any

from memorywall.core.errors import InvalidInputError, shown
from memorywall.core.numbers import LARGEST_QUANTITY, SMALLEST_QUANTITY

# Accepted spelling of a unit -> base unit.
_SPELLINGS = {
    "FLOP/s": "FLOP/s",
    "FLOPS": "FLOP/s",
    "OP/s": "FLOP/s",
    "OPS": "FLOP/s",
    "B/s": "byte/s",
    "byte/s": "byte/s",
    "b/s": "bit/s",
    "bit/s": "bit/s",
    "B": "byte",
    "byte": "byte",
    "s": "s",
    "W": "W",
    "Hz": "Hz",
}
# Latencies may be far smaller than any rate.
_SMALLEST = {"s": 1e-15}
_LENGTH_UNITS = {"": 1, "k": 2**10, "m": 2**20}
_COUNT = re.compile(r"(?P<number>-?[0-9][0-9_]*)")
_LENGTH = re.compile(r"(?P<number>-?[0-9][0-9_]*(\.[0-9]+)?)(?P<unit>[kKmM]?)")
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(,[0-9]{3})+")
_LONGEST_COUNT = 32
_MOST_LISTED = 64
# The short form in which a base unit is printed.
_PRINTED = {"byte": "B", "byte/s": "B/s", "bit/s": "b/s"}


def parse(text: object, unit: str, name: str = "") -> float:
    """Read ``"3.35 TB/s"`` as 3.35e12, given the required base unit.

    Args:
        text: a number and a unit with an SI or binary prefix.
        unit: ``FLOP/s``, ``byte/s``, ``bit/s``, ``byte``, ``s``, ``W`` or ``Hz``.
        name: of the parameter or option, for messages.

    Raises:
        InvalidInputError: no number, no unit or another unit, not positive, or not finite.
    """
    wanted = f"a positive quantity in {_PRINTED.get(unit, unit)}, as in {example(unit)!r}"
    wanted = f"{name} must be {wanted}" if name else f"expected {wanted}"
    if not isinstance(text, str) or "," in text:  # QuantiPhy would read 3,35 as 335
        raise InvalidInputError(f"{wanted}, got {shown(text)}")
    quantiphy = _quantiphy()
    try:
        quantity = quantiphy.Quantity(text[:100], binary=True)
    except quantiphy.QuantiPhyError:
        raise InvalidInputError(f"{wanted}, got {shown(text)}") from None
    value = float(quantity)
    if (
        _SPELLINGS.get(quantity.units) != unit
        or not _SMALLEST.get(unit, SMALLEST_QUANTITY) <= value <= LARGEST_QUANTITY
    ):
        raise InvalidInputError(f"{wanted}, got {shown(text)}")
    return value


def read_counts(text: str, name: str, *, length: bool = False) -> list[int]:
    """Read ``8`` as [8], ``1,4,16`` as [1, 4, 16] and, of a length, ``2k,1M`` as [2048, 1048576].

    A comma separates the numbers of a list. A text that is one number with thousands separators
    just as well is refused: ``2,048`` and ``10,000`` (a later group begins with 0), and ``32,768``
    (the number is a multiple of 1024, as lengths are). ``128,512`` and ``1,512`` are lists.

    Args:
        text: whole numbers, of at most 64.
        name: of the parameter or option, for messages.
        length: whether k (1024) and M (1024 k) may follow a number; ``1.5k`` is 1536.

    Raises:
        InvalidInputError: no whole number, an ambiguous text, or more than 64 numbers.
    """
    parts = text.split(",")
    if len(parts) > _MOST_LISTED:
        raise InvalidInputError(f"{name} must be at most {_MOST_LISTED} numbers, got {len(parts)}.")
    _refuse_thousands(text.strip(), name)
    return [_read_count(part.strip(), name, length=length) for part in parts]


def _refuse_thousands(text: str, name: str) -> None:
    """Refuse a text that may be one number or a list.

    Raises:
        InvalidInputError: as ``read_counts`` describes.
    """
    if not _THOUSANDS.fullmatch(text):
        return
    digits = text.replace(",", "")
    number = int(digits)
    if ",0" in text or number % 1024 == 0:
        short = f" or {number // 1024}k" if number % 1024 == 0 else ""
        spaced = ", ".join(str(int(part)) for part in text.split(","))
        raise InvalidInputError(
            f"{name} is ambiguous, got {shown(text)}: one number, or a list.",
            f"Write {digits}{short} for one number, and '{spaced}' for a list.",
        )


def _read_count(text: str, name: str, *, length: bool) -> int:
    found = (_LENGTH if length else _COUNT).fullmatch(text)
    if found is not None and len(text) <= _LONGEST_COUNT:
        unit = found["unit"] if length else ""
        number = Fraction(found["number"].replace("_", "")) * _LENGTH_UNITS[unit.casefold()]
        if number.denominator == 1:
            return int(number)
    suffixes = "4096, 4k or 1M; a list: 4k,32k" if length else "8; a list: 1,4,16"
    raise InvalidInputError(
        f"{name} must be a whole number, got {shown(text, 48)}.", f"Such as {suffixes}."
    )


def example(unit: str) -> str:
    """Return a well-formed quantity of a base unit, for messages."""
    return {
        "FLOP/s": "989.4 TFLOP/s",
        "byte/s": "3.35 TB/s",
        "bit/s": "100 Gb/s",
        "byte": "80 GB",
        "s": "5 us",
        "W": "700 W",
        "Hz": "1.83 GHz",
    }[unit]


def render_number(value: float, digits: int = 3) -> str:
    """Write a plain number for people: ``7.48``, ``1,042``; in ``digits`` significant digits."""
    if not math.isfinite(value) or abs(value) >= 1e15:
        return f"{value:.{digits}g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def render(value: float, unit: str, digits: int = 3) -> str:
    """Write 3.35e12 byte/s as ``3.35 TB/s``, with ``digits`` significant digits."""
    if not math.isfinite(value):
        return f"{value} {_PRINTED.get(unit, unit)}"
    quantity = _quantiphy().Quantity(value, _PRINTED.get(unit, unit))
    text: str = quantity.render(form="si", prec=digits - 1, strip_zeros=True)
    return text


def render_count(number: int, word: str) -> str:
    """Return a number of things as text, such as ``1 token`` or ``2 tokens``."""
    return f"{number} {word}{'s' * (number != 1)}"


@cache
def _quantiphy() -> Any:
    """Return QuantiPhy, which is imported when a unit is read or printed."""
    import quantiphy  # noqa: PLC0415

    quantiphy.Quantity.set_prefs(output_sf="EPTGMkmunpfa")  # else no prefix above tera is printed
    return quantiphy

"""Text with a unit in, base units out, and back: the only place where prefixes are read.

Inside the program everything is a plain number of FLOP, byte, second, FLOP/s or byte/s. GB is
10^9 byte and GiB is 2^30.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from memorywall.core.errors import InvalidInputError, shown
from memorywall.core.numbers import LARGEST_QUANTITY, SMALLEST_QUANTITY

# How a unit may be spelt at the door -> base unit.
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
# The short form in which a base unit is printed.
_PRINTED = {"byte": "B", "byte/s": "B/s", "bit/s": "b/s"}


def parse(text: object, unit: str) -> float:
    """Read ``"3.35 TB/s"`` as 3.35e12, given the base unit that is wanted.

    Args:
        text: a number and a unit with an SI or binary prefix.
        unit: ``FLOP/s``, ``byte/s``, ``bit/s``, ``byte``, ``s``, ``W`` or ``Hz``.

    Raises:
        InvalidInputError: no number, no unit or another unit, not positive, or not finite.
    """
    wanted = f"a positive quantity in {_PRINTED.get(unit, unit)}, as in {example(unit)!r}"
    if not isinstance(text, str) or "," in text:  # QuantiPhy would read 3,35 as 335
        raise InvalidInputError(f"expected {wanted}, got {shown(text)}")
    quantiphy = _quantiphy()
    try:
        quantity = quantiphy.Quantity(text[:100], binary=True)
    except quantiphy.QuantiPhyError:
        raise InvalidInputError(f"expected {wanted}, got {shown(text)}") from None
    value = float(quantity)
    if _SPELLINGS.get(quantity.units) != unit or not SMALLEST_QUANTITY <= value <= LARGEST_QUANTITY:
        raise InvalidInputError(f"expected {wanted}, got {shown(text)}")
    return value


def example(unit: str) -> str:
    """Return a well-formed quantity of a base unit, for messages."""
    return {
        "FLOP/s": "989.4 TFLOP/s",
        "byte/s": "3.35 TB/s",
        "bit/s": "100 Gb/s",
        "byte": "80 GB",
        "s": "5 us",
        "W": "700 W",
        "Hz": "2.8 GHz",
    }[unit]


def render_number(value: float, digits: int = 3) -> str:
    """Write a plain number for people: ``7.48``, ``1,042``; so many digits, thousands apart."""
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
    """Return QuantiPhy, which is imported where a unit is read or printed, and not before."""
    import quantiphy  # noqa: PLC0415

    quantiphy.Quantity.set_prefs(output_sf="EPTGMkmunpfa")  # else nothing past tera is printed
    return quantiphy

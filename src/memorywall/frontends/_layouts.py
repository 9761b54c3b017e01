"""Common parts of the quantisation methods: formats with scales, and checked keys."""

from __future__ import annotations

from dataclasses import replace

from memorywall.core.errors import shown
from memorywall.core.formats import Beside, Format
from memorywall.reading.config_values import Config

WHOLE = 0  # a whole axis


class NotCoveredError(Exception):
    """An unknown layout that changes bytes; the text is a clause."""


def grouped(name: str, bits: int, group: int, scale_bits: int) -> Format:
    """Return weights with a scale per group, or per row if ``group`` is 0."""
    if group:
        return Format(name, bits, group, scale_bits)
    return Format(name, bits, beside=(Beside(scale_bits, rows=1, columns=WHOLE),))


def with_beside(format_: Format, *beside: Beside) -> Format:
    return replace(format_, beside=(*format_.beside, *beside))


def title_of(format_: Format) -> str:
    by = f"in groups of {format_.group}" if format_.group else "by rows"
    return f"{format_.name} {by}"


def computes_in(name: str, rest: Format) -> str:
    return (
        f"Linear layers of this checkpoint compute in {name}; arithmetic is priced in {rest.name} "
        "unless a format of activations is given."
    )


def choose(part: Config, key: str, known: tuple[int, ...]) -> int:
    value = part.size(key, 4)
    if value not in known:
        raise NotCoveredError(f"{key!r} {value}")
    return value


def group_of(part: Config, key: str) -> int:
    """Return the number of weights per scale; 0 for a row, which files write as -1."""
    if part.data.get(key) == -1:
        return 0
    return part.size(key, 128)


def block_of(part: Config, key: str) -> tuple[int, int]:
    """Return rows and columns per scale, whole axes if the key is absent or null."""
    value = part.data.get(key)
    if value is None:
        part.default(key, None)
        return WHOLE, WHOLE
    good = isinstance(value, list) and len(value) == 2
    if not good or not all(type(n) is int and 0 < n <= 2**20 for n in value):
        part.fault(key, f"{key!r} must be two whole numbers above 0, got {shown(value)}")
        return WHOLE, WHOLE
    return value[0], value[1]


def only(part: Config, key: str, known: tuple[str, ...], default: str) -> None:
    value = part.word(key, default)
    if value not in known:
        raise NotCoveredError(f"{key!r} {shown(value)}")


def none_of(part: Config, *keys: str) -> None:
    for key in keys:
        if part.data.get(key):
            raise NotCoveredError(f"{key!r}")

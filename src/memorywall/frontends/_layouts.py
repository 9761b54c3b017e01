"""Common parts of the quantisation methods: formats with scales, and checked keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from memorywall.core.errors import shown
from memorywall.core.formats import Beside, Format
from memorywall.core.storage import Storage
from memorywall.frontends._modules import MOST_NAMES, FormatsByName, Named, read_names
from memorywall.reading.config_values import Config

WHOLE = 0  # a whole axis


@dataclass(frozen=True, slots=True)
class Plain:
    """A model before it was quantised.

    Attributes:
        rest: the format of its weights.
        layers: their number, 0 for not known.
        experts: the format of its experts, where the config states it outside the block.
    """

    rest: Format
    layers: int
    experts: str = ""


Reader: TypeAlias = Callable[[Config, Plain], Storage]


class NotCoveredError(Exception):
    """An unknown layout that changes bytes; the text is a clause."""


def scale(format_: Format, rows: int = WHOLE, columns: int = WHOLE) -> Beside:
    """Return one number of a format for each block of rows and columns, or for the whole."""
    return Beside(format_.bits, rows=rows, columns=columns)


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


def computing_in(computes: Mapping[Format, str], storage: Storage) -> Storage:
    """Return a storage whose linear layers compute in an arithmetic, by the format of their weight.

    An empty arithmetic is that of the activations.
    """
    names = set(computes.values())
    if len(names) == 1:
        return replace(storage, arithmetic=names.pop())
    return replace(storage, arithmetics=tuple(computes.items()))


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


def each_within(part: Config | None) -> Iterator[tuple[str, Config | None]]:
    """Yield the nested mappings of a mapping by their keys, None for a null; nothing of None."""
    for key in () if part is None else part.data:
        yield str(key), part.within(key) if part is not None else None


def words_of(part: Config, key: str) -> tuple[str, ...]:
    """Return a list of names of modules; an absent or null key lists none."""
    value = part.data.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MOST_NAMES:
        part.fault(key, f"{key!r} must be a list of names, got {shown(value)}")
        return ()
    for name in value:
        if not isinstance(name, str) or len(name) > _LONGEST_NAME:
            part.fault(key, f"{key!r} must be a list of names, got one of {shown(name)}")
            return ()
    return tuple(value)


_LONGEST_NAME = 2000  # a pattern may list a hundred layers


def by_name(
    formats: Mapping[str, Format], layers: int, *, first: tuple[tuple[Named, Format], ...] = ()
) -> FormatsByName:
    """Return the formats of modules, each with its own; the names of one format are one group.

    Raises:
        NotCoveredError: one weight here is several modules there, in several formats.
    """
    names: dict[Format, list[str]] = {}
    for name, format_ in formats.items():
        names.setdefault(format_, []).append(name)
    groups = [(read_names(some, layers), format_) for format_, some in names.items()]
    known: dict[object, Format] = {}
    for named, format_ in groups:
        for place in named.places:
            if known.setdefault(place, format_) != format_:
                raise NotCoveredError(f"parts of {place[2]} in several formats")
    return FormatsByName((*first, *groups))

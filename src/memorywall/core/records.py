"""Records: frozen dataclasses written as versioned JSON values, and read back by their types.

A field is a key of the record, under its own name. ``recorded`` declares what differs: the schema
and its version, keys of other names, values that are derived and written beside the fields, and how
records of earlier versions are brought up to date. There is no other code for a type's record.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from datetime import date
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Any,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from memorywall.core.errors import InvalidInputError, UnsupportedError, near_names, shown
from memorywall.core.files import read_text

Values: TypeAlias = dict[str, Any]
_T = TypeVar("_T")

_SCHEMA = re.compile(r"([a-z][a-z0-9._-]{0,80})/([0-9]{1,6})")
# A record may come from any source; reading it stays bounded.
_MOST_BYTES = 64 * 2**20
_MOST_VALUES = 4_000_000
_DEEPEST = 32


@dataclass(frozen=True, slots=True)
class Recording:
    """How the record of a type differs from its fields.

    Attributes:
        schema: name and version, such as ``memorywall.profile/2``; "" for a part of a record.
        names: keys by the fields that they hold, where they differ.
        derived: attributes by the keys that hold them beside the fields; they are not read back. A
            path such as ``slope.low`` is followed.
        hidden: fields that the record leaves out; such a result is written and not read.
        rest: the field whose own keys are keys of the record itself: a mapping, or a dataclass.
        upgrades: by the version that each starts from, what makes the values of a record those of
            the next version; a record without a schema is of version 0.
    """

    schema: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    derived: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    rest: str = ""
    upgrades: Mapping[int, Callable[[Values], Values]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The schema without its version."""
        return self.schema.rpartition("/")[0]

    @property
    def version(self) -> int:
        """The version that is written."""
        return int(self.schema.rpartition("/")[2])


_PLAIN = Recording()
_RECORDINGS: dict[type, Recording] = {}


def recorded(
    schema: str = "",
    *,
    names: Mapping[str, str] | None = None,
    derived: Mapping[str, str] | Sequence[str] = (),
    hidden: tuple[str, ...] = (),
    rest: str = "",
    upgrades: Mapping[int, Callable[[Values], Values]] | None = None,
) -> Callable[[type[_T]], type[_T]]:
    """Return the decorator that declares how the record of a dataclass differs from its fields.

    Args:
        schema, names, hidden, rest, upgrades: see ``Recording``.
        derived: see ``Recording``, or the names of attributes that are keys of the same name.
    """
    paths = derived if isinstance(derived, Mapping) else {name: name for name in derived}

    def declare(cls: type[_T]) -> type[_T]:
        _RECORDINGS[cls] = Recording(schema, names or {}, paths, hidden, rest, upgrades or {})
        return cls

    return declare


def recording_of(cls: type) -> Recording:
    """Return how the record of a type differs from its fields."""
    return _RECORDINGS.get(cls, _PLAIN)


def to_record(result: Any) -> Values:
    """Return the record of a dataclass: plain values that JSON holds, with the schema if any.

    Tuples and arrays become lists, dates text, and numbers that are not finite None.

    Raises:
        TypeError: a value of a type that has no record, which is a fault of this program.
    """
    cls = type(result)
    recording = recording_of(cls)
    record: Values = {"schema": recording.schema} if recording.schema else {}
    for one in fields(cls):
        if one.name in recording.hidden:
            continue
        value = getattr(result, one.name)
        if one.name == recording.rest:
            record |= _written(value)
        else:
            record[recording.names.get(one.name, one.name)] = _written(value)
    for key, path in recording.derived.items():
        record[key] = _written(attrgetter(path)(result))
    return record


def _written(value: Any) -> Any:
    numpy = sys.modules.get("numpy")  # imported only for an array
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {_key(key): _written(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_written(one) for one in value]
    return _written_whole(value)


def _written_whole(value: Any) -> Any:
    """Return the plain form of a value other than a collection."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return to_record(value)
    raise TypeError(f"{type(value).__name__} has no record")


def _key(key: object) -> str:
    return key if isinstance(key, str) else f"{key:.15g}"


def load_record(cls: type[_T], path: Path) -> _T:
    """Read a result from the file of its record.

    Raises:
        InvalidInputError: the file cannot be read, is not JSON, or does not hold such a record.
        UnsupportedError: the record is of a later version.
    """
    text = read_text(path, _MOST_BYTES, "a record")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path} must be JSON: {str(error)[:100]}.") from None
    return from_record(cls, values, str(path))


def from_record(cls: type[_T], values: object, where: str = "record") -> _T:
    """Read a result from its record, of this version or an earlier one.

    Args:
        cls: the type of the result.
        values: what its record holds, as ``json.loads`` returns it.
        where: what messages call it.

    Raises:
        InvalidInputError: another schema, a key that is missing or not known, a value of another
            type, or more values than any record has.
        UnsupportedError: the record is of a later version.
    """
    _check_size(values, where)
    return cast("_T", _read_dataclass(cls, values, where))


def _check_size(values: object, where: str) -> None:
    count, level = 0, [values]
    for _ in range(_DEEPEST):
        count += len(level)
        if count > _MOST_VALUES:
            raise InvalidInputError(f"{where} must hold at most {_MOST_VALUES:,} values.")
        level = [one for value in level for one in _inside(value)]
        if not level:
            return
    raise InvalidInputError(f"{where} must be at most {_DEEPEST} levels deep.")


def _inside(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _read_dataclass(cls: type, values: object, where: str) -> Any:
    if not isinstance(values, dict):
        raise _wrong(where, "an object", values)
    recording, hints = recording_of(cls), _hints(cls)
    if recording.hidden:
        raise UnsupportedError(
            f"{where}: a {cls.__name__} is not read back, since its record leaves out "
            f"{' and '.join(recording.hidden)}."
        )
    left = dict(values)
    if recording.schema:
        left = _upgraded(recording, left, where)
    given: Values = {}
    for one in fields(cls):
        key = recording.names.get(one.name, one.name)
        if one.name != recording.rest and key in left:
            given[one.name] = _read(hints[one.name], left.pop(key), f"{where}.{key}")
        elif one.name != recording.rest and _required(one):
            raise InvalidInputError(f"{where} requires {key!r}, which is missing.")
    left = {key: value for key, value in left.items() if key not in recording.derived}
    if recording.rest:
        given[recording.rest] = _read(hints[recording.rest], left, where)
    elif left:
        raise _unknown_key(next(iter(left)), cls, where)
    return cls(**given)


def _unknown_key(key: str, cls: type, where: str) -> InvalidInputError:
    names = recording_of(cls).names
    near = near_names(key, [names.get(one.name, one.name) for one in fields(cls)])
    hint = f"Near names: {', '.join(near)}." if near else ""
    return InvalidInputError(f"{where} has no key {shown(key)}.", hint)


def _required(one: Field[Any]) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


class _Arrays:
    """A stand-in for the type of an array, whose name is known to type checkers only."""

    def __class_getitem__(cls, _of: object) -> type[_Arrays]:
        return cls


@lru_cache(maxsize=256)
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls, localns={"NDArray": _Arrays, "Array": _Arrays})


def _upgraded(recording: Recording, values: Values, where: str) -> Values:
    """Return the values of a record as the version that is written has them, without its schema."""
    schema = values.pop("schema", None)
    if schema is None and 0 in recording.upgrades:  # written before records had versions
        schema = f"{recording.name}/0"
    found = _SCHEMA.fullmatch(schema) if isinstance(schema, str) else None
    if found is None or found[1] != recording.name:
        raise InvalidInputError(
            f"{where} must have the schema {recording.name!r}, got {shown(schema)}."
        )
    version = int(found[2])
    if version > recording.version:
        raise UnsupportedError(
            f"{where} is of version {version} of {recording.name}; this memorywall reads versions "
            f"up to {recording.version}.",
            "Install a later memorywall: pip install --upgrade memorywall",
        )
    for earlier in range(version, recording.version):
        if earlier not in recording.upgrades:
            raise UnsupportedError(
                f"{where} is of version {version} of {recording.name}, which is no longer read."
            )
        try:
            values = recording.upgrades[earlier](values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInputError(
                f"{where} is not a record of {schema}: {type(error).__name__}: {error}."
            ) from None
    return values


def _read(hint: Any, value: object, where: str) -> Any:
    if hint in _SCALARS:
        return _SCALARS[hint](value, where)
    origin = get_origin(hint)
    if origin in _COLLECTIONS:
        return _COLLECTIONS[origin](get_args(hint), value, where)
    if isinstance(hint, type) and issubclass(hint, tuple):  # a NamedTuple, written as a list
        return hint(*_read_tuple(tuple(_hints(hint).values()), value, where))
    if isinstance(hint, type) and is_dataclass(hint):
        return _read_dataclass(hint, value, where)
    raise TypeError(f"{hint} has no record")


def _read_union(choices: tuple[Any, ...], value: object, where: str) -> Any:
    if value is None and NoneType in choices:
        return None
    others = [choice for choice in choices if choice is not NoneType]
    for choice in others[:-1]:
        try:
            return _read(choice, value, where)
        except InvalidInputError:
            continue
    return _read(others[-1], value, where)


def _read_choice(choices: tuple[Any, ...], value: object, where: str) -> Any:
    if value not in choices:
        raise _wrong(where, f"one of {', '.join(map(str, choices))}", value)
    return value


def _read_tuple(hints: tuple[Any, ...], value: object, where: str) -> tuple[Any, ...]:
    listed = _list(value, where)
    if hints[-1] is not ... and len(hints) != len(listed):
        raise _wrong(where, f"a list of {len(hints)}", value)
    of_each = [hints[0]] * len(listed) if hints[-1] is ... else hints
    return tuple(
        _read(hint, one, f"{where}[{at}]")
        for at, (hint, one) in enumerate(zip(of_each, listed, strict=True))
    )


def _read_sequence(hints: tuple[Any, ...], value: object, where: str) -> tuple[Any, ...]:
    return _read_tuple((hints[0], ...), value, where)


def _read_mapping(hints: tuple[Any, ...], value: object, where: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    return {
        _read_key(hints[0], key, where): _read(hints[1], one, f"{where}.{key}")
        for key, one in value.items()
    }


def _read_array(value: object, where: str) -> Any:
    import numpy as np  # noqa: PLC0415 - only where there is an array

    listed = _list(value, where)
    if listed and all(isinstance(one, bool) for one in listed):
        return np.array(listed)
    return np.array([_read_float(one, f"{where}[{at}]") for at, one in enumerate(listed)])


def _list(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise _wrong(where, "a list", value)
    return value


def _read_key(hint: Any, key: str, where: str) -> Any:
    if hint in (int, float):
        try:
            return hint(key)
        except ValueError:
            raise _wrong(where, "a number as key", key) from None
    return _read(hint, key, where)


def _read_float(value: object, where: str) -> float:
    if value is None:  # not finite when it was written
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(where, "a number", value)
    try:
        return float(value)
    except OverflowError:
        raise _wrong(where, "a number within 1e308", value) from None


def _read_int(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(where, "a whole number", value)
    return value


def _read_str(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise _wrong(where, "a text", value)
    return value


def _read_bool(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(where, "true or false", value)
    return value


def _read_date(value: object, where: str) -> date:
    try:
        return date.fromisoformat(_read_str(value, where))
    except ValueError:
        raise _wrong(where, "a date such as 2024-03-18", value) from None


_SCALARS: dict[Any, Callable[[Any, str], Any]] = {
    str: _read_str,
    bool: _read_bool,
    int: _read_int,
    float: _read_float,
    date: _read_date,
    _Arrays: _read_array,
    Any: lambda value, _where: value,
    object: lambda value, _where: value,
}

_COLLECTIONS: dict[Any, Callable[[tuple[Any, ...], Any, str], Any]] = {
    Union: _read_union,
    UnionType: _read_union,
    Literal: _read_choice,
    tuple: _read_tuple,
    Sequence: _read_sequence,
    dict: _read_mapping,
    Mapping: _read_mapping,
}


def _wrong(where: str, wanted: str, value: object) -> InvalidInputError:
    return InvalidInputError(f"{where} must be {wanted}, got {shown(value)}.")

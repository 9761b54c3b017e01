"""Files of tables: TOML with the constants of kernels, each with its meaning and unit once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from math import isfinite
from pathlib import Path
from typing import Any

from memorywall.core.errors import InvalidInputError, invalid_file, shown
from memorywall.core.files import read_text
from memorywall.core.kernels import Constant, Table

_LARGEST_FILE = 256 * 1024
_MOST_TABLES = 1000
_TEXTS = ("kind", "dtype", "engine", "provenance", "dataset", "version", "physics")
_NUMBERS = ("low", "high", "rows", "outliers", "median_error", "p90_error")
_REQUIRED = ("kind", "dtype", "engine")
_KNOWN = {field.name for field in fields(Table)}
_HINT = "For the form of the file see one that memorywall calibrate writes."


def read_tables(path: Path) -> tuple[Table, ...]:
    """Read a file of tables.

    Raises:
        InvalidInputError: it is not such a file; the message lists its faults.
    """
    text = read_text(path, _LARGEST_FILE, "a calibration TOML")
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise InvalidInputError(f"{path} is not valid TOML: {str(error)[:200]}", _HINT) from None
    entries = data.get("tables", [])
    faults: list[str] = []
    if not isinstance(entries, list) or not 0 < len(entries) <= _MOST_TABLES:
        raise InvalidInputError(
            f"{path} is not a calibration: 'tables' must be 1 to {_MOST_TABLES} tables.", _HINT
        )
    shared: dict[str, Any] = {
        key: data[key] for key in ("dataset", "physics", "provenance") if key in data
    }
    found = [_table({**shared, **entry}, f"tables[{i}]", faults)
             for i, entry in enumerate(entries, start=1) if isinstance(entry, dict)]  # fmt: skip
    if faults:
        raise invalid_file(str(path), faults, _HINT)
    return tuple(found)


def _table(entry: Mapping[str, Any], place: str, faults: list[str]) -> Table:
    for key, value in entry.items():
        if key not in _KNOWN:
            faults.append(f"{place}.{key} is not known")
        elif key in _TEXTS and not isinstance(value, str):
            faults.append(f"{place}.{key} must be a text, got {shown(value)}")
        elif key in _NUMBERS and not _is_number(value):
            faults.append(f"{place}.{key} must be a number, got {shown(value)}")
    faults += _constant_faults(entry.get("constants", {}), f"{place}.constants")
    faults += [f"{place}.{key} is missing" for key in _REQUIRED if key not in entry]
    return Table("", "", "", {}) if faults else Table(**entry)


def _constant_faults(constants: object, place: str) -> list[str]:
    if not isinstance(constants, dict) or not constants:
        return [f"{place} must be numbers by name, got {shown(constants)}"]
    return [
        f"{place}.{name} must be positive, got {shown(value)}"
        for name, value in constants.items()
        if not _is_number(value) or value <= 0
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def tables_toml(
    tables: Iterable[Table], constants: Mapping[str, Sequence[Constant]], heading: str = ""
) -> str:
    """Return tables as TOML, after the meaning and the unit of every constant.

    Args:
        tables: in the order of the file; what all have in common is written once.
        constants: those of each kind of kernel.
        heading: comment lines of the file.
    """
    written = list(tables)
    shared = {
        key: getattr(written[0], key)
        for key in ("dataset", "provenance")
        if len({getattr(table, key) for table in written}) == 1
    }
    lines = [f"# {line}" for line in heading.splitlines()]
    lines += [f"{key} = {_text(value)}" for key, value in shared.items()]
    for kind in dict.fromkeys(table.kind for table in written):
        used = {name for table in written if table.kind == kind for name in table.constants}
        lines += ["", f"[constants.{kind}]"]
        lines += [
            f"{c.name} = {{unit = {_text(c.unit)}, meaning = {_text(c.meaning)}}}"
            for c in constants[kind]
            if c.name in used
        ]
    for table in written:
        lines += ["", "[[tables]]"]
        lines += [
            f"{name} = {_text(getattr(table, name))}"
            for name in _TEXTS
            if name not in shared and (getattr(table, name) or name in ("dtype", "engine"))
        ]
        numbers = [(name, getattr(table, name)) for name in _NUMBERS]
        lines += [f"{name} = {value!r}" for name, value in numbers if value not in (None, 0)]
        values = ", ".join(f"{name} = {value!r}" for name, value in table.constants.items())
        lines.append(f"constants = {{{values}}}")
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'

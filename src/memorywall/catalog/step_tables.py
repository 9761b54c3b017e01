"""Tables of the kind ``step``: one TOML a class or device, in ``calibrations/step``."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from memorywall.catalog.classes import CLASSES, class_of
from memorywall.catalog.kernel_tables import user_tables
from memorywall.core.errors import InvalidInputError
from memorywall.core.files import read_text
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Table

FOLDER = Path(__file__).parent / "calibrations" / "step"
_LARGEST_FILE = 64 * 1024
# How a table is written: texts, then numbers, then the constants.
_TEXTS = ("kind", "dtype", "engine", "provenance", "dataset", "version", "physics")
_NUMBERS = ("rows", "outliers", "low", "high", "median_error", "p90_error")


def step_table(hardware: Hardware, engine: str = "") -> Table:
    """Return the constants of a pass on a device: its own, else its class's.

    An engine without a table in either has that of any engine.
    """
    mine = user_tables(hardware.name)
    for wanted in (engine, ""):
        if ("step", "", wanted) in mine:
            return mine["step", "", wanted]
    for wanted in (engine, ""):
        for name in (hardware.name, class_of(hardware)):
            tables = _tables(name)
            if wanted in tables:
                return tables[wanted]
    return class_table(CLASSES[-1])


def class_table(name: str, engine: str = "") -> Table:
    """Return the constants of a class, for an engine or for any."""
    tables = _tables(name)
    return tables.get(engine, tables[""])


@lru_cache(maxsize=256)
def _tables(name: str) -> dict[str, Table]:
    path = FOLDER / f"{name}.toml"
    if not path.exists():
        return {}
    return {table.engine: table for table in read_tables(path)}


def read_tables(path: Path) -> tuple[Table, ...]:
    """Read a file of tables.

    Raises:
        InvalidInputError: it is not such a file.
    """
    text = read_text(path, _LARGEST_FILE, "a calibration TOML")
    known = {field.name for field in fields(Table)}
    try:
        tables = tomllib.loads(text)["tables"]
        found = [Table(**{k: v for k, v in table.items() if k in known}) for table in tables]
    except (tomllib.TOMLDecodeError, AttributeError, KeyError, TypeError) as error:
        raise InvalidInputError(f"{path} is not a calibration: {error}") from None
    if not found:
        raise InvalidInputError(f"{path} is not a calibration: it has no tables.")
    return tuple(found)


def table_toml(table: Table) -> str:
    """Return a table as TOML."""
    lines = ["[[tables]]"]
    lines += [f"{name} = {_text(getattr(table, name))}" for name in _TEXTS]
    numbers = [(name, getattr(table, name)) for name in _NUMBERS]
    lines += [f"{name} = {value!r}" for name, value in numbers if value is not None]
    lines += ["", "[tables.constants]"]
    lines += [f"{name} = {value!r}" for name, value in table.constants.items()]
    return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

"""Tables of the kind ``step``: one TOML a class or device, in ``calibrations/step``."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from memorywall.catalog.classes import CLASSES, class_of
from memorywall.catalog.kernel_tables import user_tables
from memorywall.catalog.table_files import read_tables
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Table

FOLDER = Path(__file__).parent / "calibrations" / "step"


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

"""Class defaults: the constants of a device without measurements, from the devices of its class.

A constant is the median over the devices of a class, each counted once, of the medians over its
engines. Feeding a processor is in bytes a clock, and rates are shares of the data sheet's, so that
they carry over between devices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from memorywall.catalog.kernel_tables import BULK, CLASSES, find_table, kernel_class
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Table

# The constants of a class say how many devices they are the medians of.
# Measured with eager launches of 28 us, which are not those of a class.
APART = ("arc-pro-b60",)
# The devices that tables of one engine are made of at least; of fewer, all engines count.
_FEWEST = 3
_MADE_OF = "medians of {}"
Found = Mapping[Hardware, Sequence[Table]]


def class_tables(found: Found, name: str) -> list[Table]:
    """Return the tables of a class, one a kind, dtype and engine, and one of all engines."""
    found = {device: tables for device, tables in found.items() if device.name not in APART}
    members = {device: tables for device, tables in found.items() if kernel_class(device) == name}
    every = [table for tables in found.values() for table in tables]
    keys = {(table.kind, table.dtype, engine) for table in every for engine in ("", table.engine)}
    classed = (_table(members, *key) for key in sorted(keys))
    return [table for table in classed if table is not None]


def all_class_tables(found: Found) -> dict[str, list[Table]]:
    """Return the tables of every class that can be made of some devices."""
    return {name: class_tables(found, name) for name in CLASSES}


def _table(found: Found, kind: str, dtype: str, engine: str) -> Table | None:
    """Return the medians of the tables of a kind, dtype and engine, or None without any."""
    each = {
        device: [
            t for t in tables if t.kind == kind and t.dtype == dtype and engine in ("", t.engine)
        ]
        for device, tables in found.items()
    }
    each = {device: tables for device, tables in each.items() if tables}
    if not each or (engine and len(each) < _FEWEST):
        return None
    of_devices = [_medians([t.constants for t in tables]) for tables in each.values()]
    first = next(iter(each.values()))[0]
    names = ", ".join(sorted(device.name for device in each))
    return replace(
        first, engine=engine, constants=_medians(of_devices), provenance="class default",
        version="",
        rows=sum(t.rows for tables in each.values() for t in tables), outliers=0,
        median_error=None, p90_error=None, physics=_MADE_OF.format(names), low=0.7, high=1.4,
    )  # fmt: skip


def _medians(constants: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for each in constants for name in each)
    found = {}
    for name in names:
        logs = [np.log(each[name]) for each in constants if name in each]
        found[name] = float(f"{np.exp(np.median(logs)):.4g}")
    return found


def without(found: Found, left: Sequence[Hardware]) -> dict[Hardware, Sequence[Table]]:
    """Return the tables of all devices but some."""
    return {device: tables for device, tables in found.items() if device not in left}


def table_of(tables: Sequence[Table], kind: str, dtype: str, engine: str) -> Table | None:
    """Return the table of a kind, dtype and engine among those of a class; else of any engine."""
    known = {(t.kind, t.dtype, t.engine): t for t in tables}
    return find_table(known, kind, dtype, engine)


def class_for(device: Hardware, classes: Mapping[str, Sequence[Table]]) -> Sequence[Table]:
    """Return the tables of a device's class."""
    return classes.get(kernel_class(device)) or classes[BULK]

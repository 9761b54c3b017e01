"""Tables of kernels: a TOML a device, and one a class for devices without measurements.

A table of a device is looked for by kind, dtype and engine; where one is missing, in this order:
of another engine, of a dtype that is stored alike, of the device's class. A user's own tables, in
the data folder, come before those of the catalogue.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from memorywall.catalog.measured import data_folder
from memorywall.catalog.table_files import read_tables
from memorywall.core.errors import UnknownNameError
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Table

FOLDER = Path(__file__).parent / "calibrations" / "kernels"
# Classes by the path of operands to the processors: bulk copies that run by themselves (NVIDIA's
# data-centre GPUs from Hopper on), or loads by each processor.
BULK, LOADS = "class-bulk-copies", "class-processor-loads"
CLASSES = (BULK, LOADS)
# A dtype without tables has those of the first of these that has some: stored alike, then wider.
_LIKE = {
    "fp16": ("bf16",),
    "fp8_block": ("fp8", "bf16"),
    "fp8": ("fp8_block", "bf16-fp8", "bf16"),
    "nvfp4": ("fp8_block", "fp8", "bf16"),
    "int8": ("bf16",),
    "bf16-fp8": ("bf16", "fp8"),
    "bf16-int8": ("bf16-fp8", "bf16"),
    "int4": ("int8", "bf16"),
    "mxfp4": ("int4", "bf16"),
    "mxfp4_mxfp8": ("mxfp4", "fp8_block", "fp8", "bf16"),
}
_Tables: TypeAlias = dict[tuple[str, str, str], Table]
# Engines in the order in which one replaces another: the best tuned first.
_ENGINES = ("trtllm", "sglang", "vllm", "nccl")


def kernel_class(hardware: Hardware) -> str:
    """Return the class of a device's kernels, one of ``CLASSES``."""
    stacked = hardware.main_memory.name.startswith("HBM")
    bulk = stacked and hardware.vendor == "NVIDIA" and "fp8" in hardware.peaks
    return BULK if bulk else LOADS


def has_own_tables(hardware: Hardware) -> bool:
    """Return whether the kernels of a device were measured.

    One that was changed by hand keeps the shares of its roofs that its kernels attain.
    """
    return bool(measured_kinds(hardware))


def measured_kinds(hardware: Hardware) -> set[str]:
    """Return the kinds of kernels that were measured on a device."""
    return {kind for kind, _, _ in _own(hardware.name)} - {"step"}


def kernel_table(hardware: Hardware, kind: str, dtype: str, engine: str = "") -> Table:
    """Return the constants of a kind of kernel on a device.

    Raises:
        UnknownNameError: no such kind or dtype has tables, or the engine has none anywhere.
    """
    own = _own(hardware.name) if has_own_tables(hardware) else {}
    for tables in (own, _class(kernel_class(hardware)), _class(BULK)):
        found = find_table(tables, kind, dtype, engine)
        if found is not None:
            return found
    known = sorted({(t.kind, t.dtype) for t in _class(BULK).values()})
    raise UnknownNameError("table", f"{kind} in {dtype}", [f"{k} in {d}" for k, d in known])


def find_table(tables: _Tables, kind: str, dtype: str, engine: str) -> Table | None:
    """Return the table of a kind and dtype among some, or of a dtype that is stored alike."""
    for name in (dtype, *_LIKE.get(dtype, ())):
        found = _of_engine(tables, kind, name, engine)
        if found is not None:
            return found if name == dtype else replace(found, dtype=dtype)
    return None


def _of_engine(tables: _Tables, kind: str, dtype: str, engine: str) -> Table | None:
    """Return the table of an engine, or of the one that replaces it."""
    for name in (engine, "", *_ENGINES):
        found = tables.get((kind, dtype, name))
        if found is not None:
            return found
    return None


def _own(name: str) -> _Tables:
    """Return the tables of a device, the user's before the catalogue's."""
    return {**_read(FOLDER / f"{name}.toml", 0.0), **user_tables(name)}


def user_path(name: str) -> Path:
    """Return the file of a user's tables of a device."""
    return data_folder() / "calibrations" / f"{Path(name).name}.toml"


def user_tables(name: str) -> _Tables:
    """Return the tables that a user has made of a device, by kind, dtype and engine."""
    mine = user_path(name)
    return _read(mine, mine.stat().st_mtime) if mine.is_file() else {}


def _class(name: str) -> _Tables:
    return _read(FOLDER / f"{name}.toml", 0.0)


@lru_cache(maxsize=512)
def _read(path: Path, _changed: float) -> _Tables:
    if not path.is_file():
        return {}
    return {(t.kind, t.dtype, t.engine): t for t in read_tables(path)}

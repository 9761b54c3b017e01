"""Where a user's tables of constants are kept: in the data folder, one file a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from memorywall.catalog.kernel_tables import user_path
from memorywall.catalog.table_files import read_tables, tables_toml
from memorywall.core.files import write_text
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Table
from memorywall.cost.kernels import all_kernels


def save_tables(hardware: Hardware, tables: Sequence[Table]) -> Path:
    """Write tables of a device beside those that it has, in place of those that they replace.

    Raises:
        InvalidInputError: the data folder cannot be written, or the file there is not of tables.
    """
    path = user_path(hardware.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {(t.kind, t.dtype, t.engine): t for t in (read_tables(path) if path.is_file() else ())}
    known |= {(t.kind, t.dtype, t.engine): t for t in tables}
    constants = {kernel.name: kernel.constants for kernel in all_kernels()}
    heading = "Written by memorywall calibrate."
    write_text(path, tables_toml(list(known.values()), constants, heading))
    return path

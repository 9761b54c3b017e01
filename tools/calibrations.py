"""Fit the tables of kernels to public measurements, and write them into the catalogue.

    python tools/calibrations.py FOLDER [KIND ...]

FOLDER holds the Parquet files of the measurements. Layers whose checksum has bit 1 set are held out
of every fit; the errors in the tables are theirs. Without kinds, all of them are fitted.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import memorywall as mw
from memorywall.calibrate.kernel_classes import (
    APART,
    all_class_tables,
    class_for,
    table_of,
    without,
)
from memorywall.calibrate.kernel_fit import interval, possible_rows, predicted, tables_of
from memorywall.calibrate.kernel_forms import fitted_together, form_of
from memorywall.calibrate.public_kernels import KINDS, SOURCE, read_kernels
from memorywall.calibrate.samples import Samples
from memorywall.catalog.kernel_tables import FOLDER, kernel_class
from memorywall.catalog.table_files import read_tables, tables_toml
from memorywall.core.files import write_text
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Table
from memorywall.core.numbers import Array
from memorywall.cost.kernels import all_kernels, find_kernel

HEADING = "Written by tools/calibrations.py: constants of kernels, fitted to public measurements."
_ASKED = 2000  # measurements of a table by which intervals of classes are found
CONSTANTS = {kernel.name: kernel.constants for kernel in all_kernels()}


def main() -> None:
    """Fit, print a line a table, and write one file a device and one a class."""
    folder, kinds = Path(sys.argv[1]), sys.argv[2:] or list(KINDS)
    found: dict[Hardware, list[Table]] = defaultdict(list)
    for path in sorted(FOLDER.glob("*.toml")):
        if not path.stem.startswith("class-"):
            found[mw.hardware(path.stem)] += [t for t in read_tables(path) if t.kind not in kinds]
    for kind in kinds:
        for parts in fitted_together(read_kernels(folder, kind)):
            hardware = mw.hardware(parts[0].device)
            forms = [form_of(kind, hardware, p.dtype, p.engine) for p in parts]
            for table in tables_of(find_kernel(kind), parts, hardware, forms, source=SOURCE):
                found[hardware].append(table)
                print(hardware.name, kind, table.dtype, table.engine, table.median_error,
                      table.p90_error, flush=True)  # fmt: skip
    for hardware, tables in found.items():
        ordered = sorted(tables, key=lambda t: (t.kind, t.dtype, t.engine))
        write_text(FOLDER / f"{hardware.name}.toml", tables_toml(ordered, CONSTANTS, HEADING))
    classes = all_class_tables(found)
    samples = [part.at_most(_ASKED) for kind in KINDS for part in read_kernels(folder, kind)]
    intervals = left_out_intervals(found, samples)
    for name, tables in classes.items():
        known = {t.kind: t for t in read_old(name)}
        kept = [with_interval(t, intervals.get((name, t.kind)), known.get(t.kind)) for t in tables]
        write_text(FOLDER / f"{name}.toml", tables_toml(kept, CONSTANTS, HEADING))


def read_old(name: str) -> Sequence[Table]:
    """Return the tables of a class of the catalogue."""
    path = FOLDER / f"{name}.toml"
    return read_tables(path) if path.is_file() else ()


def with_interval(table: Table, fitted: tuple[float, float] | None, known: Table | None) -> Table:
    """Return a table with the interval of devices left out; that which stands, if not fitted."""
    if fitted is None and known is not None:
        fitted = known.low, known.high
    return table if fitted is None else replace(table, low=fitted[0], high=fitted[1])


def left_out_intervals(
    found: Mapping[Hardware, Sequence[Table]], samples: Sequence[Samples]
) -> dict[tuple[str, str], tuple[float, float]]:
    """Return the interval of each class and kind on devices that it was made without."""
    ratios: dict[tuple[str, str], list[Array]] = defaultdict(list)
    for part in samples:
        device, kernel = mw.hardware(part.device), find_kernel(part.kind)
        table = left_out_table(found, device, part)
        if table is None or device.name in APART:
            continue
        possible, _ = possible_rows(kernel, part, device)
        ratio = predicted(kernel, possible, device, table.constants) / possible.seconds
        ratios[kernel_class(device), part.kind].append(ratio)
        print("left out", device.name, kernel_class(device), part.kind, part.dtype, part.engine,
              f"{np.median(np.abs(ratio - 1)):.3f}", flush=True)  # fmt: skip
    return {key: interval(np.concatenate(found)) for key, found in ratios.items()}


def left_out_table(
    found: Mapping[Hardware, Sequence[Table]], device: Hardware, part: Samples
) -> Table | None:
    """Return the class defaults for a device, made without it."""
    tables = class_for(device, all_class_tables(without(found, [device])))
    return table_of(tables, part.kind, part.dtype, part.engine)


if __name__ == "__main__":
    main()

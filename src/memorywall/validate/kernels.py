"""How far predictions of kernels are from public measurements.

Every table of constants is asked about the layers that its fit did not see; beside it stand the
data sheet, and the class defaults made without the device, or without all devices of its
architecture. Errors are taken inside each table (a device, engine and dtype), and rows over tables
give the median of the tables' medians and 90th percentiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from memorywall.answer.analyze import load_hardware
from memorywall.calibrate.kernel_classes import all_class_tables, class_for, table_of, without
from memorywall.calibrate.kernel_fit import bound, possible_rows, predicted
from memorywall.calibrate.public_kernels import KINDS, read_kernels
from memorywall.calibrate.samples import Samples
from memorywall.catalog.kernel_tables import FOLDER, kernel_table
from memorywall.catalog.table_files import read_tables
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Table
from memorywall.core.numbers import Array
from memorywall.cost.kernels import find_kernel
from memorywall.validate.ablation import ablate_kernels
from memorywall.validate.errors import ErrorRow, Limit, Section, Validation, Validator

HELD_OUT, SHEET = "layers held out", "data sheet"
DEVICE_OUT, ARCHITECTURE_OUT = "device left out", "architecture left out"
# Measurements of a table that are asked for.
_MOST_ROWS = 3000
_ARCHITECTURES = {
    "a100-sxm-80gb": "Ampere", "h100-sxm": "Hopper", "h200-sxm": "Hopper", "b200-sxm": "Blackwell",
    "b300-sxm": "Blackwell", "gb200": "Blackwell", "gb300": "Blackwell", "l40s": "Ada",
    "rtx-pro-6000": "Blackwell with GDDR", "arc-pro-b60": "Battlemage",
}  # fmt: skip
_COVERED = (0.75, 0.85)
LIMITS = (
    Limit(HELD_OUT, "gemm bf16", 0.07, 0.21),
    Limit(HELD_OUT, "gemm", 0.08, 0.25, _COVERED),
    Limit(HELD_OUT, "attention_decode", 0.105, 0.37, _COVERED),
    Limit(HELD_OUT, "attention_prefill", 0.105, 0.38, _COVERED),
    Limit(HELD_OUT, "moe", 0.12, 0.35, _COVERED),
    Limit(HELD_OUT, "collectives", 0.07, 0.20),
    Limit(DEVICE_OUT, "gemm", 0.12),
    Limit(DEVICE_OUT, "gemm bf16", 0.12),
    Limit(ARCHITECTURE_OUT, "gemm bf16", 0.16),
)


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """The errors of one table.

    Attributes:
        kind, dtype, engine, device: of the table.
        ratios: predicted over measured seconds.
        low, high: factors of the interval.
    """

    kind: str
    dtype: str
    engine: str
    device: str
    ratios: Array
    low: float = 1.0
    high: float = 1.0

    @property
    def off(self) -> Array:
        """The absolute relative errors."""
        found: Array = np.abs(self.ratios - 1)
        return found

    @property
    def covered(self) -> Array:
        """Whether each measurement is in its interval."""
        measured = 1 / self.ratios
        return (measured >= self.low) & (measured <= self.high)


def validate_kernels(folder: Path) -> Validation:
    """Return the errors of kernels against the tables of a folder.

    Raises:
        InvalidInputError: the folder lacks a table.
        MissingDependencyError: pyarrow is not installed.
    """
    parts = [part for kind in KINDS for part in _held_out(folder, kind)]
    shipped = [_asked(part, _shipped(part)) for part in parts]
    sheet = [_at_sheet(part) for part in parts]
    sections = [
        Section(HELD_OUT, _rows(shipped, with_intervals=True)), Section(SHEET, _rows(sheet)),
    ]  # fmt: skip
    for title, left in ((DEVICE_OUT, _device), (ARCHITECTURE_OUT, _architecture)):
        asked = [found for part in parts if (found := _without(part, left)) is not None]
        sections.append(Section(title, _rows(asked, with_intervals=True)))
    return Validation("kernels", tuple(sections), LIMITS, worst=_worst(shipped))


def _held_out(folder: Path, kind: str) -> Iterable[Samples]:
    """Yield the measurements of a kind that no fit saw; of ones without such layers none."""
    for part in read_kernels(folder, kind):
        hardware = load_hardware(part.device)
        train, test = part.held_out()
        if len(train) and len(test):
            possible, _ = possible_rows(find_kernel(kind), test, hardware)
            yield possible.at_most(_MOST_ROWS)


def _shipped(part: Samples) -> Table:
    return kernel_table(load_hardware(part.device), part.kind, part.dtype, part.engine)


def _asked(part: Samples, table: Table) -> _Asked:
    kernel, hardware = find_kernel(part.kind), load_hardware(part.device)
    seconds = predicted(kernel, part, hardware, table.constants)
    least = bound(kernel, part.shape, hardware, part.dtype)
    ratios = np.maximum(seconds, least) / part.seconds
    return _Asked(part.kind, part.dtype, part.engine, hardware.name, ratios, table.low, table.high)


def _at_sheet(part: Samples) -> _Asked:
    hardware = load_hardware(part.device)
    least = bound(find_kernel(part.kind), part.shape, hardware, part.dtype)
    ratios = np.maximum(least, 1e-12) / part.seconds
    return _Asked(part.kind, part.dtype, part.engine, hardware.name, ratios)


@lru_cache
def _own_tables() -> dict[Hardware, tuple[Table, ...]]:
    """Return the shipped tables of every measured device."""
    paths = (path for path in sorted(FOLDER.glob("*.toml")) if not path.stem.startswith("class-"))
    return {load_hardware(path.stem): read_tables(path) for path in paths}


def _device(device: Hardware) -> list[Hardware]:
    return [device]


def _architecture(device: Hardware) -> list[Hardware]:
    """Return the measured devices of the same architecture."""
    own = _ARCHITECTURES.get(device.name)
    return [other for other in _own_tables() if _ARCHITECTURES.get(other.name) == own]


def _without(part: Samples, left: Callable[[Hardware], list[Hardware]]) -> _Asked | None:
    """Return the errors by class defaults that were made without some devices."""
    device = load_hardware(part.device)
    classes = _classes_without(tuple(left(device)))
    table = table_of(class_for(device, classes), part.kind, part.dtype, part.engine)
    if table is None:
        return None
    unnamed = device.replace(name="a device without measurements")
    shipped = kernel_table(unnamed, part.kind, part.dtype, part.engine)
    found = _asked(part, table)
    return _Asked(
        found.kind, found.dtype, found.engine, found.device, found.ratios, shipped.low, shipped.high
    )


@lru_cache
def _classes_without(left: tuple[Hardware, ...]) -> dict[str, list[Table]]:
    return all_class_tables(without(_own_tables(), left))


_COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")


def _rows(asked: Sequence[_Asked], *, with_intervals: bool = False) -> tuple[ErrorRow, ...]:
    """Return rows over tables: by kind, and by kind with dtype, engine and device."""
    groups: dict[str, list[_Asked]] = {}
    for one in asked:
        kind = "collectives" if one.kind in _COLLECTIVES else one.kind
        names = [kind]
        if kind == "collectives":
            names += [one.kind]
        else:
            names += [f"{kind} {one.dtype}", f"{kind} {one.engine}"]
        for name in (*names, f"{kind} {one.device}"):
            groups.setdefault(name, []).append(one)
    ordered = sorted(groups.items(), key=lambda item: (item[0].split()[0], len(item[0].split())))
    return tuple(_row(name, tables, with_intervals) for name, tables in ordered)


def _row(name: str, tables: Sequence[_Asked], with_intervals: bool) -> ErrorRow:
    covered = np.concatenate([one.covered for one in tables]) if with_intervals else None
    return ErrorRow(
        name,
        len(tables),
        float(np.median([np.median(one.off) for one in tables])),
        float(np.median([np.quantile(one.off, 0.9) for one in tables])),
        float(np.median([np.median(one.ratios) for one in tables])),
        None if covered is None else float(covered.mean()),
    )


def _worst(asked: Sequence[_Asked], count: int = 12) -> tuple[str, ...]:
    """Return the tables with the largest median errors, as text."""
    ordered = sorted(asked, key=lambda one: -float(np.median(one.off)))[:count]
    return tuple(
        f"{one.kind} {one.dtype} {one.engine} on {one.device}: median "
        f"{np.median(one.off):.0%}, 90th percentile {np.quantile(one.off, 0.9):.0%}"
        for one in ordered
    )


VALIDATOR = Validator(
    "kernels",
    "Public tables of kernel times: gemm.parquet, moe.parquet, attention_*.parquet, "
    "collectives_nccl.parquet.",
    validate_kernels,
    ablate_kernels,
)

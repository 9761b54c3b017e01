"""A user's measurements of kernels: one CSV or Parquet file of columns.

Columns are ``kind``, ``dtype``, ``seconds`` (or ``latency_ms``), optionally ``engine`` and
``version``, and the arguments of the kinds: ``m``, ``n``, ``k`` of a ``gemm``, and so on.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from memorywall.calibrate.kernel_fit import bound, fit_all, predicted
from memorywall.calibrate.kernel_forms import form_of
from memorywall.calibrate.public_kernels import groups, read_table
from memorywall.calibrate.samples import Samples
from memorywall.catalog.calibrations import STEP
from memorywall.catalog.kernel_tables import kernel_table
from memorywall.core.errors import InvalidInputError, UnknownNameError, invalid_file, shown
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Argument, Kernel, Table
from memorywall.core.numbers import LARGEST, Array
from memorywall.cost.kernels import all_kernels, find_kernel
from memorywall.cost.kernels.facts import attention_cache, attention_dtype, dtype_of

_LARGEST_FILE = 512 * 2**20
_MOST_ROWS = 5_000_000
_FEWEST = 20  # measurements of a table: more than twice its constants
_TOLERANCE = 0.97
_ODD = float(np.log(1.5))  # measurements further off than this are reported
_MOST_LISTED = 20
_MAY_BE_NONE = ("window",)
_HINT = "The columns: docs/howto/calibrate.md."


@dataclass(frozen=True, slots=True)
class OddRow:
    """A measurement that the fitted constants miss by far: reported, and weighed less.

    Attributes:
        row: its place in the file; of a CSV its line, of Parquet 2 for the first.
        call: the kernel and its arguments.
        ratio: predicted over measured seconds.
    """

    row: int
    call: str
    ratio: float


@dataclass(frozen=True, slots=True)
class KernelCalibration:
    """Constants of a kind of kernel on a device.

    Attributes:
        table: the constants, with their interval.
        odd: the measurements that they miss by more than a factor of 1.5, the worst first.
    """

    table: Table
    odd: tuple[OddRow, ...] = field(default=())


def read_columns(path: Path) -> dict[str, Array]:
    """Return a CSV or Parquet file as columns.

    Raises:
        InvalidInputError: no such file, too large, without rows, or of another format.
    """
    if not path.is_file():
        raise InvalidInputError(f"{path} is not a file.", _HINT)
    if path.stat().st_size > _LARGEST_FILE:
        raise InvalidInputError(f"{path} must have at most 512 MiB.", _HINT)
    columns = read_table(path, _MOST_ROWS) if path.suffix == ".parquet" else _csv(path)
    if not columns or not len(next(iter(columns.values()))):
        raise InvalidInputError(f"{path} must have rows, got none.", _HINT)
    return columns


def _csv(path: Path) -> dict[str, Array]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            names = [name.strip() for name in next(reader, [])]
            columns: list[list[str]] = [[] for _ in names]
            for count, row in enumerate(filter(None, reader)):
                if count >= _MOST_ROWS:
                    raise InvalidInputError(f"{path} must have at most {_MOST_ROWS:,} rows.", _HINT)
                for place, column in enumerate(columns):
                    column.append(row[place].strip() if place < len(row) else "")
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(f"{path} is not a CSV: {error}", _HINT) from None
    return {
        name: np.array(column, dtype=object) for name, column in zip(names, columns, strict=True)
    }


def holds_kernels(columns: Sequence[str]) -> bool:
    """Return whether a file with these columns holds measurements of kernels."""
    return "kind" in columns and ("seconds" in columns or "latency_ms" in columns)


def calibrate_kernels(path: Path, hardware: Hardware) -> list[KernelCalibration]:
    """Return tables of constants, fitted to a file of measurements on a device.

    The constants that hold without the measurements, of the device or of its class, are where the
    fit starts; those that no measurement depends on stay there.

    Raises:
        InvalidInputError: columns that are missing, or rows that beat the device's roofs: the
            message lists them.
        UnknownNameError: a kind, a dtype or a word that is not known.
    """
    columns = read_columns(path)
    if not holds_kernels(list(columns)):
        raise InvalidInputError(
            f"{path} must have the columns kind, dtype and seconds, got {', '.join(columns)}.",
            _HINT,
        )
    found = []
    for part, rows in _parts(columns, path):
        kernel = find_kernel(part.kind)
        _refuse_impossible(kernel, part, hardware, rows, path)
        form = form_of(part.kind, hardware, part.dtype, part.engine)
        usual = kernel_table(hardware, part.kind, part.dtype, part.engine).constants
        form = replace(form, usual=usual)
        table = fit_all(kernel, part, hardware, form, source=f"measured: {path.name}")
        found.append(KernelCalibration(table, _odd(kernel, part, hardware, table, rows)))
    return found


def _parts(columns: Mapping[str, Array], path: Path) -> list[tuple[Samples, Array]]:
    """Return the measurements of each table, with their places in the file."""
    count = len(columns["kind"])
    words = {name: _texts(columns.get(name), count) for name in ("kind", "dtype", "engine")}
    words["kv_cache"] = _texts(columns.get("kv_cache"), count)
    keys = [_table_of(*row) for row in zip(*words.values(), strict=True)]
    named = dict(zip(("kind", "dtype", "engine"), np.array(keys, dtype=object).T, strict=True))
    parts = []
    for (kind, dtype, engine), rows in groups(named, "kind", "dtype", "engine"):
        kernel = find_kernel(kind)
        if len(rows) < _FEWEST:
            raise InvalidInputError(
                f"{path}: {kind} in {dtype or 'any dtype'} requires {_FEWEST} measurements, got "
                f"{len(rows)}.",
                "Measure more shapes: small and large ones.",
            )
        read = _Rows({name: column[rows] for name, column in columns.items()}, rows)
        parts.append((read.samples(kernel, dtype, engine, str(path)), rows))
    return parts


def _table_of(kind: str, dtype: str, engine: str, cache: str) -> tuple[str, str, str]:
    """Return the kind, dtype and engine of the table that a measurement is of.

    Raises:
        InvalidInputError: the engine is not a name.
        UnknownNameError: no such kind or dtype.
    """
    kernel = find_kernel(kind)
    if kind == STEP:  # whole passes are calibrated from runs
        known = [each.name for each in all_kernels() if each.name != STEP]
        raise UnknownNameError("kernel", kind, known, f"One of {', '.join(known)}.")
    if not re.fullmatch(r"[\w.-]{0,40}", engine):
        raise InvalidInputError(
            f"engine must be a name of up to 40 letters, digits, . and -, got {shown(engine)}."
        )
    if kernel.over == "link":
        return kind, "", engine
    dtype_of(dtype)
    if any(argument.name == "kv_cache" for argument in kernel.arguments):
        return kind, attention_dtype(dtype, cache or attention_cache(dtype)), engine
    return kind, dtype, engine


def _texts(column: Array | None, count: int) -> list[str]:
    """Return a column as texts; what is missing as nothing."""
    if column is None:
        return [""] * count
    return ["" if _is_empty(value) else str(value) for value in column]


def _is_empty(value: Any) -> bool:
    """Return whether a cell is empty: nothing, or not a number, as Parquet has it."""
    return value is None or value == "" or (isinstance(value, float) and isnan(value))


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Some rows of a file.

    Attributes:
        columns: by name.
        places: of the rows in the file.
        faults: what is wrong with them; filled as they are read.
    """

    columns: Mapping[str, Array]
    places: Array
    faults: list[str] = field(default_factory=list)

    def samples(self, kernel: Kernel, dtype: str, engine: str, path: str) -> Samples:
        """Return the rows as measurements of a table.

        Raises:
            InvalidInputError: columns that are missing, or values that cannot be.
        """
        shape = {argument.name: self._argument(kernel, argument) for argument in kernel.arguments}
        name = "seconds" if "seconds" in self.columns else "latency_ms"
        seconds = self._numbers(name, None) * (1.0 if name == "seconds" else 1e-3)
        if self.faults:
            raise invalid_file(path, self.faults[: 2 * _MOST_LISTED], _HINT)
        version = ", ".join(sorted({*_texts(self.columns.get("version"), 0)} - {""}))[:200]
        every = kernel.over == "link"  # of collectives single sizes are held out
        fixed = [shape[n] for n in shape if every or n not in kernel.varying]
        layers = [
            "x".join(str(each[i] if isinstance(each, np.ndarray) else each) for each in fixed)
            for i in range(len(seconds))
        ]
        return Samples(kernel.name, "", engine, version, dtype, shape, seconds, layers)

    def _argument(self, kernel: Kernel, argument: Argument) -> Any:
        if argument.name not in self.columns:
            if argument.default is None:
                self.faults.append(f"{kernel.name} requires a column {argument.name}")
                return np.ones(len(self.places))
            return argument.default
        return self._words(argument) if argument.choices else self._numbers(
            argument.name, argument.default
        )  # fmt: skip

    def _words(self, argument: Argument) -> Any:
        """Return a word for all rows; of routings, which differ by row, an array of them."""
        given = _texts(self.columns[argument.name], len(self.places))
        words = np.array([word or argument.default for word in given], dtype=object)
        for word in set(words):
            if word not in argument.choices:
                raise UnknownNameError(argument.name, word, argument.choices)
        if argument.name == "routing":
            return words
        if len(set(words)) > 1 and argument.name != "kv_cache":
            self.faults.append(
                f"{argument.name} must be the same in all rows of a table, got "
                f"{' and '.join(sorted(set(words)))}"
            )
        return str(words[0])

    def _numbers(self, name: str, default: Any) -> Array:
        """Return a column as positive numbers; 0 is allowed where it means none."""
        least = 0.0 if name in _MAY_BE_NONE else np.nextafter(0.0, 1.0)
        found = np.ones(len(self.places))
        wrong: list[int] = []
        for place, value in enumerate(self.columns[name]):
            number = _number(value, default)
            if number is not None and least <= number <= LARGEST:
                found[place] = number
            else:
                wrong.append(place)
        self._refuse(wrong, lambda place: (
            f"{name} must be a positive number, got {shown(self.columns[name][place])}"
        ))  # fmt: skip
        return found

    def _refuse(self, wrong: Sequence[int], said: Callable[[int], str]) -> None:
        self.faults.extend(f"row {self.places[i] + 2}: {said(i)}" for i in wrong[:_MOST_LISTED])
        if len(wrong) > _MOST_LISTED:
            self.faults.append(f"{len(wrong) - _MOST_LISTED} rows more")


def _number(value: Any, default: Any) -> float | None:
    """Return a cell as a number, an empty one as the default; None for anything else."""
    try:
        return float(default if _is_empty(value) else value)
    except (TypeError, ValueError):
        return None


def _refuse_impossible(
    kernel: Kernel, part: Samples, hardware: Hardware, rows: Array, path: Path
) -> None:
    """Refuse measurements that beat the device's roofs.

    Raises:
        InvalidInputError: listing their rows.
    """
    least = np.broadcast_to(bound(kernel, part.shape, hardware, part.dtype), part.seconds.shape)
    wrong = np.flatnonzero(part.seconds < _TOLERANCE * least)
    if not len(wrong):
        return
    faults = [
        f"row {int(rows[i]) + 2}: {_call(part, i)} takes {part.seconds[i]:.4g} s, and "
        f"{hardware.name} needs {least[i]:.4g} s or more"
        for i in wrong[:_MOST_LISTED]
    ]
    if len(wrong) > _MOST_LISTED:
        faults.append(f"{len(wrong) - _MOST_LISTED} rows more")
    raise invalid_file(str(path), faults, "Check the device, the dtype and the unit of the time.")


def _odd(
    kernel: Kernel, part: Samples, hardware: Hardware, table: Table, rows: Array
) -> tuple[OddRow, ...]:
    """Return the measurements that constants miss by far, the worst first."""
    ratios = predicted(kernel, part, hardware, table.constants) / part.seconds
    off = np.abs(np.log(ratios))
    places = [int(i) for i in np.argsort(-off) if off[i] > _ODD]
    return tuple(OddRow(int(rows[i]) + 2, _call(part, i), float(ratios[i])) for i in places)


def _call(part: Samples, place: int) -> str:
    """Return a measured call as text."""
    given = (
        f"{name}={value[place]:.12g}"
        for name, value in part.shape.items()
        if isinstance(value, np.ndarray) and value.dtype != object
    )
    return " ".join((part.kind, *given))

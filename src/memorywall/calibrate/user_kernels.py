"""A user's measurements of kernels: one CSV or Parquet file of columns.

Columns are ``kind``, ``dtype``, ``seconds`` (or ``latency_ms``), optionally ``engine`` and
``version``, and the arguments of the kinds: ``m``, ``n``, ``k`` of a ``gemm``, and so on.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from memorywall.calibrate.kernel_fit import bound, tables_of
from memorywall.calibrate.kernel_forms import form_of
from memorywall.calibrate.public_kernels import groups, read_table
from memorywall.calibrate.samples import Samples
from memorywall.core.errors import InvalidInputError, invalid_file
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Kernel, Table
from memorywall.core.numbers import Array
from memorywall.cost.kernels import find_kernel

_LARGEST_FILE = 512 * 2**20
_FEWEST = 20  # measurements of a table: more than twice its constants
_TOLERANCE = 0.97
_MOST_LISTED = 20
_HINT = "The columns: docs/howto/calibrate.md."


def read_columns(path: Path) -> dict[str, Array]:
    """Return a CSV or Parquet file as columns.

    Raises:
        InvalidInputError: no such file, too large, or without rows.
    """
    if not path.is_file():
        raise InvalidInputError(f"{path} is not a file.", _HINT)
    if path.stat().st_size > _LARGEST_FILE:
        raise InvalidInputError(f"{path} must have at most 512 MiB.", _HINT)
    if path.suffix == ".parquet":
        return read_table(path)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(f"{path} is not a CSV: {error}", _HINT) from None
    if not rows:
        raise InvalidInputError(f"{path} must have rows, got none.", _HINT)
    return {name: np.array([row.get(name) or "" for row in rows], dtype=object) for name in rows[0]}


def holds_kernels(columns: Sequence[str]) -> bool:
    """Return whether a file with these columns holds measurements of kernels."""
    return "kind" in columns and ("seconds" in columns or "latency_ms" in columns)


def calibrate_kernels(path: Path, hardware: Hardware) -> list[Table]:
    """Return tables of constants, fitted to a file of measurements on a device.

    Raises:
        InvalidInputError: columns that are missing, or rows that beat the device's roofs: the
            message lists them.
    """
    columns = read_columns(path)
    if not holds_kernels(list(columns)):
        raise InvalidInputError(
            f"{path} must have the columns kind, dtype and seconds, got {', '.join(columns)}.",
            _HINT,
        )
    columns.setdefault("engine", np.full(len(columns["kind"]), "", dtype=object))
    columns.setdefault("dtype", np.full(len(columns["kind"]), "", dtype=object))
    tables: list[Table] = []
    for (kind, dtype, engine), rows in groups(columns, "kind", "dtype", "engine"):
        kernel = find_kernel(kind)
        part = _samples(kernel, dtype, engine, {n: c[rows] for n, c in columns.items()}, path)
        if len(part) < _FEWEST:
            raise InvalidInputError(
                f"{path}: {kind} in {dtype or 'any dtype'} requires {_FEWEST} measurements, got "
                f"{len(part)}.",
                "Measure more shapes: small and large ones.",
            )
        _refuse_impossible(kernel, part, hardware, rows, path)
        form = form_of(kind, hardware, dtype, engine)
        tables += tables_of(kernel, [part], hardware, [form], source=f"measured: {path.name}")
    return tables


def _samples(
    kernel: Kernel, dtype: str, engine: str, columns: Mapping[str, Array], path: Path
) -> Samples:
    shape: dict[str, Any] = {}
    faults: list[str] = []
    for argument in kernel.arguments:
        given = columns.get(argument.name)
        if given is None and argument.default is None:
            faults.append(f"{kernel.name} requires a column {argument.name}")
        elif given is None:
            shape[argument.name] = argument.default
        elif argument.choices:
            shape[argument.name] = str(given[0]) or argument.default
        else:
            shape[argument.name] = _numbers(given, argument.name, argument.default, faults)
    scale = 1.0 if "seconds" in columns else 1e-3
    name = "seconds" if "seconds" in columns else "latency_ms"
    seconds = _numbers(columns[name], name, None, faults) * scale
    if faults:
        raise invalid_file(str(path), faults, _HINT)
    fixed = [name for name in shape if name not in kernel.varying]
    layers = [
        "x".join(str(shape[n][i] if isinstance(shape[n], np.ndarray) else shape[n]) for n in fixed)
        for i in range(len(seconds))
    ]
    return Samples(kernel.name, "", engine, "", dtype, shape, seconds, layers)


def _numbers(column: Array, name: str, default: Any, faults: list[str]) -> Array:
    """Return a column as positive numbers; 0 is allowed where it is the default."""
    try:
        found = np.array([float(v) if v not in ("", None) else float(default) for v in column])
    except (TypeError, ValueError):
        faults.append(f"{name} must be numbers")
        return np.ones(len(column))
    if not np.isfinite(found).all() or ((found <= 0).any() and default != 0):
        faults.append(f"{name} must be positive and finite")
    return found


def _refuse_impossible(
    kernel: Kernel, part: Samples, hardware: Hardware, rows: Array, path: Path
) -> None:
    """Refuse measurements that beat the device's roofs.

    Raises:
        InvalidInputError: listing their rows.
    """
    least = bound(kernel, part.shape, hardware, part.dtype)
    wrong = np.flatnonzero(part.seconds < _TOLERANCE * least)
    if not len(wrong):
        return
    faults = [
        f"row {int(rows[i]) + 2}: {kernel.name} takes {part.seconds[i]:.4g} s, and "
        f"{hardware.name} needs {np.broadcast_to(least, part.seconds.shape)[i]:.4g} s or more"
        for i in wrong[:_MOST_LISTED]
    ]
    if len(wrong) > _MOST_LISTED:
        faults.append(f"{len(wrong) - _MOST_LISTED} rows more")
    raise invalid_file(str(path), faults, "Check the device, the dtype and the unit of the time.")

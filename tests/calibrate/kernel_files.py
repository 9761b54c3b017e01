"""Files of measured kernels that tests make."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import memorywall as mw

Row = dict[str, Any]


def products(count: int, on: str, dtype: str = "bf16", factor: float = 1.0) -> list[Row]:
    """Return products of a device that take ``factor`` times what is predicted."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(count):
        m, n, k = (int(2 ** rng.uniform(low, high)) for low, high in ((0, 13), (8, 14), (8, 14)))
        found = mw.kernel_time("gemm", on=on, dtype=dtype, m=m, n=n, k=k)
        row = {"kind": "gemm", "dtype": dtype, "m": m, "n": n, "k": k}
        rows.append({**row, "seconds": factor * float(found.seconds) * rng.lognormal(0, 0.02)})
    return rows


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows as a CSV file, and return its path."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return path

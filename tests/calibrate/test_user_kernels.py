"""Constants from a user's own times of kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from memorywall import kernel_time
from memorywall.answer.analyze import load_hardware
from memorywall.calibrate.user_kernels import calibrate_kernels
from memorywall.core.errors import InvalidInputError, MemoryWallError

DEVICE = "rtx-4090"


def write(folder: Path, rows: list[tuple[object, ...]], header: str = "") -> Path:
    path = folder / "kernels.csv"
    lines = [header or "kind,dtype,m,n,k,seconds"]
    path.write_text("\n".join([*lines, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def products(slower: float, count: int = 160) -> list[tuple[object, ...]]:
    """Return times of products on a device that is slower than its class by a factor."""
    m, n, k = np.round(2 ** np.random.default_rng(0).uniform(4, 13, (3, count)))
    found = kernel_time("gemm", on=DEVICE, m=m, n=n, k=k)
    seconds = np.asarray(found.seconds) * slower
    return [("gemm", "bf16", *row) for row in zip(m, n, k, seconds, strict=True)]


def test_a_slower_device_has_slower_constants(tmp_path: Path) -> None:
    hardware = load_hardware(DEVICE)
    (table,) = calibrate_kernels(write(tmp_path, products(2.0)), hardware)
    usual = kernel_time("gemm", on=DEVICE, m=1, n=64, k=64).table
    # The times are twice those of the class: launches last longer, and a share of the peak is idle.
    assert table.constants["launch_s"] > 1.5 * usual.constants["launch_s"]
    assert table.constants["peak_share"] < 0.7 * usual.constants["peak_share"]
    assert table.median_error < 0.08
    assert (table.kind, table.dtype, table.provenance) == ("gemm", "bf16", "calibrated")


def test_times_below_the_roofs_are_refused_with_their_rows(tmp_path: Path) -> None:
    # 2 x 4096^3 = 1.37e11 FLOP in 1 us are 1.4e17 FLOP/s, and an RTX 4090 has 1.7e14.
    rows = [*products(2.0), ("gemm", "bf16", 4096, 4096, 4096, 1e-6)]
    with pytest.raises(InvalidInputError) as refused:
        calibrate_kernels(write(tmp_path, rows), load_hardware(DEVICE))
    # The header is row 1, so row 162 is the 161st time.
    assert "row 162" in str(refused.value)
    assert "row 161" not in str(refused.value)


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        ("kind,dtype,m,n,seconds", [("gemm", "bf16", 1, 1, 1)] * 30, "a column k"),
        ("kind,dtype,m,n,k,seconds", [("gemm", "bf16", 1, 1, 1, "soon")] * 30, "numbers"),
        ("kind,dtype,m,n,k,seconds", [("gemm", "bf16", 1, 1, 1, -1)] * 30, "positive"),
        ("kind,dtype,m,n,k,seconds", [("gemm", "bf16", 1, 1, 1, 1)] * 3, "20 measurements"),
        ("kind,dtype,m,n,k", [("gemm", "bf16", 1, 1, 1)] * 30, "the columns"),
        ("kind,dtype,m,n,k,seconds", [("convolve", "bf16", 1, 1, 1, 1)] * 30, "convolve"),
    ],
)
def test_a_table_that_cannot_be_fitted_is_refused(
    tmp_path: Path, header: str, rows: list[tuple[object, ...]], said: str
) -> None:
    with pytest.raises(MemoryWallError, match=said):
        calibrate_kernels(write(tmp_path, rows, header), load_hardware(DEVICE))

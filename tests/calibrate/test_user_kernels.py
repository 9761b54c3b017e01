"""A user's measurements of kernels: what is fitted, reported, and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import memorywall as mw
from memorywall.calibrate.user_kernels import calibrate_kernels, read_columns
from memorywall.core.errors import MemoryWallError
from memorywall.core.files import write_text
from tests.calibrate.kernel_files import products, write_csv

CARD = mw.hardware("rtx-4090")


def test_constants_follow_the_measurements(tmp_path: Path) -> None:
    # A card whose kernels take 1.2 times what its class says.
    rows = products(80, "rtx-4090", factor=1.2)
    (found,) = calibrate_kernels(write_csv(tmp_path / "mine.csv", rows), CARD)
    table = found.table
    assert (table.kind, table.dtype, table.rows, table.provenance) == (
        "gemm", "bf16", 80, "calibrated",
    )  # fmt: skip
    assert table.dataset == "measured: mine.csv"
    assert table.median_error is not None
    assert table.median_error < 0.08
    assert 0.85 < table.low < 1 < table.high < 1.2
    assert not found.odd


def test_a_slower_device_has_slower_constants(tmp_path: Path) -> None:
    # Twice the times of the class: launches last longer, and a share of the peak is idle.
    usual = mw.kernel_time("gemm", on=CARD, m=1, n=64, k=64).table.constants
    rows = products(160, "rtx-4090", factor=2.0)
    (found,) = calibrate_kernels(write_csv(tmp_path / "mine.csv", rows), CARD)
    assert found.table.constants["launch_s"] > 1.5 * usual["launch_s"]
    assert found.table.constants["peak_share"] < 0.7 * usual["peak_share"]


def test_odd_measurements_are_listed_and_weigh_less(tmp_path: Path) -> None:
    rows = products(60, "rtx-4090", factor=1.1)
    rows[3]["seconds"] *= 3
    (found,) = calibrate_kernels(write_csv(tmp_path / "mine.csv", rows), CARD)
    assert [odd.row for odd in found.odd] == [5]  # after the line of names
    assert found.odd[0].ratio == pytest.approx(1 / 3, rel=0.15)
    assert f"m={rows[3]['m']}" in found.odd[0].call
    assert found.table.rows == 60


def test_measurements_faster_than_the_device_are_refused_with_their_rows(tmp_path: Path) -> None:
    rows = products(30, "rtx-4090")
    rows[7]["seconds"] = 1e-9
    with pytest.raises(MemoryWallError, match=r"row 9: gemm m=\d+ n=\d+ k=\d+ takes 1e-09 s"):
        calibrate_kernels(write_csv(tmp_path / "mine.csv", rows), CARD)


def test_words_choose_tables(tmp_path: Path) -> None:
    def call(kind: str, place: int, dtype: str, **shape: Any) -> dict[str, Any]:
        shape = {name: value * (1 + place) if name in ("batch", "tokens", "bytes") else value
                 for name, value in shape.items()}  # fmt: skip
        on = mw.kernel_time(kind, on=CARD, dtype=dtype, **shape)
        return {"kind": kind, "dtype": dtype, **shape, "latency_ms": 1e3 * float(on.seconds)}

    heads = {"batch": 1, "heads": 32, "kv_heads": 8, "head_dim": 128, "keys": 4096}
    experts = {"tokens": 4, "hidden_size": 2048, "intermediate_size": 1024, "experts": 64,
               "experts_per_token": 4}  # fmt: skip
    rows = []
    for place in range(20):
        cache, routing = ("fp8", "bf16")[place % 2], ("balanced", "power_law_1.2")[place % 2]
        rows += [call("attention_decode", place, "fp16", **heads, kv_cache=cache)] * 2
        rows.append(call("moe", place, "int4", **experts, routing=routing))
        rows.append(call("all_reduce", place, "bf16", bytes=1 << 12, ranks=2))
    found = calibrate_kernels(write_csv(tmp_path / "mine.csv", rows), CARD)
    tables = {(one.table.kind, one.table.dtype): one.table for one in found}
    assert set(tables) == {
        ("attention_decode", "bf16"), ("attention_decode", "bf16-fp8"), ("moe", "int4"),
        ("all_reduce", ""),
    }  # fmt: skip
    for table in tables.values():  # nothing moves: they are as the class says
        assert table.low == pytest.approx(1, abs=0.02)
        assert table.high == pytest.approx(1, abs=0.02)


def test_csv_and_parquet_say_the_same(tmp_path: Path) -> None:
    rows = products(40, "h100-sxm", "fp8")
    path = tmp_path / "mine.parquet"
    parquet.write_table(pa.Table.from_pylist([{**row, "engine": None} for row in rows]), path)
    device = mw.hardware("h100-sxm")
    (one,) = calibrate_kernels(write_csv(tmp_path / "mine.csv", rows), device)
    (two,) = calibrate_kernels(path, device)
    assert one.table.constants == pytest.approx(two.table.constants, rel=1e-3)


_HEAD = "kind,dtype,m,n,k,seconds"
_ROW = "gemm,bf16,64,4096,4096,1e-3"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must have rows"),
        (_HEAD, "must have rows"),
        ("m,n,k\n1,2,3", "must have the columns kind"),
        (f"{_HEAD}\n{_ROW}", "requires 20 measurements, got 1"),
        (f"{_HEAD}\n" + f"{_ROW}\n" * 25 + "gemm,bf16,-4,64,64,1", "row 27: m must be a positive"),
        (f"{_HEAD}\n" + f"{_ROW}\n" * 25 + "gemm,bf16,x,64,64,1", "row 27: m must be a positive"),
        (f"{_HEAD}\n" + f"{_ROW}\n" * 25 + "gemm,bf16,4,64,64,nan", "row 27: seconds must be"),
        (f"{_HEAD}\n" + f"{_ROW}\n" * 25 + "gemm,bf16,4", "row 27: n must be a positive"),
        ("kind,dtype,m,seconds\n" + "gemm,bf16,4,1\n" * 25, "requires a column n"),
        (f"{_HEAD}\n" + "gemm,bf17,4,4,4,1\n" * 25, "bf17"),
        (f"{_HEAD}\n" + "gem,bf16,4,4,4,1\n" * 25, "gem"),
        (f"{_HEAD}\n" + "step,,4,4,4,1\n" * 25, "step"),
        (f"{_HEAD},engine\n" + "gemm,bf16,4,4,4,1,../x\n" * 25, "engine must be a name"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.csv"
    write_text(path, text)
    with pytest.raises(MemoryWallError, match=said):
        calibrate_kernels(path, CARD)


def test_files_that_are_not_tables(tmp_path: Path) -> None:
    junk = tmp_path / "junk.parquet"
    junk.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(MemoryWallError, match="is not Parquet"):
        read_columns(junk)
    junk = tmp_path / "junk.csv"
    junk.write_bytes(b"\xff\xfe\x00kind")
    with pytest.raises(MemoryWallError, match="is not a CSV"):
        read_columns(junk)
    with pytest.raises(MemoryWallError, match="is not a file"):
        read_columns(tmp_path / "none.csv")


def test_columns_are_texts_of_every_row(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    write_text(path, "\ufeffkind, m\ngemm, 4\n\ngemm,\n")
    columns = read_columns(path)
    assert list(columns) == ["kind", "m"]
    assert np.array_equal(columns["m"], ["4", ""])

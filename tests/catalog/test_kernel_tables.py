"""Tables of kernels: every device has some, in the order that is documented."""

from __future__ import annotations

from pathlib import Path

import pytest

import memorywall as mw
from memorywall.calibrate.save import save_tables
from memorywall.catalog.devices import devices
from memorywall.catalog.kernel_tables import (
    BULK,
    FOLDER,
    LOADS,
    kernel_class,
    kernel_table,
    measured_kinds,
)
from memorywall.catalog.step_tables import step_table
from memorywall.catalog.table_files import read_tables, tables_toml
from memorywall.core.errors import InvalidInputError, UnknownNameError
from memorywall.core.kernels import Table
from memorywall.cost.kernels import all_kernels, find_kernel

_LARGEST = 300_000  # bytes of all calibrations together
_MOST_NUMBERS = 12
KINDS = ("gemm", "moe", "attention_decode", "attention_prefill", "all_reduce")


def dtype_of(kind: str) -> str:
    return "" if kind == "all_reduce" else "bf16"


@pytest.mark.parametrize("kind", KINDS)
def test_every_device_has_constants(kind: str) -> None:
    for device in devices():
        table = kernel_table(device, kind, dtype_of(kind))
        assert table.low < 1 < table.high, device.name
        is_own = kind in measured_kinds(device)
        assert table.provenance == ("calibrated" if is_own else "class default"), device.name


def test_constants_are_few_and_within_bounds() -> None:
    for path in FOLDER.glob("*.toml"):
        for table in read_tables(path):
            kernel = find_kernel(table.kind)
            known = {constant.name: constant for constant in kernel.constants}
            assert len(table.constants) <= _MOST_NUMBERS, (path.name, table.kind)
            for name, value in table.constants.items():
                assert known[name].low * 0.99 <= value <= known[name].high * 1.01, (path.name, name)


def test_every_table_says_where_it_comes_from() -> None:
    for path in FOLDER.glob("*.toml"):
        for table in read_tables(path):
            assert "Apache-2.0" in table.dataset
            assert table.rows > 0
            assert table.median_error is None or 0 < table.median_error <= (table.p90_error or 0)
            assert table.physics
            if not path.stem.startswith("class-"):
                assert table.version


def test_calibrations_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.parent.rglob("*.toml")) < _LARGEST


def test_classes_are_by_the_path_of_operands() -> None:
    classes = {name: kernel_class(mw.hardware(name)) for name in
               ("h100-pcie", "gb200", "a100-sxm-80gb", "rtx-4090", "mi300x", "m2-max")}  # fmt: skip
    assert {name for name, found in classes.items() if found == BULK} == {"h100-pcie", "gb200"}
    assert set(classes.values()) == {BULK, LOADS}


def test_devices_of_a_class_have_a_wider_interval_than_measured_ones() -> None:
    for kind in KINDS:
        own = kernel_table(mw.hardware("h100-sxm"), kind, dtype_of(kind))
        classed = kernel_table(mw.hardware("h100-pcie"), kind, dtype_of(kind))
        assert classed.high / classed.low > own.high / own.low, kind


def test_what_is_missing_is_looked_for_in_order() -> None:
    h100, a100 = mw.hardware("h100-sxm"), mw.hardware("a100-sxm-80gb")
    # An engine without tables has those of another one.
    assert kernel_table(h100, "gemm", "bf16", "nccl").engine in ("trtllm", "sglang", "vllm")
    # A100 has no arithmetic in 8 bits: the constants are those of its 16, under the name asked for.
    found = kernel_table(a100, "gemm", "fp8")
    assert found.dtype == "fp8"
    assert found.constants == kernel_table(a100, "gemm", "bf16").constants
    with pytest.raises(UnknownNameError, match="gemm in bf17"):
        kernel_table(h100, "gemm", "bf17")


def test_tables_are_written_as_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "tables.toml"
    constants = {kernel.name: kernel.constants for kernel in all_kernels()}
    tables = read_tables(FOLDER / "l40s.toml")
    path.write_text(tables_toml(tables, constants, "A heading."), encoding="utf-8")
    assert read_tables(path) == tables
    path.write_text("[[tables]]\nkind = 3\nconstants = {m = -1}\n", encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"tables\[1\].kind must be a text"):
        read_tables(path)


def test_tables_of_a_user_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORYWALL_DATA", str(tmp_path))
    h100, card = mw.hardware("h100-sxm"), mw.hardware("rtx-4090")
    theirs = kernel_table(h100, "gemm", "bf16")
    mine = Table("gemm", "bf16", "", {**theirs.constants, "launch_s": 1e-5}, 0.9, 1.1, rows=20)
    save_tables(h100, [mine])
    assert kernel_table(h100, "gemm", "bf16").constants["launch_s"] == 1e-5
    assert kernel_table(h100, "gemm", "fp8").rows > 20
    step = step_table(card)
    save_tables(card, [Table("step", "", "", {**step.constants, "step_s": 0.5}, 0.9, 1.1)])
    assert step_table(card).constants["step_s"] == 0.5


def test_passes_have_the_constants_of_an_engine() -> None:
    card = mw.hardware("rtx-4090")
    assert step_table(card).engine == ""
    assert step_table(card, "exllamav2").engine == "exllamav2"
    assert step_table(card, "no such engine") == step_table(card)


@pytest.mark.parametrize("text", ["", "kind = 3", "[[table]]\nkind = 'gemm'\n", "\x00"])
def test_a_file_that_is_not_a_table_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError):
        read_tables(path)

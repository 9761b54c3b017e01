"""Tables of passes: every device has one."""

from __future__ import annotations

from pathlib import Path

import pytest

import memorywall as mw
from memorywall.catalog.classes import CLASSES, class_of
from memorywall.catalog.devices import devices
from memorywall.catalog.step_tables import FOLDER, class_table, step_table
from memorywall.catalog.table_files import read_tables, tables_toml
from memorywall.core.errors import InvalidInputError
from memorywall.cost.kernels.step import CONSTANTS

_LARGEST = 60 * 1024  # bytes of all tables


def test_every_device_has_a_table() -> None:
    for device in devices():
        table = step_table(device)
        assert set(table.constants) == {one.name for one in CONSTANTS}, device.name
        assert table.low < 1 < table.high, device.name
        assert table.dataset, device.name


def test_constants_are_within_bounds() -> None:
    for path in set(FOLDER.glob("*.toml")) - {FOLDER / "host.toml"}:
        for table in read_tables(path):
            for one in CONSTANTS:
                assert one.low * 0.99 <= table.constants[one.name] <= one.high * 1.01, path.name


def test_every_class_has_a_table_and_files_name_classes_or_devices() -> None:
    known = {*CLASSES, *mw.hardware_names(), "host"}
    files = {path.stem for path in FOLDER.glob("*.toml")}
    assert set(CLASSES) <= files <= known
    assert sum(path.stat().st_size for path in FOLDER.glob("*.toml")) < _LARGEST


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rtx-4090", "nvidia-gpu"),
        ("l40s", "nvidia-gpu"),  # a data-centre card with GDDR
        ("h100-sxm", "nvidia-data-centre-gpu"),
        ("mi300x", "amd-data-centre-gpu"),
        ("rx-7900-xtx", "amd-gpu"),
        ("arc-b580", "intel-gpu"),
        ("m4-max", "apple"),
        ("dgx-spark", "unified-memory-pc"),
        ("epyc-9654", "server-cpu"),
        ("raspberry-pi-5", "board-cpu"),
        ("tpu-v5e", "tpu"),
        ("gaudi2", "npu"),
    ],
)
def test_classes(name: str, expected: str) -> None:
    assert class_of(mw.hardware(name)) == expected


def test_an_engine_without_a_table_has_that_of_any() -> None:
    card = mw.hardware("rtx-3090")
    assert step_table(card, "exllama").engine == "exllama"
    assert step_table(card, "unheard").engine == ""


def test_tables_survive_their_file(tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    table = class_table("apple")
    path.write_text(tables_toml([table], {"step": CONSTANTS}))
    (again,) = read_tables(path)
    assert again == table
    path.write_text("[tables]\n")
    with pytest.raises(InvalidInputError, match="not a calibration"):
        read_tables(path)

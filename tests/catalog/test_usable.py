"""The usable part of a main memory: as a driver reports it, by a class rule, or all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import memorywall as mw
from memorywall.catalog.devices import devices, read_device
from memorywall.catalog.usable import RULES, usable_by_class
from memorywall.core.errors import InvalidInputError

GIB = 2**30

# Totals of public logs: PyTorch's out-of-memory message prints what CUDA, ROCm and XLA report,
# nvidia-smi its own, which is up to 1 % more.
REPORTED = {
    "rtx-3090": 24_146 * 2**20,  # 25.32e9
    "rtx-5090": 32_607 * 2**20,  # 34.19e9
    "b200-sxm": 178.35 * GIB,  # 191.5e9
    "h100-sxm": 81_559 * 2**20,  # 85.52e9
    "h200-sxm": 139.8 * GIB,
    "a100-sxm-80gb": 79.15 * GIB,
    "gb300": 284_208 * 2**20,
    "mi300x": 191.98 * GIB,
    "tpu-v6e": 31.25 * GIB,
    "dgx-spark": 121.69 * GIB,
    # By rule; GDDR6 with ECC: 22.03 to 22.2 GiB on L4 and A10, 44.34 to 44.56 on A40 and L40.
    "l4": 22.1 * GIB,
    "a10": 22.1 * GIB,
    "a40": 44.4 * GIB,
    "rtx-a6000": 47.4 * GIB,
    "rtx-4090": 23.52 * GIB,
    "rtx-3080": 9.65 * GIB,
    "rtx-5080": 15.47 * GIB,
    "rtx-3060": 11.63 * GIB,
    "mi355x": 287.98 * GIB,
    "mi250x": 63.98 * GIB,
    "b300-sxm": 267.69 * GIB,
    "tpu-v7": 2 * 94.75 * GIB,
    "p40": 22.38 * GIB,
    "v100-sxm-16gb": 15.78 * GIB,
    "v100-sxm-32gb": 31.74 * GIB,
    "p100-sxm": 15.89 * GIB,
}


def test_usable_is_what_drivers_report() -> None:
    for name, total in REPORTED.items():
        assert mw.hardware(name).usable == pytest.approx(total, rel=0.006), name


def test_every_label_is_near_its_usable_part() -> None:
    # A label in GB is GiB of chips, 1.0737 times as much; macOS gives a GPU two thirds of them.
    for device in devices():
        assert device.usable is not None
        assert device.capacity is not None
        share = device.usable / device.capacity
        assert 0.70 < share <= GIB / 1e9, device.name
        place = f"memories[{len(device.memories)}].usable"
        assert (place in device.sources) == (device.main_memory.usable is not None), device.name


def test_class_rules() -> None:
    # 24 GB is read as 24 GiB of which CUDA has 97 %; 95 GiB stay 95 GiB.
    found = usable_by_class("consumer GPU", "NVIDIA", "GDDR7", 24e9)
    assert found is not None
    assert found[0] == round(24 * GIB * 0.97)
    assert found[1].startswith("class rule: 0.97 of the label in GiB")
    # Metal: 21,845 of 32 GiB on an M2 Max, 73,728 MiB of 96 GiB.
    small = usable_by_class("system on chip", "Apple", "LPDDR5", 32e9)
    large = usable_by_class("system on chip", "Apple", "LPDDR5", 96e9)
    assert small is not None
    assert large is not None
    assert (small[0] // 2**20, large[0] / 2**20) == (21_845, 73_728)
    assert usable_by_class("server CPU", "AMD", "DDR5", 1e12) is None
    assert all(0.5 < rule.share <= 1 and rule.reason for rule in RULES)


def test_a_changed_capacity_is_usable() -> None:
    device = mw.hardware("rtx-3090")
    assert device.capacity == 24e9
    assert device.replace(capacity=48e9).usable == 48e9
    assert device.replace(usable="20 GiB").usable == 20 * GIB
    assert device.replace(usable="20 GiB").capacity == 24e9
    assert device.replace(capacity=None).usable is None
    assert device.replace(bandwidth=1e12).usable == device.usable


def test_the_footprint_is_compared_with_usable() -> None:
    # 11.9e9 parameters of 2 B would fit 24e9 B and more do: the card has 25.32e9.
    answer = mw.analyze("llama-3.1-8b", on="rtx-3090", batch_size=8, seq_len=8192)
    # 16.06e9 of weights, 8 x 8192 x 131,072 B = 8.59e9 of cache: 24.65e9.
    assert 24e9 < answer.footprint.total < 25.32e9
    assert answer.footprint.capacity == 24_146 * 2**20
    assert answer.fits


def _own(folder: Path, memory: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(f'[peaks]\nbf16 = "1 TFLOP/s"\n[[memories]]\nname = "DRAM"\n{memory}\n')
    return path


def test_usable_of_an_own_device(tmp_path: Path) -> None:
    rest = 'bandwidth = "1 TB/s"\ncapacity = "32 GB"\n'
    assert read_device(_own(tmp_path, rest)).usable == 32e9
    assert read_device(_own(tmp_path, rest + 'usable = "31 GiB"')).usable == 31 * GIB
    with pytest.raises(InvalidInputError, match="'usable' must not be larger than 'capacity'"):
        read_device(_own(tmp_path, rest + 'usable = "33 GiB"'))
    with pytest.raises(InvalidInputError, match="'usable' requires 'capacity'"):
        read_device(_own(tmp_path, 'bandwidth = "1 TB/s"\nusable = "33 GiB"'))

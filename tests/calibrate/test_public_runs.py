"""Published runs: machines and weights by the names that people use."""

from __future__ import annotations

from pathlib import Path

import pytest

from memorywall.calibrate.public_runs import (
    COLUMNS,
    find_machine,
    read_public_runs,
    weights_name,
)
from memorywall.core.errors import InvalidInputError, UnsupportedError


@pytest.mark.parametrize(
    ("machine", "device"),
    [
        ("M1 (7-core GPU)", "m1-7core"),
        ("M1 Ultra (48 GPU Core) 64GB", "m1-ultra-48core"),
        ("Mac Studio (M3 Ultra 512GB)", "m3-ultra"),
        ("M1 Max Mac Studio (10 core - 64GB)", "m1-max"),
        ("Mac Studio (M1 Max 10-core - 64GB)", "m1-max"),
        ("M4 Mac mini (10 core - 32GB)", "m4"),
        ("Pi 5 - 16GB", "raspberry-pi-5"),
        ("Pi 5 - 8GB (AMD RX 6500 XT)", "rx-6500-xt"),
        ("Intel 265K Custom PC (Nvidia RTX A4000)", "rtx-a4000"),
        ("Ryzen 9 7950X (Nvidia 4080)", "rtx-4080"),
        ("Dell Pro Max with GB10 (Nvidia Spark)", "dgx-spark"),
        ("Framework Desktop Mainboard (395+)", "strix-halo"),
        ("Ryzen AI Max+ 395 (16 Zen 5 cores)", "strix-halo-cpu"),
        ("Core i9-13900K, DDR5-6400", "core-i9-13900k"),
    ],
)
def test_machines_are_devices(machine: str, device: str) -> None:
    assert find_machine(machine) == device


def test_an_unknown_card_is_not_its_host() -> None:
    with pytest.raises(UnsupportedError, match="not known"):
        find_machine("Pi 5 - 8GB (AMD RX 9999)")


def test_cores_of_a_chip_are_another_device() -> None:
    assert find_machine("Framework Mainboard (128GB)", "run on CPU; 40W") == "strix-halo-cpu"
    assert find_machine("Framework Mainboard (128GB)", "run on GPU; 90W") == "strix-halo"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("4-bit (q4f16_1)", "int4-g32"),
        ("4-bit (Q4_0)", "Q4_0"),
        ("GPTQ 4-bit g128 act=no", "int4"),
        ("GPTQ 4-bit g32 act=yes", "int4-g32"),
        ("EXL2 2.5 bpw", "exl2-2.5bpw"),
        ("Q4_K_M (default of the page; gpt-oss MXFP4)", "Q4_K_M"),
        ("Q8_0", "Q8_0"),
        ("F16", "F16"),
        ("MXFP4", "MXFP4_MOE"),
    ],
)
def test_weights_are_formats(words: str, name: str) -> None:
    assert weights_name(words) == name


def row(**changes: str) -> str:
    given = {
        "id": "a1", "model": "Llama-2-7B", "engine": "llama.cpp CUDA", "device": "RTX 4090",
        "n_devices": "1", "weights": "Q4_0", "phase": "decode", "prompt_len": "0",
        "gen_len": "128", "context_start": "0", "value": "186.21", "source": "a thread",
    } | changes  # fmt: skip
    return ",".join(given.get(name, "") for name in COLUMNS)


def test_rows_are_read_or_refused_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "single_stream.csv"
    rows = [
        row(),
        row(id="a2", engine="exllama"),
        row(id="a3", n_devices="2", layout="TP2"),
        row(id="a4", device="Raspberry Pi CM5 Cluster (10x 16GB)"),
        row(id="a5", n_devices="2", layout="layer split"),
    ]
    path.write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
    known, refused = read_public_runs(path)
    assert [(one.run.place, one.left_out) for one in known] == [
        ("a1", ""), ("a2", "an engine of 2023"), ("a5", "several devices"),
    ]  # fmt: skip
    assert known[0].run.seq_len == 64
    assert known[0].device_class == "nvidia-gpu"
    assert [one.place for one in refused] == ["a3", "a4"]
    assert "collectives" in refused[0].reason
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InvalidInputError, match="must have the columns"):
        read_public_runs(path)

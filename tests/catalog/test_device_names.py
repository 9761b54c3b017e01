"""Names of devices: the spellings of people, drivers and shops, and names that are near."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import memorywall as mw
from memorywall.app.cli import main
from memorywall.catalog.device_names import device_names, folded, nearest, resolved
from memorywall.catalog.devices import read_device
from memorywall.core.errors import UnknownNameError, UnsupportedError

SPELLINGS = {
    "h100": "h100-sxm", "H100": "h100-sxm", "a100": "a100-sxm-80gb", "b200": "b200-sxm",
    "h200": "h200-sxm", "4090": "rtx-4090", "m4 max": "m4-max", "M4-Max": "m4-max",
    "rtx4090": "rtx-4090", "RTX 4090": "rtx-4090", "NVIDIA GeForce RTX 4090": "rtx-4090",
    "v100": "v100-sxm-32gb", "spark": "dgx-spark", "mi300x": "mi300x", "h800": "h800-sxm",
    "a800": "a800-sxm-80gb", "l20": "l20", "p40": "p40", "mi50": "mi50", "m1 ultra": "m1-ultra",
    # As torch, nvidia-smi, rocm-smi, Level Zero and macOS call them.
    "NVIDIA H100 80GB HBM3": "h100-sxm", "NVIDIA H100 PCIe": "h100-pcie",
    "NVIDIA A100-SXM4-80GB": "a100-sxm-80gb", "NVIDIA A100-SXM4-40GB": "a100-sxm-40gb",
    "NVIDIA A100 80GB PCIe": "a100-pcie-80gb", "NVIDIA A100-PCIE-40GB": "a100-pcie-40gb",
    "Tesla V100-SXM2-16GB": "v100-sxm-16gb", "Tesla T4": "t4", "Tesla P40": "p40",
    "NVIDIA RTX A6000": "rtx-a6000", "NVIDIA L40S": "l40s", "NVIDIA A10G": "a10g",
    "NVIDIA RTX 6000 Ada Generation": "rtx-6000-ada", "NVIDIA GB10": "dgx-spark",
    "NVIDIA GH200 480GB": "gh200", "NVIDIA B300 SXM6 AC": "b300-sxm",
    "NVIDIA RTX PRO 6000 Blackwell Server Edition": "rtx-pro-6000",
    "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": "rtx-pro-6000-workstation",
    "AMD Instinct MI300X": "mi300x", "AMD Radeon RX 7900 XTX": "rx-7900-xtx",
    "Intel(R) Arc(TM) A770 Graphics": "arc-a770", "Apple M4 Max": "m4-max",
    "Apple M2 Ultra (60-core GPU)": "m2-ultra-60core", "TPU v6e": "tpu-v6e",
    # As people type them.
    "3090ti": "rtx-3090-ti", "4070 Ti Super": "rtx-4070-ti-super", "7900 xtx": "rx-7900-xtx",
    "b580": "arc-b580", "580": "rx-580", "strix halo": "strix-halo", "pi 5": "raspberry-pi-5",
    "jetson orin nano": "jetson-orin-nano-super", "n300": "wormhole-n300", "n150": "wormhole-n150",
    "Intel N150": "processor-n150", "Dell Pro Max with GB10": "dgx-spark", "Pi 500+":
    "raspberry-pi-5", "Intel(R) Arc(TM) B580 Graphics": "arc-b580", "Pi CM5": "raspberry-pi-5",
    "trillium": "tpu-v6e",
}  # fmt: skip


def test_spellings_of_people_and_drivers() -> None:
    assert {spelling: resolved(spelling) for spelling in SPELLINGS} == SPELLINGS


def test_ids_titles_and_aliases_name_their_device() -> None:
    for name in device_names():
        device = mw.hardware(name)
        assert device.name == name
        assert resolved(name.replace("-", " ").upper()) == name
        assert resolved(device.title) == name, device.title
        for alias in device.aliases:
            assert resolved(alias) == name, alias


def test_aliases_differ_from_ids() -> None:
    spelled = {folded(name): name for name in device_names()}
    assert len(spelled) == len(device_names())
    for name in device_names():
        device = mw.hardware(name)
        for alias in device.aliases:
            assert spelled.get("".join(alias.split("-")), name) == name, alias
        assert not device.version_of or device.version_of in device_names()


def test_the_answer_has_the_full_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "gpt2", "--on", "RTX 4090"]) == 0
    assert "gpt2 on rtx-4090, " in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("wrong", "first"),
    [
        ("rtx-4095", "rtx-4090"), ("NVIDIA GeForce RTX 4095", "rtx-4090"), ("h1000", "h100"),
        ("h100-smx", "h100-sxm"), ("mi3000x", "mi300x"), ("5090d", "rtx-5090"), ("gaudi", "gaudi2"),
        ("m4 maxx", "m4-max"), ("rtx 5070 tii", "rtx-5070-ti"), ("v10", "v100"), ("h10", "h100"),
    ],
)  # fmt: skip
def test_near_names_are_near(wrong: str, first: str) -> None:
    assert nearest(wrong)[0].startswith(first)
    with pytest.raises(UnknownNameError) as caught:
        mw.hardware(wrong)
    assert f"Did you mean {nearest(wrong)[0]}" in caught.value.hint


def test_names_near_none() -> None:
    # Of another vendor than the device that it would otherwise be.
    for wrong in (
        "AMD RTX 4090",
        "NVIDIA n300",
        "",
        "foo",
        "?",
        "x" * 10**5,
        "\x1b[31m",
        "4x",
        "8xfoo",
    ):
        started = time.perf_counter()
        with pytest.raises(UnknownNameError) as caught:
            mw.hardware(wrong)
        assert time.perf_counter() - started < 1
        assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "several", ["4xh100-sxm", "8xH100", "8 x h100", "2x RTX 4090", "16*mi300x"]
)
def test_several_devices_are_refused(several: str) -> None:
    with pytest.raises(UnsupportedError, match="names several devices, which are not") as caught:
        mw.hardware(several)
    assert caught.value.hint.split()[-1] in device_names()


def test_a_file_with_16_bits_of_one_kind(tmp_path: Path) -> None:
    path = tmp_path / "half.toml"
    path.write_text(
        'aliases = ["mine"]\n[peaks]\nfp16 = "10 TFLOP/s"\n'
        '[[memories]]\nname = "DRAM"\nbandwidth = "1 TB/s"\n'
    )
    device = read_device(path)
    assert (dict(device.peaks), device.aliases) == ({"fp16": 10e12}, ("mine",))
    # A bf16 model runs in fp16.
    answer = mw.analyze("llama-3.1-8b", on=device, phase="prefill", seq_len=2048)
    assert answer.compute_s == pytest.approx(answer.flops / 10e12)


def test_the_list_of_devices(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hardware"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    known = {mw.hardware(name).device_class for name in device_names()}
    classes = [line for line in lines if line in known]
    assert classes == sorted(classes)
    assert {line.split()[0] for line in lines if line} >= set(device_names())
    assert main(["hardware", "--only", "tenstorrent"]) == 0
    said = capsys.readouterr().out
    assert "wormhole-n300" in said
    assert "rtx-4090" not in said
    assert main(["hardware", "--only", "nothing"]) == 2
    assert main(["hardware", "h100", "--only", "nothing"]) == 2

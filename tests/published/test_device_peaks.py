"""Peaks and bandwidths of devices against figures that vendors print, and against their notes."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

import memorywall as mw
from memorywall.core.hardware import Hardware

# Device, arithmetic, how many times our dense peak is printed (2 with sparsity), and the figure in
# TFLOP/s, as product pages, data sheets and keynotes print it.
PRINTED = list(
    csv.DictReader((Path(__file__).parent / "printed_peaks.csv").read_text().splitlines())
)
DEVICES = [mw.hardware(name) for name in mw.hardware_names()]

# "84 SMs x 512 a clock x 2.617 GHz"; "256 bits x 30 Gb/s"; "2 channels x 5600 MT/s x 8 bytes".
_UNITS = re.compile(
    r"\((\d+) (?:SMs|compute units|Xe cores|cores) x ([\d,]+) a clock x ([\d.]+) GHz[^x]*\)$"
)
_PINS = re.compile(r"\(([\d,]+) bits x ([\d.]+) (?:Gb/s|GT/s)")
_MODULES = re.compile(r"\((?:(\d+) channels?|(\d+) bits) x (\d+) MT/s(?: x 8 bytes)?")


@pytest.mark.parametrize("row", PRINTED, ids=lambda row: f"{row['device']}-{row['dtype']}")
def test_peaks_are_those_that_vendors_print(row: dict[str, str]) -> None:
    peak = mw.hardware(row["device"]).peaks[row["dtype"]]
    assert float(row["factor"]) * peak == pytest.approx(float(row["printed"]) * 1e12, rel=0.025)


def test_enough_devices_are_compared() -> None:
    assert len(DEVICES) >= 130
    assert len({row["device"] for row in PRINTED}) >= 60


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def test_peaks_follow_from_units_and_clock() -> None:
    checked = 0
    for device in DEVICES:
        for dtype, peak in device.peaks.items():
            found = _UNITS.search(device.sources[f"peaks.{dtype}"].split(";")[0].rstrip(")") + ")")
            if found:
                units, rate, clock = map(_number, found.groups())
                expected = units * rate * clock * 1e9
                assert peak == pytest.approx(expected, rel=0.004), (device.name, dtype)
                checked += 1
    assert checked >= 300


def _bandwidth_by_note(device: Hardware) -> float | None:
    said = device.sources[f"memories[{len(device.memories)}].bandwidth"]
    if pins := _PINS.search(said):
        return _number(pins[1]) * _number(pins[2]) * 1e9 / 8
    if modules := _MODULES.search(said):
        bits = 64 * int(modules[1]) if modules[1] else int(modules[2])
        return bits * float(modules[3]) * 1e6 / 8
    return None


def test_bandwidths_follow_from_bits_and_rate() -> None:
    found = {device.name: _bandwidth_by_note(device) for device in DEVICES}
    for device in DEVICES:
        expected = found[device.name]
        if expected is not None:
            assert device.bandwidth == pytest.approx(expected, rel=0.006), device.name
    assert sum(value is not None for value in found.values()) >= 90


def test_arithmetic_keeps_its_ratios() -> None:
    # Half the bits are at the same rate or a faster one; on GPUs of NVIDIA at twice the rate.
    for device in DEVICES:
        peaks = device.peaks
        half = peaks.get("bf16", peaks.get("fp16"))
        if half is not None and "fp8" in peaks:
            ratio = peaks["fp8"] / half
            assert 1 <= ratio < 4.1, device.name
            assert device.vendor != "NVIDIA" or ratio == pytest.approx(2, rel=0.02), device.name
        if device.device_class.endswith("GPU") and {"bf16", "fp16"} <= set(peaks):
            assert peaks["bf16"] in (peaks["fp16"], peaks["fp16"] / 2), device.name
        if device.vendor == "NVIDIA" and {"fp8", "int8"} <= set(peaks):
            # GeForce halves fp8 with fp32 accumulation, and Blackwell Ultra gave int8 up.
            ratio = 2 if device.device_class == "consumer GPU" else 1
            expected = ratio * peaks["fp8"]
            assert device.name in ("b300-sxm", "gb300") or peaks["int8"] == pytest.approx(
                expected, rel=0.02
            ), device.name


def test_editions_of_the_rtx_pro_6000() -> None:
    # 512 bits x 28 Gb/s are 1,792 GB/s; the server edition's memory runs slower.
    assert mw.hardware("rtx-pro-6000-workstation").bandwidth == 1792e9
    assert mw.hardware("rtx-pro-6000").bandwidth == 1597e9


def test_one_die_of_a_package() -> None:
    # AMD prints 383 TFLOP/s, 128 GB and 3,276.8 GB/s for two dies.
    die = mw.hardware("mi250x")
    assert (die.peaks["bf16"], die.capacity, die.bandwidth) == (191.5e12, 64e9, 1638.4e9)


def test_sixteen_bits_of_dgx_spark() -> None:
    # 1 PFLOP/s of fp4 with sparsity is 500 TFLOP/s dense, and an SM does four times as much fp4.
    spark = mw.hardware("dgx-spark")
    assert spark.peaks["bf16"] == spark.peaks["fp16"] == 1e15 / 2 / 4

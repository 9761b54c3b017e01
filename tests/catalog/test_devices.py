"""Every device of the catalogue: read whole, sourced, and physically sane."""

from __future__ import annotations

import pytest

import memorywall as mw

FIRST = [
    "h100-sxm", "h200-sxm", "a100-sxm-80gb", "b200-sxm", "l40s", "rtx-4090", "mi300x", "tpu-v5p",
    "xeon-gold-6242", "ryzen-9-7950x",
]  # fmt: skip


def test_the_first_ten_are_there() -> None:
    assert set(FIRST) <= set(mw.hardware_names())


@pytest.mark.parametrize("name", mw.hardware_names())
def test_numbers_are_sourced_and_sane(name: str) -> None:
    device = mw.hardware(name)
    assert device.kind == "spec"
    assert device.title
    assert device.vendor
    assert device.released
    places = {f"peaks.{dtype}" for dtype in device.peaks}
    for number, level in enumerate(device.memories, start=1):
        places |= {
            f"memories[{number}].{what}"
            for what in ("capacity", "bandwidth")
            if getattr(level, what) is not None
        }
    places |= {f"links[{number}].bandwidth" for number, _ in enumerate(device.links, start=1)}
    assert places <= set(device.sources)
    # A wrong prefix is the commonest fault: every number lies where its kind can lie.
    assert all(1e10 < peak < 1e17 for peak in device.peaks.values())
    assert 1e10 < device.bandwidth < 1e14
    assert device.tdp is None or 5 < device.tdp < 3000
    # The main memory is the largest; nearer memory is faster where both bandwidths are printed.
    capacities = [level.capacity for level in device.memories if level.capacity]
    assert not capacities or capacities[-1] == max(capacities)
    bandwidths = [level.bandwidth for level in device.memories if level.bandwidth]
    assert bandwidths == sorted(bandwidths, reverse=True)
    # Narrower arithmetic is never slower within a kind.
    for narrow, wide in (("fp8", "bf16"), ("fp4", "fp8"), ("bf16", "fp32"), ("fp16", "fp32")):
        if narrow in device.peaks and wide in device.peaks:
            assert device.peaks[narrow] >= device.peaks[wide]


@pytest.mark.parametrize("name", mw.hardware_names())
def test_lanes_make_up_their_link(name: str) -> None:
    for link in mw.hardware(name).links:
        if link.lanes and link.lane_rate:
            # Bits a second of all lanes, in bytes; the data sheets' rounding is within 3 %.
            assert link.lanes * link.lane_rate / 8 == pytest.approx(link.bandwidth, rel=0.03)


def test_known_ridge_points() -> None:
    # 989.4e12 / 3.35e12 and 312e12 / 2.039e12 FLOP per byte.
    assert mw.hardware("h100-sxm").ridge_point("bf16") == pytest.approx(295.3, abs=0.1)
    assert mw.hardware("a100-sxm-80gb").ridge_point("bf16") == pytest.approx(153.0, abs=0.1)


def test_arithmetic_falls_to_the_next_wider() -> None:
    xeon = mw.hardware("xeon-gold-6242")
    assert xeon.arithmetic("bf16") == "fp32"
    assert xeon.arithmetic("int8") == "int8"
    assert mw.hardware("a100-sxm-80gb").arithmetic("fp8") == "bf16"
    assert mw.hardware("tpu-v2").arithmetic("int8") == "bf16"
    with pytest.raises(mw.MemoryWallError, match="no peak for fp32"):
        mw.hardware("tpu-v5p").arithmetic("fp32")


def test_devices_are_separate_values() -> None:
    device = mw.hardware("h100-sxm")
    assert len({device, mw.hardware("h100-sxm"), device.replace(bandwidth=[1e12, 2e12])}) == 2
    grid = device.replace(bandwidth=[1e12, 2e12, 3e12], peaks={"bf16": [1e12, 2e12]})
    with pytest.raises(mw.MemoryWallError, match="do not broadcast"):
        mw.analyze("gpt2", on=grid)


def test_replace() -> None:
    device = mw.hardware("h100-sxm")
    faster = device.replace(bandwidth=2 * device.bandwidth, peaks={"bf16": 1e15})
    assert faster.bandwidth == 2 * device.bandwidth
    assert faster.peaks["bf16"] == 1e15
    assert faster.peaks["fp8"] == device.peaks["fp8"]
    assert faster.kind == "hypothetical"
    assert device.kind == "spec"
    assert faster.sources["peaks.bf16"] == "changed by hand"
    assert "HBM3" in faster.memories[-1].name
    assert faster.sources[f"memories[{len(device.memories)}].bandwidth"] == "changed by hand"
    assert faster.sources["peaks.fp8"] == device.sources["peaks.fp8"]
    note = mw.analyze("gpt2", on=faster).notes[-1]
    assert note == "h100-sxm was changed by hand: its ceilings are hypothetical."
    assert device.replace(capacity=None).capacity is None
    for wrong in (
        {"bandwidth": 0}, {"bandwidth": "fast"}, {"speed": 1}, {"peaks": {"bf16": -1}},
        {"bandwidth": 10**400}, {"bandwidth": 1e-320}, {"peaks": 5}, {"peaks": {"bf17": 1e12}},
        {"memories": (), "bandwidth": 1e12}, {"bandwidth": [1e12, float("nan")]},
    ):  # fmt: skip
        with pytest.raises(mw.MemoryWallError):
            device.replace(**wrong)

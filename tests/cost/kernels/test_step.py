"""The time of a pass at the roofs that programs attain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import memorywall as mw
from memorywall.cost.kernels.step import (
    CONSTANTS,
    KERNEL,
    Weights,
    attained_bandwidth,
    attained_device,
    attained_peak,
    packed_peak,
    vector_peak,
)

HALVES = {
    "peak_share": 0.5, "packed_share": 0.25, "grouped_share": 0.5, "bandwidth_share": 0.8,
    "unpack_ops": 8.0, "operator_s": 1e-6, "step_s": 1e-3,
}  # fmt: skip
PLAIN, FOUR_BITS = Weights(), Weights(packed_bits=4.5)


def test_plain_weights_take_shares_of_the_peak_and_of_the_bandwidth() -> None:
    a100 = mw.hardware("a100-sxm-80gb")
    # 312 TFLOP/s x 0.5 and 2,039 GB/s x 0.8
    assert attained_peak(a100, "fp16", HALVES, PLAIN) == pytest.approx(156e12)
    assert attained_bandwidth(a100, HALVES, PLAIN) == pytest.approx(1631.2e9)


def test_packed_weights_take_a_share_of_the_peak_of_8_bits_and_time_to_unpack() -> None:
    a100 = mw.hardware("a100-sxm-80gb")
    # int8: 624 TFLOP/s x 0.25
    assert packed_peak(a100, "fp16") == 624e12
    assert attained_peak(a100, "fp16", HALVES, FOUR_BITS) == pytest.approx(156e12)
    # A byte takes 1 / (0.8 x 2,039e9) s, and its 8 / 4.5 weights 8 operations each at 19.5e12 a
    # second: 0.6130 ps + 0.7293 ps.
    seconds = 1 / (0.8 * 2039e9) + 8 / 4.5 * 8 / 19.5e12
    assert attained_bandwidth(a100, HALVES, FOUR_BITS) == pytest.approx(1 / seconds)


def test_a_share_of_8_bits_keeps_to_the_peak_of_the_arithmetic() -> None:
    card = mw.hardware("rtx-4090")
    # 0.5 x 660.6 TFLOP/s in int8 is more than the 165.2 of fp16.
    constants = HALVES | {"packed_share": 0.5}
    assert attained_peak(card, "fp16", constants, FOUR_BITS) == card.peak("fp16")


def test_a_device_without_8_bits_is_taken_to_have_twice_its_peak() -> None:
    v100 = mw.hardware("v100-sxm-32gb")
    assert packed_peak(v100, "fp16") == 2 * v100.peak("fp16")


def test_experts_attain_less() -> None:
    card = mw.hardware("rtx-4090")
    experts = attained_device(card, HALVES, Weights(4.5, experts=True))
    dense = attained_device(card, HALVES, FOUR_BITS)
    assert experts.peak("fp16") == pytest.approx(dense.peak("fp16") / 2)
    assert experts.bandwidth == dense.bandwidth


def test_cpus_unpack_with_dot_products_of_8_bits() -> None:
    assert vector_peak(mw.hardware("raspberry-pi-5")) == 614.4e9
    assert vector_peak(mw.hardware("raspberry-pi-4")) == 2 * 57.6e9  # it lists fp32 alone
    assert vector_peak(mw.hardware("m1")) == mw.hardware("m1").peak("fp32")


def test_an_operator_is_a_launch_and_the_longer_of_two_times() -> None:
    card = mw.hardware("a100-sxm-80gb")
    shape = {"packed_bits": 0, "experts": "no"}
    seconds = KERNEL.prepare(shape, card, "fp16", HALVES)
    # 1e9 bytes at 1,631.2 GB/s: 613.05 us, and a launch of 1 us; 1e9 FLOP take 6.4 us.
    assert seconds(1e9, 1e9) == pytest.approx(614.05e-6, rel=1e-4)
    assert seconds(1e15, 1e9) == pytest.approx(1e15 / 156e12 + 1e-6)


def test_starts_are_within_bounds() -> None:
    for constant in CONSTANTS:
        assert constant.low <= constant.start <= constant.high


@given(
    name=st.sampled_from(["a100-sxm-80gb", "rtx-4090", "m1", "raspberry-pi-4", "dgx-spark"]),
    bits=st.sampled_from([0.0, 2.5, 4.5, 8.5]),
    experts=st.booleans(),
    values=st.tuples(*[st.floats(one.low, one.high) for one in CONSTANTS]),
)
def test_no_roof_is_above_the_data_sheet(
    name: str, bits: float, experts: bool, values: tuple[float, ...]
) -> None:
    hardware = mw.hardware(name)
    constants = dict(zip([one.name for one in CONSTANTS], values, strict=True))
    reached = attained_device(hardware, constants, Weights(bits, experts))
    assert reached.bandwidth <= hardware.bandwidth
    for dtype, peak in hardware.peaks.items():
        assert reached.peaks[dtype] <= peak * (1 + 1e-12)

"""Constants of classes, and devices left out of their fits."""

from __future__ import annotations

import math

import pytest

import memorywall as mw
from memorywall.calibrate.runs import Run
from memorywall.calibrate.stream_classes import (
    STARTS,
    ClassRun,
    class_tables,
    fit_class,
    interval,
    left_out,
)
from memorywall.calibrate.streams import sample
from memorywall.catalog.classes import CLASSES, class_of

DEVICES = ("m1", "m1-max", "m2-pro", "m3-max", "m4-pro", "m4-max")
TRUTH = {
    "peak_share": 0.7, "packed_share": 0.6, "grouped_share": 0.8, "bandwidth_share": 0.85,
    "unpack_ops": 3.0, "operator_s": 1e-5, "step_s": 2e-4,
}  # fmt: skip


def made(device: str, factor: float = 1.0, fitted: bool = True) -> ClassRun:
    """Return a run that takes the seconds that the constants say, times a factor."""
    hardware = mw.hardware(device)
    one = sample(Run("llama-3.2-3b", "Q4_0", "decode", 1.0, 0, 128), hardware)
    found = sample(
        Run("llama-3.2-3b", "Q4_0", "decode", 1 / (factor * one.predicted(TRUTH)), 0, 128),
        hardware,
    )
    return ClassRun(found, device, class_of(hardware), fitted, device)


def test_every_class_starts_somewhere() -> None:
    assert set(STARTS) == set(CLASSES)
    assert all(not start.like or start.like in STARTS for start in STARTS.values())


def test_a_device_left_out_is_predicted_by_the_others() -> None:
    runs = [made(device) for device in DEVICES]
    for one in left_out(runs):
        assert one.ratio == pytest.approx(1, abs=0.05)
        assert one.is_covered


def test_its_own_runs_do_not_help_a_device_left_out() -> None:
    runs = [made(device) for device in DEVICES[:-1]]
    slow = [made("m4-max", factor=2.0) for _ in range(20)]
    found = {one.run.device: one.ratio for one in left_out([*runs, *slow])}
    assert found["m4-max"] == pytest.approx(0.5, abs=0.05)


def test_runs_that_are_not_fitted_are_predicted() -> None:
    runs = [made(device) for device in DEVICES] + [made("m1", factor=3.0, fitted=False)]
    constants = fit_class(runs, "apple")
    assert constants == pytest.approx(fit_class(runs[:-1], "apple"))
    assert len(left_out(runs)) == 7


def test_an_interval_is_of_quantiles_and_wide_for_few_devices() -> None:
    one, *_ = left_out([made(device) for device in DEVICES])
    ten = [
        type(one)(made_up, math.exp(-0.1 * place)) for place, made_up in enumerate([one.run] * 11)
    ]
    low, high = interval(ten)
    # One device: at least a factor of 1.7 to both sides; the quantile of 90 % is exp(0.9).
    assert low == pytest.approx(1 / 1.7)
    assert high == pytest.approx(math.exp(0.9))
    assert interval([]) == pytest.approx((1 / 1.7, 1.7))


def test_classes_without_runs_take_those_of_another_and_say_so() -> None:
    tables = class_tables([made(device) for device in DEVICES], "made here")
    assert set(tables) == set(CLASSES)
    assert tables["apple"].rows == 6
    assert tables["apple"].dataset == "made here"
    assert "no run" in tables["tpu"].dataset
    assert tables["tpu"].median_error is None

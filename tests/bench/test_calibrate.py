"""Calibration, on a machine that the test makes up: what is put in must come out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import memorywall as mw
from memorywall.bench.calibrate import DRIFT, calibrate
from memorywall.bench.timing import Measurement
from memorywall.catalog.devices import read_device
from memorywall.catalog.measured import to_toml
from memorywall.core.calibration import Calibration, Curve
from memorywall.core.hardware import Hardware, Memory
from memorywall.cost.calibrated import calls, estimate
from tests.lowering import unfused
from tests.toys import TOY

# The made-up machine: 1 ns a FLOP of a linear layer at one row and 0.1 ns from 100 rows on, 1 ns an
# element of the rest on a floor of 5 us; attention 0.5 ns a FLOP, its decode 0.2 ns a byte,
# where heads share keys 0.3 ns a FLOP.
FLOOR = 5e-6
DISPATCH, FORWARD = 2e-5, 1e-3
FUNCTIONS = ("add", "copy", "layernorm", "rmsnorm", "gelu_new", "gelu", "silu gated", "rotary")


def measurements() -> list[Measurement]:
    found = []
    for rows in (1, 10, 100, 1000):
        each = {1: 1e-9, 10: math.sqrt(1e-9 * 1e-10), 100: 1e-10, 1000: 1e-10}[rows]
        for width in (64, 128):
            flops = 2.0 * rows * width * 64
            p = {"dtype": "fp32", "rows": rows, "width": width, "inner": 64}
            found.append(Measurement("linear", (flops * each,) * 3, 1, flops, 1.0, p))
    for tokens in (1, 16, 64):
        for causal in (True, False):
            p = {"dtype": "fp32", "tokens": tokens, "context": 64, "causal": causal,
                 "heads": 2, "kv_heads": 2}  # fmt: skip
            seconds = 2e-10 * 1e5 if tokens == 1 else 5e-10 * 1e6
            found.append(Measurement("attention", (seconds,) * 3, 1, 1e6, 1e5, p))
    shared = {"dtype": "fp32", "tokens": 1, "context": 64, "causal": False, "heads": 2,
              "kv_heads": 1}  # fmt: skip
    found.append(Measurement("attention", (3e-10 * 1e6,) * 3, 1, 1e6, 1e5, shared))
    for function in FUNCTIONS:
        for rows in (1, 100, 10_000):
            p = {"dtype": "fp32", "function": function, "rows": rows, "width": 10}
            seconds = FLOOR + (rows * 10 * 1e-9 if rows > 1 else 0.0)
            found.append(Measurement("elementwise", (seconds,) * 3, 1, 0.0, 1.0, p))
    for layers in (2, 10):
        p = {"dtype": "fp32", "model_type": "gpt2", "layers": layers}
        operators = 10 * layers + 4
        seconds = FORWARD + operators * (DISPATCH + 3e-6)
        found.append(Measurement("toy", (seconds,) * 3, 1, 0.0, 0.0, p))
    return found


def floors_of(_: Calibration, __: str, layers: int, ___: str) -> tuple[float, int]:
    operators = 10 * layers + 4
    return operators * 3e-6, operators


@pytest.fixture
def calibration() -> Calibration:
    return calibrate(measurements(), floors_of)


def test_what_was_put_in_comes_out(calibration: Calibration) -> None:
    linear = calibration.curves["linear", "fp32"]
    assert linear.seconds_per_unit(1) == pytest.approx(1e-9)
    assert linear.seconds_per_unit(1000) == pytest.approx(1e-10)
    # Half way between 1 and 10 on logarithms; beyond the ends the nearest holds.
    middle = linear.seconds_per_unit(math.sqrt(10))
    assert middle == pytest.approx(1e-9 * 10**-0.25)
    assert linear.seconds_per_unit(10**6) == pytest.approx(1e-10)
    add = calibration.curves["add", "fp32"]
    assert add.floor_s == pytest.approx(FLOOR)
    assert add.seconds_per_unit(50_000) == pytest.approx(1e-9)
    assert calibration.dispatch_s["fp32"] == pytest.approx(DISPATCH)
    assert calibration.forward_s["fp32"] == pytest.approx(FORWARD)
    # Benchmarks that lie on their curves and never waver leave the drift of the machine alone.
    assert calibration.high == pytest.approx(1 + DRIFT)
    assert calibration.low == pytest.approx(1 / (1 + DRIFT))


def test_curves_take_arrays(calibration: Calibration) -> None:
    curve = calibration.curves["linear", "fp32"]
    sizes = np.array([1.0, 3.0, 500.0])
    expected = [float(curve.seconds_per_unit(float(size))) for size in sizes]
    assert np.allclose(np.asarray(curve.seconds_per_unit(sizes)), expected)


def test_an_estimate_by_hand(calibration: Calibration) -> None:
    # The toy's decode at three positions, in fp32: see tests/published/test_known_answers.py.
    program = unfused(mw.analyze(TOY, on="h100-sxm", seq_len=3, weights="fp32",
                                 activations="fp32", kv_cache="fp32"))  # fmt: skip
    answer = estimate(program, calibration)
    # A layer calls 7 products, attention, 2 rotations, 2 norms, an activation, 2 adds = 15; outside
    # are an embedding, a norm and the head.
    assert calls(program) == 2 * 15 + 3
    # Products of one row: 1 ns a FLOP; a layer 2 (16+8+8+16 + 3 x 24), the head 80.
    assert answer.by_class["gemm"] == pytest.approx(1e-9 * (2 * 2 * (48 + 72) + 80))
    # Two heads share keys of length 2: 4 x 2 x 2 x 3 FLOPs at 0.3 ns, two layers.
    assert answer.by_class["attention"] == pytest.approx(2 * 3e-10 * 48)
    alone = mw.analyze({**TOY, "num_key_value_heads": 2}, on="h100-sxm", seq_len=3, weights="fp32",
                       activations="fp32", kv_cache="fp32")  # fmt: skip
    unshared = estimate(unfused(alone), calibration)
    # Keys and values of 3 positions, two heads of two, four bytes: 96 bytes at 0.2 ns, two layers.
    assert unshared.by_class["attention"] == pytest.approx(2 * 2e-10 * 96)
    # The cache is joined twice a layer: a floor and 6 elements each.
    assert answer.by_class["cache"] == pytest.approx(2 * 2 * (FLOOR + 6e-9))
    assert answer.by_class["framework"] == pytest.approx(FORWARD + 33 * DISPATCH)


def test_a_measured_device_comes_back_from_its_file(
    calibration: Calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Hardware(
        "here", {"fp32": 1e11, "bf16": 2e11}, (Memory("L2", 1e6, 1e11), Memory("DRAM", 24e9, 3e10)),
        kind="measured", title="made up", sources={"peaks.fp32": "measured by the test"},
        calibration=calibration,
    )  # fmt: skip
    folder = tmp_path / "hardware"
    folder.mkdir()
    (folder / "here.toml").write_text(to_toml(device))
    again = read_device(folder / "here.toml")
    assert again.calibration == calibration
    assert again.peaks == device.peaks
    assert again.bandwidth == device.bandwidth
    assert again.kind == "measured"
    monkeypatch.setenv("MEMORYWALL_DATA", str(tmp_path))
    answer = mw.analyze(TOY, on="here", seq_len=3, weights="fp32", activations="fp32",
                        kv_cache="fp32")  # fmt: skip
    assert answer.latency_low_s is not None
    assert answer.latency_high_s is not None
    assert answer.latency_low_s <= answer.latency_s <= answer.latency_high_s
    assert "predicted" in mw.headline(answer)
    steps = mw.analyze(TOY, on="here", phase="generate", seq_len=0, new_tokens=3, weights="fp32",
                       activations="fp32", kv_cache="fp32")  # fmt: skip
    assert steps.latency_s > 2 * answer.latency_s


def test_here_before_it_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORYWALL_DATA", str(tmp_path))
    with pytest.raises(mw.MemoryWallError) as caught:
        mw.hardware("here")
    assert "memorywall measure --quick" in caught.value.hint


def test_an_operator_that_was_not_measured(calibration: Calibration) -> None:
    program = unfused(mw.analyze(TOY, on="h100-sxm", seq_len=3))  # bf16, which the test left out
    with pytest.raises(mw.MemoryWallError, match="in bf16 was not measured"):
        estimate(program, calibration)


@pytest.mark.parametrize(
    "spoilt",
    [
        "sizes = [1.0, 1.0]", "sizes = [2.0, 1.0]", "sizes = []", 'sizes = "many"',
        "sizes = [nan, 1.0]", "sizes = [-1.0, 1.0]", "sizes = [1.0]",
    ],
)  # fmt: skip
def test_a_spoilt_calibration_is_refused(tmp_path: Path, spoilt: str) -> None:
    curve = Curve("linear", "fp32", (1.0, 2.0), (1e-9, 1e-9))
    device = Hardware(
        "here", {"fp32": 1e11}, (Memory("DRAM", 24e9, 3e10),), kind="measured",
        sources={"x": "y"}, calibration=Calibration({("linear", "fp32"): curve}, {}, {}, points=2),
    )  # fmt: skip
    text = to_toml(device)
    start = text.index("sizes")
    end = text.index("]", start) + 1
    path = tmp_path / "spoilt.toml"
    path.write_text(text[:start] + spoilt + text[end:])
    with pytest.raises(mw.MemoryWallError, match="calibration"):
        read_device(path)

"""Costs by resource: they add, the largest binds, and a calibration adds overhead."""

from __future__ import annotations

import numpy as np
import pytest

import memorywall as mw
from memorywall.core.calibration import Calibration, Curve
from memorywall.core.hardware import Hardware, Memory
from memorywall.core.results import Cost, bound_words, capacity_code
from memorywall.cost.calibrated import estimate, price_calls
from tests.lowering import unfused
from tests.toys import TOY


def cost(compute: float, memory: float, network: float, overhead: float) -> Cost:
    """Return a cost whose four resources bind the given seconds."""
    return Cost(
        1, 2, compute, memory, compute + memory + network + overhead, 0.0, memory, network,
        overhead, network, overhead,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "bound"),
    [
        ((5, 4, 3, 2), "compute_bound"), ((4, 5, 3, 2), "memory_bound"),
        ((2, 3, 5, 4), "network_bound"), ((3, 2, 4, 5), "overhead_bound"),
        ((5, 5, 0, 0), "memory_bound"), ((5, 4, 0, 0), "compute_bound"),
    ],
)  # fmt: skip
def test_the_largest_part_binds(parts: tuple[float, ...], bound: str) -> None:
    found = cost(*map(float, parts))
    assert bound_words(found.bound_code) == bound
    resources = (found.compute_bound_s, found.memory_bound_s, found.network_bound_s)
    assert (*resources, found.overhead_bound_s) == parts


def test_costs_add_by_resource() -> None:
    # 1 + 10 seconds of each; either is memory-bound, the sum overhead-bound: 5 + 6 > 6 + 4.
    both = cost(1, 6, 0, 5) + cost(0, 4, 1, 6)
    assert (both.flops, both.moved_bytes) == (2, 4)
    assert both.latency_s == 12 + 11
    assert (both.compute_bound_s, both.memory_bound_s) == (1, 10)
    assert (both.network_s, both.overhead_s) == (1, 11)
    assert both.serial_s == 1 + 10 + 1 + 11
    assert bound_words(both.bound_code) == "overhead_bound"


def test_bounds_of_a_grid() -> None:
    memory = np.array([1.0, 3.0, 1.0])
    overhead = np.array([0.0, 0.0, 9.0])
    many = Cost(latency_s=2.0 + memory + overhead, waiting_s=memory, overhead_bound_s=overhead)
    words = bound_words(many.bound_code)
    assert list(words) == ["compute_bound", "memory_bound", "overhead_bound"]
    fits = np.array([True, False, True])
    binding = bound_words(capacity_code(fits, many.bound_code))
    assert list(binding) == ["compute_bound", "capacity_bound", "overhead_bound"]


# One nanosecond a unit of any work; an addition has a floor of 1 ms, dispatching an operator takes
# 1 ms, and a pass 2 ms.
FUNCTIONS = ("linear", "copy", "add", "rmsnorm", "rotary", "silu gated", "attention decode grouped")
CALIBRATION = Calibration(
    {
        (name, "fp32"): Curve(name, "fp32", (1.0,), (1e-9,), 1e-3 if name == "add" else 0.0)
        for name in FUNCTIONS
    },
    dispatch_s={"fp32": 1e-3}, forward_s={"fp32": 2e-3}, low=0.5, high=2.0,
)  # fmt: skip
# FLOPs are cheap and bytes dear: all work is memory-bound. Both are far below the measured times,
# which no roof then raises.
HERE = Hardware(
    "here", {"fp32": 1e15}, (Memory("DRAM", 24e9, 1e12),), kind="measured", calibration=CALIBRATION
)
FP32 = {"weights": "fp32", "activations": "fp32", "kv_cache": "fp32"}


def test_an_overhead_bound_toy_by_hand() -> None:
    # The toy's decode at three positions, in units of work, that is nanoseconds: products
    # 2 x 2 (48 + 72) + 80, attention 2 x 48, joining the cache 2 x 2 x 6 (test_calibrate.py).
    # Elements: embedding 4, norms 5 x 4, activations 2 x 6, additions 4 x 4; rotations 2 (4 + 6),
    # as the calibration uses the size of the tensor written, for keys the cache of 3 x 2.
    work = 1e-9 * (560 + 96 + 24 + 4 + 20 + 12 + 16 + 20)
    # 33 calls and a pass; four additions have a floor.
    framework, floors = 2e-3 + 33 * 1e-3, 4 * 1e-3
    answer = mw.analyze(TOY, on=HERE, seq_len=3, **FP32)
    assert answer.latency_s == pytest.approx(work + framework + floors)
    assert answer.overhead_bound_s == answer.overhead_s == pytest.approx(framework + floors)
    assert answer.memory_bound_s == pytest.approx(work)
    assert answer.compute_bound_s == pytest.approx(0, abs=1e-15)
    assert answer.bound == "overhead_bound"
    assert answer.time_shares["overhead"] == pytest.approx((framework + floors) / answer.latency_s)
    assert sum(answer.time_shares.values()) == pytest.approx(1)
    # The bound at the roofs stays beside it: all bytes, one a picosecond, and some FLOPs of what is
    # fused into its neighbours, a femtosecond each.
    assert answer.bound_s == pytest.approx(answer.moved_bytes * 1e-12, rel=1e-3)
    assert answer.bound_s < answer.latency_s
    # The interval, and everything that follows from the time.
    assert answer.latency_low_s == pytest.approx(answer.latency_s / 2)
    assert answer.latency_high_s == pytest.approx(answer.latency_s * 2)
    assert answer.tokens_per_s == pytest.approx(1 / answer.latency_s)
    time = answer.quantity("latency_s")
    assert (time.provenance, time.bound) == ("calibrated", "")
    assert answer.provenance("bound_s") == "measured"
    rate = answer.quantity("tokens_per_s")
    assert rate.low == pytest.approx(rate.value / 2)


def test_rows_of_a_prediction_add_up() -> None:
    answer = mw.analyze(TOY, on=HERE, seq_len=3, **FP32)
    rows = {row.kind: row for row in answer.by_class()}
    assert rows["framework"].latency_s == pytest.approx(35e-3)
    assert rows["framework"].bound == "overhead_bound"
    assert rows["gemm"].bound == "memory_bound"
    assert rows["cache"].latency_s == pytest.approx(24e-9)
    assert sum(row.latency_s for row in rows.values()) == pytest.approx(answer.latency_s)
    assert sum(row.flops for row in rows.values()) == answer.flops
    assert sum(row.moved_bytes for row in rows.values()) == answer.moved_bytes
    program = unfused(answer)
    expected = estimate(program, CALIBRATION).by_class
    assert {kind: row.latency_s for kind, row in rows.items()} == pytest.approx(dict(expected))
    assert sum(op.latency_s for op in price_calls(program, HERE, CALIBRATION)) == pytest.approx(
        sum(expected.values())
    )


def test_a_prediction_says_so_first() -> None:
    answer = mw.analyze(TOY, on=HERE, seq_len=3, **FP32)
    said = mw.headline(answer)
    assert "39 ms predicted (19.5 ms to 78 ms), 25.64 tokens/s; at least" in said
    assert said.endswith("at the roofs")
    assert mw.verdict(answer).startswith("overhead-bound: 100% of the time is overhead (framework")


def test_a_grid_keeps_its_intervals() -> None:
    lengths = np.array([3.0, 30.0])
    many = mw.analyze(TOY, on=HERE, seq_len=lengths, **FP32)
    alone = [mw.analyze(TOY, on=HERE, seq_len=int(n), **FP32) for n in lengths]
    for name in ("latency_s", "latency_low_s", "latency_high_s", "overhead_s", "tpot_s"):
        expected = [getattr(answer, name) for answer in alone]
        assert getattr(many, name).tolist() == pytest.approx(expected)
    assert [point["latency_high_s"] for point in many.points()] == pytest.approx(
        [answer.latency_high_s for answer in alone]
    )


def test_a_generation_predicts_its_parts() -> None:
    answer = mw.analyze(
        TOY, on=HERE, phase="generate", seq_len=0, new_tokens=3, **FP32
    )  # fmt: skip
    step = answer.quantity("tpot_s")
    # Every step asks for 33 operators.
    assert answer.tpot_s is not None
    assert answer.tpot_s == pytest.approx(39e-3, rel=1e-3)
    assert step.low == pytest.approx(answer.tpot_s / 2)
    assert sum(op.latency_s for op in answer.ops) == pytest.approx(answer.latency_s)

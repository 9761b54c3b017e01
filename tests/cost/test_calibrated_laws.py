"""Laws of predictions, over the recorded calibrations of machines and over bent ones.

A bent one has each curve of a recorded machine at another speed: benchmarks of small arrays run in
a cache, faster than the memory that a model runs in.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memorywall as mw
from memorywall.answer.measure import to_hardware
from memorywall.bench.samples import MachineRecord
from memorywall.catalog.measured import read_calibration
from memorywall.core.calibration import Calibration, Curve
from memorywall.core.hardware import Hardware

RECORDS = sorted((Path(__file__).parent.parent.parent / "results").glob("measure-*.json"))
MODELS = ("gpt2", "llama-3.2-1b", "gemma-3-1b-it", "deepseek-v2-lite", "granite-4.0-h-1b",
          "bert-base-uncased", "flan-t5-xl", "olmoe-1b-7b-0924")  # fmt: skip
EXACT = 1 - 1e-9  # sums in another order


@cache
def machine(path: Path) -> Hardware:
    return to_hardware(MachineRecord.from_dict(json.loads(path.read_text())))


def bent(device: Hardware, seed: int) -> Hardware:
    """Return a machine with every point of every curve up to 50 times faster or twice slower."""
    draw, known = random.Random(seed), device.calibration
    assert known is not None
    curves = {
        key: replace(curve, seconds=tuple(s * draw.uniform(0.02, 2) for s in curve.seconds))
        for key, curve in known.curves.items()
    }
    return replace(device, calibration=replace(known, curves=curves))


@settings(max_examples=25, deadline=None)
@given(
    path=st.sampled_from(RECORDS),
    seed=st.none() | st.integers(0, 99),
    name=st.sampled_from(MODELS),
    decodes=st.booleans(),
    words=st.fixed_dictionaries({
        "batch_size": st.integers(1, 64),
        "activations": st.sampled_from(("bf16", "fp32", "fp16")),
        "weights": st.sampled_from(("bf16", "fp32", "int8", "int4")),
    }),
    lengths=st.tuples(st.integers(2, 20_000), st.integers(2, 20_000)).map(sorted),
)  # fmt: skip
def test_no_prediction_is_under_its_roof_and_longer_takes_longer(
    path: Path, seed: int | None, name: str, decodes: bool, words: dict[str, Any],
    lengths: list[int],
) -> None:  # fmt: skip
    device = machine(path) if seed is None else bent(machine(path), seed)
    model = mw.model(name)
    phase = ("decode" if decodes else "prefill") if model.causal else "encode"
    seconds = []
    for length in lengths:
        answer = mw.analyze(model, on=device, phase=phase, seq_len=length, **words)
        assert answer.latency_s >= answer.bound_s * EXACT
        assert sum(op.latency_s for op in answer.ops) == pytest.approx(answer.latency_s)
        seconds.append(answer.latency_s)
    assert seconds[1] >= seconds[0] * EXACT


@given(
    points=st.lists(st.tuples(st.integers(1, 10**9), st.floats(1e-15, 1e-3)), min_size=1,
                    max_size=12, unique_by=lambda point: point[0]).map(sorted),
    sizes=st.tuples(st.integers(1, 2**30), st.integers(1, 2**30)).map(sorted),
)  # fmt: skip
def test_no_curve_falls_faster_than_the_work_grows(
    points: list[tuple[int, float]], sizes: list[int]
) -> None:
    measured = tuple(float(size) for size, _ in points), tuple(each for _, each in points)
    curve = Curve("linear", "fp32", *measured)
    few, many = (size * float(curve.seconds_per_unit(size)) for size in sizes)
    assert few <= many * (1 + 1e-9)


def test_a_slow_small_size_takes_the_time_of_the_next() -> None:
    # 1 row at 8 s a unit, 4 rows at 1 s: 4 s in all, so 1 row takes at most these 4 s.
    assert Curve("linear", "fp32", (1.0, 4.0), (8.0, 1.0)).seconds == (4.0, 1.0)
    assert Curve("linear", "fp32", (1.0, 4.0), (3.0, 1.0)).seconds == (3.0, 1.0)


@pytest.mark.parametrize("words", [{"weights": "int8"}, {"activations": "fp16"},
                                   {"weights": "int4", "activations": "fp16"}])  # fmt: skip
def test_what_was_not_measured_is_priced_at_the_roofs(words: dict[str, str]) -> None:
    device = machine(RECORDS[0])
    answer = mw.analyze("llama-3.2-1b", on=device, seq_len=512, **words)
    (note,) = [note for note in answer.notes if "priced at its roofs" in note]
    named = "operators in fp16" if "activations" in words else "products with weights in int8"
    assert named in note
    plain = mw.analyze("llama-3.2-1b", on=device, seq_len=512)
    assert not any("priced at its roofs" in note for note in plain.notes)
    # A byte a weight in place of two; the machine has no native fp16, whose measured peak is low.
    if "activations" not in words:
        assert answer.latency_s < plain.latency_s


def test_a_calibration_whose_low_is_over_its_high_is_refused() -> None:
    for low, high in ((2.0, 1.0), (0.0, 1.0)):
        with pytest.raises(mw.MemoryWallError, match="low must be positive and at most its high"):
            Calibration({}, low=low, high=high)
    faults: list[str] = []
    table = {"curves": [], "dispatch_s": {}, "forward_s": {}, "points": 1, "low": 2.0, "high": 1.0}
    assert read_calibration(table, faults) is None
    assert "low must be positive" in faults[0]

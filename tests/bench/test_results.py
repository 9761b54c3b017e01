"""Recorded runs through the same statistics as when they were made; nothing asserts a time."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from memorywall.app.measure import to_hardware
from memorywall.app.studies.measured import latencies
from memorywall.bench.record import MachineRecord
from memorywall.report.latency import latencies_record

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "results"


def load(name: str) -> dict[str, Any]:
    return dict(json.loads((RESULTS / name).read_text()))


@pytest.mark.parametrize("path", sorted(RESULTS.glob("measure-*.json")), ids=lambda p: p.stem)
def test_measurements(path: Path) -> None:
    # Through the same statistics as when they were made: ceilings, device, calibration.
    record = load(path.name)
    again = MachineRecord.from_dict(record)
    assert again.to_dict() == record
    device = to_hardware(again)
    assert device.calibration is not None
    assert device.calibration.points == len(record["measurements"])
    ceilings = record["ceilings"]
    assert device.bandwidth == ceilings["dram"]["read"]
    assert ceilings["gemm"]["bf16"] > ceilings["gemm"]["fp32"]
    assert "fp16" in ceilings["crawling"]
    rates = list(ceilings["caches"].values())
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > ceilings["dram"]["read"]


def test_collectives_are_links_of_the_device() -> None:
    device = to_hardware(MachineRecord.from_dict(load("measure-epyc-2-threads.json")))
    assert [link.name for link in device.links] == [
        "all reduce, 2 processes", "all gather, 2 processes", "all to all, 2 processes",
        "point to point, 2 processes",
    ]  # fmt: skip


def test_accuracy_is_what_was_promised() -> None:
    summary = runpy.run_path(str(ROOT / "benchmarks" / "accuracy.py"))["summary"]
    cases = load("accuracy-epyc-1-thread.json")["cases"]
    said = summary(cases)
    assert said["cases"] >= 60
    assert said["median"] <= 0.10
    assert said["p90"] <= 0.25
    assert 0.70 <= said["inside"] <= 0.90
    assert said["width"] <= 0.25
    assert said["median"] < said["sheet"]
    judges = {"gpt2-medium", "bert-large-uncased", "HuggingFaceTB/SmolLM2-135M", "Qwen/Qwen3-0.6B"}
    assert judges <= {case["model"] for case in cases}


def test_ours_is_the_machines() -> None:
    rows = {row["what"]: row for row in load("fidelity-epyc-1-thread.json")["rows"]}
    assert abs(rows["read"]["median_ratio"] - 1) <= 0.05
    assert abs(rows["triad"]["median_ratio"] - 1) <= 0.05
    assert abs(rows["gemm"]["median_ratio"] - 1) <= 0.03


def test_training_memory_is_what_was_promised() -> None:
    cases = load("training-memory-cpu.json")["cases"]
    for case in cases:
        predicted, measured = case["predicted_bytes"], case["measured_bytes"]
        assert sum(case["at_peak"].values()) == predicted
        assert case["error"] == pytest.approx(predicted / measured - 1)
        assert abs(case["error"]) <= 0.05
    assert len(cases) >= 12
    assert len({case["optimizer"] for case in cases}) >= 5
    assert {case["autocast"] for case in cases} == {"off", "bf16"}
    assert {case["checkpointing"] for case in cases} == {"on", "as in the module"}
    assert {case["accumulation"] for case in cases} == {"1", "2"}


def test_the_case_study() -> None:
    here = load("study-epyc-1-thread.json")["here"]
    rows = latencies(here)
    assert latencies_record(rows) == here["relative"]
    assert {(row.seq_len, row.batch_size) for row in rows} == {
        *((length, 1) for length in (128, 256, 512, 1024)),
        *((128, batch) for batch in (2, 4, 8, 16)),
    }
    # The wall: with like FLOPs GPT-2 takes many times as long as BERT-Base, here as on the Xeon.
    generating = next(row for row in rows if row.model == "GPT-2")
    assert generating.measured is not None
    assert generating.measured > 10

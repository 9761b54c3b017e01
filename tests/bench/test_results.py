"""Recorded runs through the same statistics as when they were made; nothing asserts a time."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from memorywall.answer.measure import to_hardware
from memorywall.bench.samples import MachineRecord
from memorywall.core.records import from_record, to_record
from memorywall.studies.paper.findings import CaseStudy
from memorywall.studies.roads.findings import CLOSE, Roads
from tests.bench.apart import APART, NOT_TRACED, UNEQUAL

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
    # A record of version 1, read as the version of today.
    record = load("study-epyc-1-thread.json")
    found = from_record(CaseStudy, record)
    assert found.here is not None
    rows = found.here.relative
    assert [to_record(row) for row in rows] == record["here"]["relative"]
    again = found.to_dict()
    for model, cases in record["here"]["cases"].items():
        for case, old in zip(again["here"]["cases"][model], cases, strict=True):
            assert {key: case[key] for key in old} == {
                key: pytest.approx(value, rel=1e-12) if isinstance(value, float) else value
                for key, value in old.items()
            }
    assert {(row.seq_len, row.batch_size) for row in rows} == {
        *((length, 1) for length in (128, 256, 512, 1024)),
        *((128, batch) for batch in (2, 4, 8, 16)),
    }
    # The wall: with like FLOPs GPT-2 takes many times as long as BERT-Base, here as on the Xeon.
    generating = next(row for row in rows if row.model == "GPT-2")
    assert generating.measured is not None
    assert generating.measured > 10


def test_traces_were_quick_and_small() -> None:
    """The limits that were set for tracing, and counts by hand where others are blind."""
    rows = {row["model"]: row for row in load("trace-epyc.json")["rows"]}
    largest, experts, mixed = (
        rows[name] for name in ("llama-3.1-405b", "deepseek-v3", "mixtral-8x7b")
    )
    assert largest["seconds"] <= 3
    assert largest["grown_bytes"] <= 1e9
    assert experts["seconds"] <= 4
    # A layer of the 405B: q and o D x D, k and v D x 1024, three D x F; every pair of a query and a
    # key twice D; the head D x V.
    d, f, t, v = 16_384, 53_248, 2048, 128_256
    layer = 2 * t * (2 * d * d + 2 * d * 1024 + 3 * d * f) + 4 * t * t * d
    assert largest["flops"] == 126 * layer + 2 * t * d * v == largest["peers"]["torch"]["flops"]
    # Mixtral: two experts of three D x F for every token, and a router of 8; torch has no formula
    # for grouped products.
    d, f, v = 4096, 14_336, 32_000
    chosen = 2 * t * 2 * 3 * d * f
    layer = 2 * t * (2 * d * d + 2 * d * 1024 + 8 * d) + chosen + 4 * t * t * d
    assert mixed["flops"] == 32 * layer + 2 * t * d * v
    assert mixed["flops"] - mixed["peers"]["torch"]["flops"] == 32 * chosen
    assert not any(row["unknown"] for row in rows.values())


def test_two_roads_agree() -> None:
    """The whole catalogue by its configs and by transformers' classes, counted again."""
    record = load("roads.json")
    found = from_record(Roads, record)  # without a schema, as records were before
    again, said = found.passes, to_record(found.totals)
    assert said == {key: record[key] for key in said}
    assert {**found.to_dict(), "schema": None} == {**record, "schema": None}
    assert {one.model for one in again if one.unequal} == set(UNEQUAL)
    assert {what.rpartition(", ")[0] for what in record["failed"]} == set(NOT_TRACED)
    assert said["within"] >= 0.9 * said["pairs"]
    assert said["equal"] >= 25
    # Every scan of every pass, and the state that it keeps.
    scans = [one for one in again if "FLOPs of scan" in one.exact]
    assert all("FLOPs of scan" not in one.unequal for one in scans)
    assert len({one.model for one in scans}) >= 20


def test_what_lies_apart_has_a_reason() -> None:
    outside = {
        (row["model"], kind)
        for row in load("roads.json")["rows"]
        for kind, share in row["apart"].items()
        if abs(share) > CLOSE
    }
    rows = [(start, kind) for start, kinds, _ in APART for kind in kinds.split()]
    named = {(model, kind) for model, kind in outside for row in rows if _fits(model, kind, row)}
    assert outside - named == set()
    used = [row for row in rows if any(_fits(model, kind, row) for model, kind in outside)]
    assert used == rows


def _fits(model: str, kind: str, row: tuple[str, str]) -> bool:
    return model.startswith(row[0]) and kind == row[1]

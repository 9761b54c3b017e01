"""Records of analyses: every version is read, others are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memorywall as mw

# As version 1 wrote them; a measured machine has its prediction beside the roofs.
FIRST: dict[str, Any] = {
    "schema": "memorywall.analysis/1", "model": "gpt2", "batch_size": 8, "latency_s": 2.0,
    "bound": "memory_bound", "tokens_per_s": 4.0, "ttft_s": None, "tpot_s": 2.0,
    "predicted_s": None, "low_s": None, "high_s": None, "mfu": 0.1, "mbu": 1.0, "fits": True,
    "footprint": {"weights": 10, "total": 10}, "ops": [{"name": "head.lm_head"}],
    "time_shares": {"weight": 1.0}, "conventions": {"ceilings": "spec"}, "notes": ["a note"],
}  # fmt: skip


def test_the_newest_version() -> None:
    answer = mw.analyze("gpt2", on="h100-sxm")
    read = mw.read_analysis_record(answer.to_dict())
    assert list(read.points) == answer.points()
    assert len(read.ops) == len(answer.ops)
    assert read.conventions == answer.conventions
    assert read.notes == answer.notes
    many = mw.analyze("gpt2", on="h100-sxm", batch_size=np.array([1, 2]))
    assert list(mw.read_analysis_record(many.to_dict()).points) == many.points()


def test_the_first_version() -> None:
    read = mw.read_analysis_record(FIRST)
    (point,) = read.points
    assert (point["latency_s"], point["bound_s"], point["tokens_per_s"]) == (2.0, 2.0, 4.0)
    assert point["time_provenance"] == "data sheet"
    assert (point["footprint_weights"], point["share_weight"]) == (10, 1.0)
    assert read.ops == ({"name": "head.lm_head"},)
    assert read.notes == ("a note",)


def test_predictions_of_the_first_version() -> None:
    measured = {"conventions": {"ceilings": "measured"}, "predicted_s": 6.0, "low_s": 5.0}
    (point,) = mw.read_analysis_record({**FIRST, **measured, "high_s": 7.0}).points
    assert (point["bound_s"], point["latency_s"]) == (2.0, 6.0)
    assert (point["latency_low_s"], point["latency_high_s"]) == (5.0, 7.0)
    assert point["time_provenance"] == "calibrated"
    assert not {"tokens_per_s", "bound", "share_weight", "mbu"} & set(point)


def test_grids_of_the_first_version_were_nested() -> None:
    nested = {
        "batch_size": [[1.0], [8.0]], "latency_s": [[2.0], [3.0]], "image_size": [224, 224],
        "footprint": {"weights": [[10.0], [20.0]]},
    }  # fmt: skip
    read = mw.read_analysis_record({**FIRST, **nested})
    assert [point["batch_size"] for point in read.points] == [1.0, 8.0]
    assert [point["footprint_weights"] for point in read.points] == [10.0, 20.0]
    assert all(point["image_size"] == [224, 224] for point in read.points)
    assert all(point["model"] == "gpt2" for point in read.points)
    assert read.ops == ()


@pytest.mark.parametrize("record", [{}, {"schema": "memorywall.analysis/9"}, {"schema": "x"}])
def test_other_records_are_refused(record: dict[str, Any]) -> None:
    with pytest.raises(mw.MemoryWallError, match="schema must be memorywall"):
        mw.read_analysis_record(record)

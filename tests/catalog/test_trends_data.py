"""The dated numbers: what the index says of each file is so."""

from __future__ import annotations

import math
from datetime import date

import pytest

from memorywall.catalog.trends import FOLDER, datasets, excluded, read, used
from memorywall.core.errors import UnknownNameError

NAMES = sorted(datasets())


def test_every_file_is_in_the_index() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.csv")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_index_is_right(name: str) -> None:
    entry = datasets()[name]
    assert len(read(name)) == entry.rows
    assert len(used(name)) + len(excluded(name)) == entry.rows
    assert entry.source
    assert entry.licence
    assert entry.notes


def test_the_papers_points_are_all_there() -> None:
    counts = [len(read(name)) for name in ("paper_hardware", "paper_sizes", "paper_compute")]
    assert counts == [59, 23, 21]
    # Fig. 4: a bar is the sum of its parts, and Adam's states are twice the parameters.
    for row in read("paper_memory"):
        parts = [float(row[f"{part}_gb"]) for part in ("parameters", "optimizer", "features")]
        assert sum(parts) == pytest.approx(float(row["total_gb"]), abs=0.011)
        copies = 2 if row["optimizer"] == "ADAM" else 1
        assert parts[1] == pytest.approx(copies * parts[0])


def test_absolute_values_are_the_normalised_ones() -> None:
    first = {"flops": 0.339, "dram": 15.2, "interconnect": 2.5}
    for row in read("paper_hardware"):
        absolute = float(row["normalised"]) * first[row["series"]]
        assert float(row["absolute"]) == pytest.approx(absolute, rel=2e-3)


def test_used_rows_have_dates_and_plausible_numbers() -> None:
    for row in used("hardware"):
        assert date(2008, 1, 1) <= date.fromisoformat(row["date"]) <= date(2026, 12, 31)
        if row["memory_byte_per_s"]:
            assert 3e10 <= float(row["memory_byte_per_s"]) <= 1e13
        if row["fp16"] and row["fp32"]:
            assert float(row["fp16"]) >= float(row["fp32"])
    for row in used("models"):
        for column in ("parameters", "training_flop"):
            assert not row[column] or 0 < float(row[column]) < math.inf


def test_what_is_left_out_says_why() -> None:
    reasons = dict(excluded("hardware"))
    assert len(reasons) == 57
    assert reasons["NVIDIA HGX H20"] == "an export version of H100, cut to meet a rule"
    assert sum(reason == "no release date" for reason in reasons.values()) == 14
    assert all(reasons.values())


def test_a_dataset_that_is_not_there() -> None:
    with pytest.raises(UnknownNameError, match="hardwear"):
        read("hardwear")

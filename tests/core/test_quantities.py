"""The registry of quantities: complete, said once, and what answers make of it."""

from __future__ import annotations

import builtins
import inspect
import json
from dataclasses import fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pytest

import memorywall as mw
from memorywall.core.quantities import GROUPS, Quantity
from memorywall.core.results import Footprint
from tests.toys import TOY

NAMES = [quantity.name for quantity in GROUPS["analysis"]]
# Attributes of an answer other than quantities: parts, remarks, and former names.
OTHER_ATTRIBUTES = {
    "in_use", "roofs", "cost", "costs", "notes", "rates", "prediction", "is_predicted",
    "time_shares", "ops", "conventions", "ceilings_provenance",
}  # fmt: skip


def properties(kind: type) -> dict[str, property | cached_property[Any]]:
    return {
        name: member
        for name, member in vars(kind).items()
        if isinstance(member, property | cached_property) and not name.startswith("_")
    }


def test_every_number_of_an_answer_is_in_the_registry() -> None:
    assert set(properties(mw.Analysis)) - OTHER_ATTRIBUTES == set(NAMES) - {"time_provenance"}
    parts = {field.name for field in fields(Footprint)} | set(properties(Footprint)) - {"fits"}
    assert {quantity.name for quantity in GROUPS["footprint"]} == parts


def test_what_a_quantity_means_is_what_help_says() -> None:
    members = properties(mw.Analysis)
    for quantity in GROUPS["analysis"]:
        if quantity.name in members:
            said = inspect.getdoc(members[quantity.name])
            assert said is not None
            assert said.splitlines()[0].startswith(quantity.meaning.rstrip(".")), quantity.name
    said = inspect.getdoc(mw.Analysis)
    assert said is not None
    assert "docs/reference/quantities.md" in said


def test_names_stand_once_and_meanings_are_sentences() -> None:
    for quantities in GROUPS.values():
        names = [quantity.name for quantity in quantities]
        assert len(names) == len(set(names))
        assert all(quantity.meaning.endswith((".", "...")) for quantity in quantities)


def test_text_of_values() -> None:
    found = {quantity.name: quantity for quantity in GROUPS["analysis"]}
    assert found["latency_s"].text(0.00514) == "5.14 ms"
    assert found["moved_bytes"].text(17.2e9) == "17.2 GB"
    assert found["parameters"].text(8030261248) == "8,030,261,248"
    assert found["mfu"].text(0.0254) == "2.5%"
    assert found["tokens_per_s"].text(1556.9) == "1,557 tokens/s"
    assert found["bound"].text("memory_bound") == "memory bound"
    assert found["ttft_s"].text(None) == "-"
    assert found["image_size"].text((448, 336)) == "(448, 336)"


def test_a_value_is_a_bound_at_the_roofs() -> None:
    answer = mw.analyze("llama-3.1-8b", on="h100-sxm", batch_size=8, ceilings="spec")
    time, rate = answer.quantity("latency_s"), answer.quantity("tokens_per_s")
    assert (time.value, time.low, time.high) == (answer.latency_s, None, None)
    assert (time.bound, rate.bound) == ("at least", "at most")
    assert str(time) == "at least 5.14 ms"
    assert str(rate) == "at most 1,557 tokens/s"
    assert time.provenance == answer.provenance("latency_s") == "data sheet"
    assert answer.provenance("ridge_point") == "data sheet"
    assert answer.provenance("flops") == answer.provenance("footprint.weights") == "counted"
    assert answer.provenance("footprint.capacity") == "data sheet"
    assert str(answer.quantity("footprint.weights")) == "16.1 GB"
    assert answer.latency_low_s is None
    slower = mw.hardware("h100-sxm").replace(bandwidth=1e12)
    changed = mw.analyze("gpt2", on=slower, ceilings="spec")
    assert changed.provenance("latency_s") == "hypothetical"


def test_a_quantity_that_is_none_offers_its_like() -> None:
    answer = mw.analyze(TOY, on="h100-sxm")
    with pytest.raises(mw.MemoryWallError, match="latency") as caught:
        answer.quantity("latency")
    assert "latency_s" in caught.value.hint


def test_rates_have_the_interval_of_times_the_other_way_round() -> None:
    answer = mw.analyze("llama-3.1-8b", on="forecast:2030", phase="generate", new_tokens=3)
    time, rate = answer.quantity("latency_s"), answer.quantity("tokens_per_s")
    assert time.provenance == "forecast"
    assert time.low == answer.latency_low_s
    assert rate.low is not None
    assert time.high is not None
    assert rate.low * time.high == pytest.approx(rate.value * time.value)
    for name in ("ttft_s", "tpot_s"):
        part = answer.quantity(name)
        assert part.low is not None
        assert part.high is not None
        assert part.low < part.value < part.high


def test_the_memory_of_llama_70b_by_hand() -> None:
    # D 8192, F 28672, L 80, N 64, K 8, H 128, V 128256, bf16.
    # A layer: queries and output 2 D^2, keys and values 2 D K H, three of D F, two norms D.
    layer = 2 * 8192**2 + 2 * 8192 * 8 * 128 + 3 * 8192 * 28672 + 2 * 8192
    weights = 2 * (80 * layer + 2 * 128256 * 8192 + 8192)
    cache = 2 * 80 * 8 * 128 * 64 * 4096 * 2
    # At the head: hidden states and logits of 64 rows.
    alive = 2 * 64 * (8192 + 128256)
    answer = mw.analyze("llama-3.1-70b", on="h100-sxm", batch_size=64, seq_len=4096)
    footprint = answer.footprint
    assert (footprint.weights, footprint.kv_cache) == (weights, cache)
    assert footprint.total == weights + cache + alive
    assert round(weights + cache + alive, -9) == 227e9
    assert answer.bound == "memory_bound"
    assert answer.binding == "capacity_bound"
    first, second = mw.headline(answer).splitlines()
    assert first == "DOES NOT FIT: needs 227 GB, h100-sxm has 85.5 GB"
    assert second.startswith("meta-llama/Llama-3.1-70B on h100-sxm, one decode step")
    said = mw.verdict(answer)
    assert said.startswith("capacity-bound; with enough memory it would be memory-bound: 61%")
    # 141 + 86 GB fit in three times the memory.
    larger = mw.hardware("h100-sxm").replace(capacity=240e9)
    fitting = mw.analyze("llama-3.1-70b", on=larger, batch_size=64, seq_len=4096)
    assert fitting.binding == "memory_bound"
    assert "FIT" not in mw.headline(fitting)


def grid() -> mw.Analysis:
    batch, lengths = np.array([[1], [64]]), np.array([[128, 4096]])
    return mw.analyze("llama-3.1-8b", on="rtx-4090", batch_size=batch, seq_len=lengths)


def test_a_grid_is_one_flat_record_a_point() -> None:
    answer = grid()
    record = answer.to_dict()
    assert list(record) == ["schema", "points", "conventions", "notes"]
    assert json.loads(json.dumps(record)) == record
    asked = [(point["batch_size"], point["seq_len"]) for point in record["points"]]
    assert asked == [(1, 128), (1, 4096), (64, 128), (64, 4096)]
    for point, (batch, length) in zip(record["points"], asked, strict=True):
        assert not any(isinstance(value, list | dict) for value in point.values())
        alone = mw.analyze("llama-3.1-8b", on="rtx-4090", batch_size=batch, seq_len=length)
        single = alone.to_dict()
        for name, value in point.items():
            if name.startswith("footprint_"):
                expected = single["footprint"][name.removeprefix("footprint_")]
            elif name.startswith("share_"):
                expected = single["time_shares"][name.removeprefix("share_")]
            else:
                expected = single[name]
            near = pytest.approx(expected) if isinstance(expected, float) else expected
            assert value == near, name


def test_points_that_do_not_fit_come_first() -> None:
    # 16.1 GB of weights; 64 sequences of 4096 positions take 64 x 4096 x 131,072 B = 34.4 GB more.
    answer = grid()
    assert answer.binding.tolist() == [  # type: ignore[union-attr]
        ["memory_bound", "memory_bound"], ["memory_bound", "capacity_bound"],
    ]  # fmt: skip
    first, second = str(answer).splitlines()
    assert first == "1 of 4 points DO NOT FIT: they need up to 50.4 GB, rtx-4090 has 25.3 GB"
    assert second == ("meta-llama/Llama-3.1-8B on rtx-4090, decode, times predicted")


def test_an_answer_says_itself() -> None:
    answer = mw.analyze("llama-3.1-8b", on="h100-sxm", batch_size=8, ceilings="spec")
    assert str(answer) == f"{mw.headline(answer)}\n{mw.verdict(answer)}"
    assert "at least 5.14 ms, at most 1,557 tokens/s" in str(answer)


def test_notebooks_escape_what_a_name_holds() -> None:
    named = mw.hardware("h100-sxm").replace(name="<b>mine</b>", title="mine")
    page = mw.analyze(TOY, on=named)._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;mine&lt;/b&gt;" in page
    assert "<td>latency_s</td>" in page
    points = grid()._repr_html_()
    assert points.count("<tr>") == 1 + 4
    many = mw.analyze("gpt2", on="h100-sxm", batch_size=np.arange(1, 101))._repr_html_()
    assert many.count("<tr>") == 1 + 64
    assert "36 points more" in many


def test_frames_have_a_row_a_point(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = grid()
    frame = answer.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == list(answer.points()[0])
    assert frame["latency_s"].tolist() == answer.latency_s.ravel().tolist()  # type: ignore[union-attr]
    assert len(mw.analyze(TOY, on="h100-sxm").to_frame()) == 1
    usual = builtins.__import__

    def lacking(name: str, *rest: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return usual(name, *rest)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(
        mw.MemoryWallError, match="requires pandas, which is not installed"
    ) as caught:
        answer.to_frame()
    assert "memorywall[notebooks]" in caught.value.hint


def test_a_quantity_of_ones_own_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Quantity(
        "bytes_per_token", "byte", "Bytes moved for each token.", "prefixed",
        compute=lambda answer: answer.moved_bytes / (answer.batch_size * answer.new_tokens),
    )  # fmt: skip
    monkeypatch.setitem(GROUPS, "analysis", (*GROUPS["analysis"], mine))
    answer = mw.analyze("llama-3.1-8b", on="h100-sxm", batch_size=8)
    assert answer.to_dict()["bytes_per_token"] == answer.moved_bytes / 8
    assert str(answer.quantity("bytes_per_token")) == "2.15 GB"
    assert "<td>bytes_per_token</td>" in answer._repr_html_()
    assert "bytes_per_token" in grid().points()[0]

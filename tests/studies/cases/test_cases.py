"""Public measurements beside ours: the file, the arithmetic of its units, and the verdicts."""

from __future__ import annotations

import json

import pytest

import memorywall as mw
from memorywall.app.cli import main
from memorywall.catalog.published import read
from memorywall.core.errors import InvalidInputError
from memorywall.studies.cases.computation import beside_ours, in_base_units, reported_cases
from memorywall.studies.cases.findings import Case, Reported
from memorywall.studies.cases.text import compared, miss

Captured = pytest.CaptureFixture[str]


def test_the_file_states_everything_of_a_case() -> None:
    rows = read("cases")
    assert len(rows) >= 60
    assert len({tuple(row.values()) for row in rows}) == len(rows)
    for row in rows:
        assert row["source"].startswith("https://")
        assert row["ours_is"] in ("equal", "at most", "at least")
        assert in_base_units(row["reported"])[0] > 0
        # A bound requires a device; the engine is known wherever something ran.
        assert row["ours_is"] == "equal" or (row["on"] and row["engine"])


def test_printed_numbers_in_base_units() -> None:
    # 4352 x 2^20 byte, and half of 0.01 MiB: 0.005 x 2^20.
    assert in_base_units("4352.00 MiB") == pytest.approx((4_563_402_752, 5_242.88))
    assert in_base_units("22.05 ms") == pytest.approx((0.02205, 5e-6))
    assert in_base_units("61.0 tokens/s") == pytest.approx((61.0, 0.05))
    assert in_base_units("20.91e9") == pytest.approx((20.91e9, 5e6))
    with pytest.raises(InvalidInputError, match="a number and a unit"):
        in_base_units("about 5 GB")


def case(ours_is: str, text: str, quantity: str = "footprint.weights", **words: str) -> Case:
    asked = {"phase": "decode", "seq_len": "64", "weights": "fp16", **words}
    device = "" if ours_is == "equal" else "m1-max"
    return beside_ours(
        Reported("llama-2-7b-hf", device, asked, quantity, ours_is, text, "", "")  # type: ignore[arg-type]
    )


def test_verdicts() -> None:
    # 6,738,415,616 weights of 2 byte: 13,476,831,232, which is 12.5513 GiB.
    assert case("equal", "12.55 GiB").verdict == "agrees"
    near = case("equal", "12.50 GiB")
    assert (near.verdict, compared(near)) == ("within 1 %", "+0.4%")
    assert case("equal", "13.0 GiB").verdict == "misses"
    assert case("at least", "13.0 GiB").verdict == "holds"
    assert case("at least", "12.0 GiB").verdict == "misses"
    refused = case("equal", "12.55 GiB", weights="fp17")
    assert (refused.verdict, compared(refused)) == ("not answered", "-")
    assert "fp17" in miss(refused)


def test_a_share_of_a_bound() -> None:
    # M1 Max, 400 GB/s: a step reads the 6,607,343,616 weights outside the table of embeddings
    # (32,000 x 4,096 = 131,072,000) and 63 positions of cache (2 x 32 x 4,096 x 2 byte each,
    # 33,030,144 byte): at most 400e9 / (13,214,687,232 + 33,030,144) = 30.2 tokens/s.
    one = case("at most", "23.03 tokens/s", "tokens_per_s", kv_cache="fp16", activations="fp16")
    assert one.verdict == "holds"
    assert one.ours == pytest.approx(400e9 / (13_214_687_232 + 33_030_144), rel=2e-3)
    assert one.attained == pytest.approx(23.03 / 30.2, rel=2e-3)
    assert case("at most", "40 tokens/s", "tokens_per_s").verdict == "misses"


def test_every_model_and_device_of_the_file_is_known() -> None:
    for model in {one.model for one in reported_cases()}:
        assert mw.model(model).parameters > 0
    for device in {one.device for one in reported_cases()} - {""}:
        assert mw.hardware(device).bandwidth > 0


def test_command(capsys: Captured) -> None:
    assert main(["study", "cases", "gpt-oss-120b", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert {one["model"] for one in record["cases"]} == {"gpt-oss-120b"}
    assert main(["study", "cases", "gpt2"]) == 2
    assert "no public case is of the model gpt2" in capsys.readouterr().err

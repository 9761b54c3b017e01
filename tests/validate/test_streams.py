"""The errors of single streams, as promised."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memorywall.calibrate.public_runs import COLUMNS
from memorywall.validate.errors import ErrorRow, Section, Validation
from memorywall.validate.streams import (
    FILE,
    LEFT_OUT,
    LIMITS,
    SHEET,
    SHIPPED,
    validate_streams,
)

_ROWS = (
    ("a1", "M1 (8-core GPU)", "Q4_0", "14.15"),
    ("a2", "M1 (8-core GPU)", "Q8_0", "7.91"),
    ("a3", "M2 Pro (16-core GPU)", "Q4_0", "37.87"),
    ("a4", "M4 Pro (20-core GPU)", "Q4_0", "50.74"),
)


def ground_truth() -> Path | None:
    named = os.environ.get("MEMORYWALL_GROUND_TRUTH")
    beside = Path(__file__).parents[2].parent / "shared" / "ground-truth"
    return Path(named) if named else beside if beside.exists() else None


def test_three_predictions_of_every_run(tmp_path: Path) -> None:
    lines = [",".join(COLUMNS)]
    for place, device, weights, rate in _ROWS:
        given = {
            "id": place, "model": "Llama-2-7B", "engine": "llama.cpp Metal", "device": device,
            "n_devices": "1", "weights": weights, "phase": "decode", "prompt_len": "0",
            "gen_len": "128", "context_start": "0", "value": rate, "source": "a thread",
        }  # fmt: skip
        lines.append(",".join(given.get(name, "") for name in COLUMNS))
    (tmp_path / FILE).write_text("\n".join(lines) + "\n")
    found = validate_streams(tmp_path)
    out, shipped, sheet = found.sections
    assert (out.title, shipped.title, sheet.title) == (LEFT_OUT, SHIPPED, SHEET)
    decode, by_engine = shipped.row("decode"), shipped.row("engine llama.cpp Metal")
    assert decode is not None
    assert by_engine is not None
    assert decode.rows == by_engine.rows == 4
    apple, at_sheet = shipped.row("decode, apple"), sheet.row("decode")
    assert apple is not None
    assert apple.median < 0.1
    assert at_sheet is not None
    assert at_sheet.bias < 0.9  # a bound is faster than what was measured
    assert at_sheet.covered is None
    assert "device left out of the fit" in str(found)
    assert found.to_dict()["name"] == "streams"


def test_limits_that_are_exceeded_are_listed() -> None:
    rows = (
        ErrorRow("all", 9, 0.2, 0.5, 1.0, 0.5),
        ErrorRow("decode", 9, 0.2, 0.3, 1.0, 0.8),
    )
    failures = Validation("streams", (Section(LEFT_OUT, rows),), LIMITS).failures
    assert failures == (
        f"streams, {LEFT_OUT}, decode: median 20.0% must be at most 15.0%",
        f"streams, {LEFT_OUT}, all: intervals cover 50.0%, not 75% to 85%",
    )


@pytest.mark.slow
@pytest.mark.skipif(ground_truth() is None, reason="needs the measured runs")
def test_devices_left_out_keep_to_the_promise() -> None:
    folder = ground_truth()
    assert folder is not None
    found = validate_streams(folder)
    assert not found.failures

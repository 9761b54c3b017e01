"""Calibrated predictions of an encoder-decoder, by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import memorywall as mw
from memorywall.core.calibration import Calibration, Curve
from tests.toys import MARIAN_TOY, WHISPER_TOY

# One second per unit, but ten for causal attention, so that the kinds differ.
CURVES = {
    (operator, "fp32"): Curve(operator, "fp32", (1.0,), (seconds,), 0.0)
    for operator, seconds in {
        "linear": 1.0, "attention full": 1.0, "attention causal": 10.0, "attention decode": 1.0,
        "copy": 1.0, "add": 1.0, "layernorm": 1.0, "gelu": 1.0,
    }.items()
}  # fmt: skip
HERE = mw.hardware("h100-sxm").replace(
    peaks={"fp32": 1e12}, calibration=Calibration(CURVES, {}, {}, points=1)
)


def by_class(config: dict[str, Any], phase: str, **words: Any) -> Mapping[str, Any]:
    answer = mw.analyze(
        {**config, "activation_function": "gelu", "torch_dtype": "float32"}, on=HERE, phase=phase,
        batch_size=2, seq_len=3, **words,
    )  # fmt: skip
    assert answer.prediction is not None
    return answer.prediction.by_class


def test_a_step_reads_the_sources_cache_and_copies_only_its_own() -> None:
    classes = by_class(MARIAN_TOY, "decode", source_len=5)
    # Keys and values of two sequences, four bytes an element: 3 x 4 each of the text, 5 x 4 of the
    # source. Joined, element by element, are the text's alone.
    assert classes["attention"] == 2 * 2 * 4 * (3 * 4 + 5 * 4)
    assert classes["cache"] == 2 * 2 * 3 * 4
    # q, k, v and o of the text, q and o of the source, two of the feed-forward, and the head: the
    # encoder and the source's keys and values make no calls.
    assert classes["gemm"] == 2 * 2 * (6 * 16 + 2 * 24 + 36)


def test_a_prefill_attends_to_the_whole_source() -> None:
    classes = by_class(MARIAN_TOY, "prefill", source_len=5)
    # 4 H FLOPs a pair, two sequences of two heads: 25 in the encoder, 6 looking back, 15 across.
    assert classes["attention"] == pytest.approx(4 * 2 * 4 * (25 + 10 * 6 + 15))
    assert classes["cache"] == 2 * 2 * 3 * 4


def test_convolutions_are_priced_at_the_roofs_and_a_step_has_none() -> None:
    assert by_class(WHISPER_TOY, "decode").get("conv", 0) == 0
    assert 0 < by_class(WHISPER_TOY, "prefill")["conv"] < 1
    config = {**WHISPER_TOY, "activation_function": "gelu", "torch_dtype": "float32"}
    notes = mw.analyze(config, on=HERE, phase="prefill", batch_size=2, seq_len=3).notes
    assert any("priced at its roofs, a bound: convolutions" in note for note in notes)

"""The fit of models on devices in use: by hand, and beside a log of vLLM."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import memorywall as mw
from memorywall.answer.predictors import predictors_of
from memorywall.app.cli import main
from memorywall.core.errors import InvalidInputError, UnsupportedError
from memorywall.core.hardware import Memory
from memorywall.report.fit_text import fit_sentence

Captured = pytest.CaptureFixture[str]

# 24e9 byte, of which an engine takes 90 %: 21.6e9, and 0.25 GiB of it is the runtime's.
CARD = mw.hardware("rtx-3090").replace(capacity=24e9)
WEIGHTS, RUNTIME = 2 * 8_030_261_248, 2**28
ROOM = 21_600_000_000 - WEIGHTS - RUNTIME  # 5,271,042,048
# Llama-3.1-8B: 32 layers, keys and values of 8 heads of 128, 2 byte each, are 131,072 a position.
# A prefill holds at least the hidden state, its normed copy and a half of the feed-forward,
# (4096 + 4096 + 14336) x 2 = 45,056 byte a position. In an engine, where the halves and the
# activation are apart, it holds the hidden state and three of the width: (4096 + 3 x 14336) x 2.
CACHE, LEAST, PREFILL = 131_072, 45_056, 94_208
WHOLE = 2**20  # a prefill in one piece


@pytest.mark.parametrize("name", ["batch_size", "seq_len", "chunk"])
def test_a_fit_is_of_one_number(name: str) -> None:
    words: dict[str, Any] = {name: [1, 2]}
    with pytest.raises(InvalidInputError, match=f"{name} must be one number in a fit"):
        mw.fit("gpt2", on="h100-sxm", **words)


def test_llama_on_a_card_by_hand() -> None:
    found = mw.fit("llama-3.1-8b", on=CARD, weights="bf16", chunk=WHOLE)
    (one,) = found.formats
    assert (found.budget_bytes, found.utilisation, found.runtime_bytes) == (21.6e9, 0.9, RUNTIME)
    assert (found.seq_len, one.answer, one.weight_bytes) == (2048, "yes", WEIGHTS)
    # One sequence of 2048: its cache, and its prefill in one piece.
    assert one.in_use_bytes == WEIGHTS + RUNTIME + 2048 * (CACHE + PREFILL)
    # In one piece a prefill grows with the context: 5,271,042,048 / 225,280 = 23,397.7.
    assert one.longest_context == ROOM // (CACHE + PREFILL) == 23_397
    # The sequences of a batch are prefilled one after the other.
    rest = ROOM - 2048 * PREFILL
    assert one.largest_batch == rest // (2048 * CACHE) == 18
    assert one.cache_tokens == rest // CACHE == 38_742


def test_a_prefill_in_pieces_leaves_a_longer_context() -> None:
    (one,) = mw.fit("llama-3.1-8b", on=CARD, weights="bf16", chunk=1024).formats
    assert one.longest_context == (ROOM - 1024 * PREFILL) // CACHE == 39_478


def test_utilisation() -> None:
    (one,) = mw.fit("llama-3.1-8b", on=CARD, weights="bf16", utilisation=1, chunk=1024).formats
    # 2.4e9 byte more.
    assert one.longest_context == (ROOM + 2_400_000_000 - 1024 * PREFILL) // CACHE
    for share in (0, -1, 1.01, float("nan"), True, "0.9"):
        with pytest.raises(InvalidInputError, match="utilisation must be a share"):
            mw.fit("llama-3.1-8b", on=CARD, utilisation=share)  # type: ignore[arg-type]


def test_a_decode_step_counts_the_prefill_before_it() -> None:
    # 131,072 positions, whose prefill in one piece holds 5,905,580,032 byte; the step itself keeps
    # 265 kB.
    answer = mw.analyze("llama-3.1-8b", on="h100-sxm", seq_len=131_072)
    assert answer.in_use is not None
    assert answer.in_use.prefill == 131_072 * LEAST == 5_905_580_032
    assert answer.in_use.engine_prefill == 131_072 * PREFILL
    assert answer.footprint.activations < 300_000
    assert answer.in_use.in_use == WEIGHTS + RUNTIME + 131_072 * (CACHE + PREFILL)
    # A prefill's own activations are in its footprint, and are not added again.
    prompt = mw.analyze("llama-3.1-8b", on="h100-sxm", seq_len=131_072, phase="prefill")
    assert prompt.in_use is not None
    assert prompt.in_use.in_use == prompt.footprint.total + RUNTIME


def test_yes_tight_and_no() -> None:
    # 16,060,522,496 of weights, the step's cache and activations: at 24e9 byte the step alone fits
    # up to (24e9 - 16.06e9) / 131,072 = 60,575 positions; in use up to 23,397.
    contexts = np.array([1024, 23_397, 23_398, 60_000, 61_000])
    answer = mw.analyze("llama-3.1-8b", on=CARD, seq_len=contexts)
    assert list(answer.fit) == ["yes", "yes", "tight", "tight", "no"]
    for context, word in zip((1024, 23_398, 61_000), ("yes", "tight", "no"), strict=True):
        one = mw.analyze("llama-3.1-8b", on=CARD, seq_len=context)
        assert one.fit == one.quantity("fit").value == word
        assert one.fits == (word != "no")
        first = str(one).splitlines()[0]
        assert first.startswith(
            {"yes": "meta-llama", "tight": "TIGHT: ", "no": "DOES NOT FIT"}[word]
        )


def test_a_tight_fit_says_why() -> None:
    # 23,398 positions: 19.13e9 byte as the step runs; 0.27 and 2.2 GB more in use.
    first = str(mw.analyze("llama-3.1-8b", on=CARD, seq_len=23_398)).splitlines()[0]
    assert first == (
        "TIGHT: needs 19.1 GB of rtx-3090's 24 GB; in use 21.6 GB with the runtime and the prefill "
        "(2.2 GB in one piece), and an engine takes 90%: 21.6 GB"
    )


@pytest.mark.parametrize(
    ("model", "device", "words", "gib"),
    [
        # https://myoceane.fr/index.php/ai-vllm-a100-gemma-4/, vLLM 0.19 on an A100 of 80 GB:
        # "Available KV cache memory", with 8192 positions a step.
        ("gpt-oss-20b", "a100-sxm-80gb", {"utilisation": 0.65}, 36.56),
        # The author's text model alone; vLLM loads its tower too: 48.5 GiB of 47.2.
        ("gemma-4-26b-a4b-it", "a100-sxm-80gb", {"utilisation": 0.9}, 21.5),
    ],
)
def test_the_cache_that_vllm_prints(
    model: str, device: str, words: dict[str, Any], gib: float
) -> None:
    found = mw.fit(model, on=device, chunk=8192, seq_len=131_072, **words)
    one = found.formats[0]
    answer = mw.analyze(model, on=device, seq_len=131_072)
    cache = float(answer.footprint.kv_cache)
    room = found.budget_bytes - (one.in_use_bytes - cache)
    assert room / 2**30 == pytest.approx(gib, rel=0.08)


def test_other_models() -> None:
    encoder = mw.fit("bert-base-uncased", on="t4", batch_size=8)
    assert encoder.phase == "encode"
    assert all(one.longest_context is None for one in encoder.formats)
    assert encoder.formats[0].answer == "yes"
    image = mw.fit("flux.1-dev", on="rtx-4090")
    assert image.formats[0].answer == "tight"
    assert any("encoders of the prompt" in note for note in image.notes)
    state = mw.fit("mamba-2.8b-hf", on="rtx-4090").formats[0]
    assert state.cache_tokens is None


def test_the_ladder_names_a_format_that_fits() -> None:
    found = mw.fit("llama-3.1-70b", on="h100-sxm")
    assert found.formats[0].answer == "no"
    assert found.best is not None
    assert found.best.weights == "fp8"
    assert mw.fit("llama-3.1-405b", on="rtx-3090").best is None


def test_a_device_without_a_capacity() -> None:
    unknown = mw.hardware("t4").replace(memories=(Memory("GDDR6", bandwidth=3e11),))
    with pytest.raises(UnsupportedError, match="fit requires the memory capacity"):
        mw.fit("gpt2", on=unknown)


def test_command(capsys: Captured) -> None:
    assert main(["fit", "llama-3.1-8b", "--on", "rtx-3090", "--seq", "4k", "--batch", "2"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert out.startswith("YES: meta-llama/Llama-3.1-8B in bf16 fits rtx-3090 at 4096 positions,")
    for word in ("Q4_K_M", "--utilisation", "longest", "tokens"):
        assert word in out
    assert main(["fit", "llama-3.1-70b", "--on", "t4", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["schema"] == "memorywall.fit/1"
    assert [one["answer"] for one in record["formats"]] == ["no", "no", "no"]
    for words in (["--seq", "0"], ["--batch", "x"], ["--utilisation", "2"], ["--weights", "fp17"]):
        assert main(["fit", "gpt2", "--on", "t4", *words]) == 2
        assert "Traceback" not in capsys.readouterr().err


def test_positions_of_an_image() -> None:
    # 1024 is resized to 1036, a multiple of 28: 37 x 37 positions.
    answer = mw.analyze(
        "qwen2.5-vl-7b-instruct", on="h100-sxm", phase="prefill", image_size=1024, seq_len=2048
    )
    assert answer.image_positions == answer.quantity("image_positions").value == 37**2
    assert "(1,369 positions)" in str(answer)
    # LLaVA-1.5: 336 / 14 = 24.
    llava = mw.analyze("llava-1.5-7b-hf", on="h100-sxm", phase="prefill")
    assert llava.image_positions == 24**2


def test_layers_of_multi_token_prediction_have_a_size() -> None:
    # DeepSeek-V3: attention 7168 x 1536 + 1536 + 1536 x 24,576 + 7168 x 576 + 512 + 512 x 32,768
    # + 16,384 x 7168 = 187,107,328; 257 experts of 3 x 7168 x 2048, 11,318,329,344; a router of
    # 256 x 7168 (its correction is a buffer); two norms; the projection
    # 2 x 7168 x 7168, three norms.
    attention = 7168 * 1536 + 1536 + 1536 * 24_576 + 7168 * 576 + 512 + 512 * 32_768
    attention += 16_384 * 7168
    experts = 257 * 3 * 7168 * 2048 + 256 * 7168
    layer = attention + experts + 2 * 7168
    answer = mw.analyze("deepseek-v3", on="h200-sxm", seq_len=4096)
    found = predictors_of(answer.question)
    assert found is not None
    assert found.parameters == layer + 2 * 7168 * 7168 + 3 * 7168 == 11_610_067_968
    # Its card: 685e9 in all, 671e9 of the model and 14e9 with copies of embedding and head.
    assert found.parameters + 2 * 129_280 * 7168 == pytest.approx(14e9, rel=0.05)
    assert found.cache_bytes == 4096 * 576 * 2
    assert any("11,610,067,968 parameters more" in note for note in answer.notes)
    assert predictors_of(mw.analyze("llama-3.1-8b", on="h200-sxm").question) is None


@pytest.mark.parametrize(
    ("name", "at", "cache"),
    [
        ("t5-large", "at 512 positions, batch 1", "bf16"),
        ("bert-base-uncased", "at 512 positions, batch 1", ""),
        ("google/vit-base-patch16-224", "h100-sxm at batch 1", ""),
    ],
)
def test_the_sentence_names_the_positions_of_text(name: str, at: str, cache: str) -> None:
    found = mw.fit(name, on="h100-sxm")
    assert at in fit_sentence(found)
    assert found.formats[0].kv_cache == cache
    assert (found.seq_len is None) is (name.startswith("google/vit"))

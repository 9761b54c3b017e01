"""The study of long contexts: by hand, by laws, and as text, record and picture."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import memorywall as mw
from memorywall.app.cli import main
from memorywall.core.errors import InvalidInputError, UnsupportedError
from memorywall.studies.long_context.computation import CONTEXTS, long_contexts
from memorywall.studies.long_context.figure import draw_long_contexts, names
from memorywall.studies.long_context.findings import LongContext, LongContexts, Span
from memorywall.studies.long_context.line_names import spread, wrapped
from memorywall.studies.long_context.sentences import sentence, verdict, where
from memorywall.studies.long_context.thresholds import LONGEST, first_context, span_of
from tests.asking import analyze_alike

Captured = pytest.CaptureFixture[str]
BANDWIDTH, PEAK, CAPACITY = 3.35e12, 989.4e12, 81_559 * 2**20


@pytest.fixture(scope="module")
def study() -> LongContexts:
    return long_contexts()


@pytest.fixture(scope="module")
def models(study: LongContexts) -> dict[str, LongContext]:
    return {model.kind: model for model in study.models}


def test_one_of_each_kind(models: dict[str, LongContext]) -> None:
    assert [(kind, model.model.rpartition("/")[2]) for kind, model in models.items()] == [
        ("full attention", "Llama-2-7b-hf"),
        ("GQA", "Llama-3.1-8B"),
        ("MLA", "DeepSeek-V2-Lite"),
        ("sliding window", "Mistral-7B-v0.1"),
        ("hybrid", "Nemotron-H-8B-Base-8K"),
        ("state and window", "recurrentgemma-9b"),
        ("state only", "Mamba-Codestral-7B-v0.1"),
    ]


@pytest.mark.parametrize(
    ("kind", "first", "last"),
    [
        ("full attention", 2 * 32 * 32 * 128 * 2, 524_288),  # 2 L N H 2 B
        ("GQA", 2 * 32 * 8 * 128 * 2, 131_072),
        ("MLA", 27 * (512 + 64) * 2, 31_104),  # a latent and one rotated key a layer
        ("sliding window", 2 * 32 * 8 * 128 * 2, 0),
        ("hybrid", 2 * 4 * 8 * 128 * 2, 16_384),  # 4 of 52 layers attend
        ("state and window", 2 * 12 * 1 * 256 * 2, 0),  # 12 of 38 layers attend, one head
        ("state only", 0, 0),
    ],
)
def test_cache_of_a_position(
    models: dict[str, LongContext], kind: str, first: int, last: int
) -> None:
    assert (models[kind].cache_per_token, models[kind].cache_growth) == (first, last)


def test_windows_stop_growing(models: dict[str, LongContext]) -> None:
    cache = models["sliding window"].steps.cache
    # 4,096 positions of 131,072 B; 2,048 of 12,288 B.
    assert list(cache[:2]) == [1024 * 131_072, 2048 * 131_072]
    assert set(cache[2:]) == {536_870_912}
    assert models["state and window"].steps.cache.max() == 25_165_824


@pytest.mark.parametrize(
    ("kind", "held"),
    [
        # 64 layers of 128 heads x 64 x 128 numbers in fp32, and 4 tokens of 8,192 + 2 x 8 x 128
        # channels in bf16: 64 (4,194,304 + 81,920).
        ("state only", 273_678_336),
        # 24 layers of as much state, the same window: 24 (4,194,304 + 81,920).
        ("hybrid", 102_629_376),
        # 26 layers of 4,096 numbers in fp32, and 3 tokens of 4,096 channels in bf16.
        ("state and window", 26 * (4096 * 4 + 3 * 4096 * 2)),
    ],
)
def test_state_is_the_same_at_any_context(
    models: dict[str, LongContext], kind: str, held: int
) -> None:
    steps = models[kind].steps
    assert set(steps.state) == {held}
    # A step reads it and writes it.
    assert set(steps.moved["state"]) == {2 * held}


def test_where_cache_passes_weights(models: dict[str, LongContext]) -> None:
    # A step of Llama-2-7B reads 32 x (4 x 4096^2 + 3 x 4096 x 11008 + 2 x 4096) + 4096 + 32000 x
    # 4096 + 4096 = 6,607,347,712 weights, 13,214,695,424 B; it reads S positions of 524,288 B and
    # writes one: S + 1 > 25,205.03.
    assert models["full attention"].cache_passes == 25_205
    # Of Llama-3.1-8B: 32 x (2 x 4096^2 + 2 x 4096 x 1024 + 3 x 4096 x 14336 + 2 x 4096) + 4096 +
    # 128256 x 4096 + 4096 = 7,504,928,768, twice that over 131,072 is 114,516.1.
    assert models["GQA"].cache_passes == 114_516
    for kind in ("sliding window", "state and window", "state only"):
        assert models[kind].cache_passes is None
    # Sixteen sequences read weights once: 13,214,695,424 / 16 / 524,288 = 1,575.3.
    (many,) = long_contexts(["llama-2-7b-hf"], batch_size=16, contexts=[1024]).models
    assert many.cache_passes == 1575


def test_where_the_memory_is_full(models: dict[str, LongContext]) -> None:
    # nvidia-smi prints 81,559 MiB = 85,520,809,984 B.
    # (85,520,809,984 - 2 x 6,738,415,616) / 524,288 = 137,412.98, activations take less than one.
    assert models["full attention"].memory_full == 137_413
    # (85,520,809,984 - 2 x 8,030,261,248) / 131,072 = 529,941.5, of which activations take two.
    assert models["GQA"].memory_full == pytest.approx(529_939, abs=2)
    assert models["state only"].memory_full is None


def test_flops_per_byte(models: dict[str, LongContext]) -> None:
    # Two products of 2 FLOP over keys and values of 2 B each: 1 for each head that shares them.
    assert models["full attention"].cache_intensity == pytest.approx(1, rel=1e-4)
    assert models["GQA"].cache_intensity == pytest.approx(32 / 8, rel=1e-4)
    # 16 heads x 2 (576 + 512) FLOP over 576 numbers of 2 B.
    assert models["MLA"].cache_intensity == pytest.approx(34_816 / 1152, rel=1e-4)
    # A step of SSD: 128 heads x (5 x 64 x 128 + 3 x 64 + 6) over 2 x 4 B x 128 x 64 x 128.
    assert models["state only"].state_intensity == pytest.approx(41_158 / 65_536, rel=1e-3)
    (v3,) = long_contexts(["deepseek-v3"], on="a100-sxm-80gb").models
    # 128 heads on a latent: 242 FLOP/B, past an A100's ridge of 153, so context never binds it.
    assert v3.cache_intensity == pytest.approx(128 * 2176 / 1152, rel=1e-4)
    assert v3.leaves_ever == Span(1, None)
    assert v3.memory_full == 1
    assert v3.leaves_filled is None


def test_prefill_turns_quadratic(models: dict[str, LongContext]) -> None:
    # Llama-2-7B: 2 x 202,375,168 x 32 S + 2 x 32000 x 4096 of products, 2 x 4096 x 32 S (S + 1) of
    # attention under the causal half: S + 1 > 49,408.02 (the head is of the last token alone).
    assert models["full attention"].attention_passes == 49_408
    # Mistral's tokens attend to 4,096 at the most: 4 x 4096 x 32 x 4096 against 2 x 6.98e9.
    window = models["sliding window"]
    assert window.attention_passes is None
    share = 4 * 4096 * 32 * 4096 / (4 * 4096 * 32 * 4096 + 2 * 218_103_808 * 32)
    assert window.prefills.attention_share[-1] == pytest.approx(share, rel=0.01)
    assert not models["state only"].prefills.attention_share.any()


def test_an_endless_batch_leaves_only_what_is_its_own(models: dict[str, LongContext]) -> None:
    # Llama-3.1-8B at 1,024: 15.009e9 FLOP of products and 1,024 x 524,288 of attention, and some
    # elementwise; 1,025 positions of 131,072 B.
    limit = models["GQA"].limit
    assert limit.arithmetic_s == pytest.approx(15.546e9 / PEAK, rel=0.01)
    assert limit.cache_s == pytest.approx(1025 * 131_072 / BANDWIDTH, rel=1e-6)
    # So arithmetic binds up to S = 15.009e9 / (131,072 x 295.3 - 524,288) = 393 positions less
    # what activations move.
    ever = models["GQA"].leaves_ever
    assert ever is not None
    assert ever.last is not None
    assert 0.8 * 393 < ever.last < 393
    # Mamba-2's state alone takes 2 x 273,678,336 B a token, 163 us against 15 of arithmetic.
    state = models["state only"]
    assert state.limit.state_s == pytest.approx(547_356_672 / BANDWIDTH, rel=1e-6)
    assert state.leaves_ever is None


def test_laws(study: LongContexts) -> None:
    for model in study.models:
        steps = model.steps
        assert (np.diff(steps.moved_bytes) >= 0).all()
        assert (np.diff(steps.resident) >= 0).all()
        assert (np.diff(model.prefills.seconds) > 0).all()
        assert (np.diff(model.filled.batch) <= 0).all()
        assert (steps.moved_bytes >= steps.moved["weight"]).all()
        assert (steps.seconds >= steps.moved_bytes / BANDWIDTH * (1 - 1e-9)).all()
        intensity = steps.arithmetic_intensity
        assert (steps.compute_bound == (intensity > study.ridge_point)).all()


def test_as_many_as_fit_and_not_one_more(study: LongContexts) -> None:
    formats = {"weights": "bf16", "activations": "bf16", "kv_cache": "bf16"}
    for model in study.models:
        for at in (0, 4):
            batch = int(model.filled.batch[at])
            asked = {"on": "h100-sxm", "phase": "decode", "seq_len": CONTEXTS[at], **formats}
            assert analyze_alike(model.model, batch_size=batch, **asked).fits
            assert not analyze_alike(model.model, batch_size=batch + 1, **asked).fits


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("qwen2.5-7b", "GQA"),
        ("mpt-7b", "full attention"),
        ("gemma-2-9b", "windows and full"),
        ("zamba2-7b", "hybrid"),
        ("falcon-mamba-7b", "state only"),
        ("rwkv-4-7b-pile", "state only"),
    ],
)
def test_kinds(name: str, kind: str) -> None:
    formats: Any = {} if kind == "state only" else {"kv_cache": "fp8"}
    (model,) = long_contexts([name], contexts=[1024], **formats).models
    assert model.kind == kind


@given(st.integers(1, LONGEST))
def test_thresholds(edge: int) -> None:
    assert first_context(lambda n: n >= edge) == edge
    longest = 2**20
    found = span_of(lambda n: n <= edge, longest)
    assert found == Span(1, edge if edge < longest else None)
    begun = span_of(lambda n: n >= edge, longest)
    assert begun == (Span(edge, None) if edge <= longest else None)


def test_thresholds_that_never_come() -> None:
    assert first_context(lambda n: False) is None  # noqa: ARG005
    assert span_of(lambda n: n < 0, 1000) is None
    assert [where(span) for span in (None, Span(1, None), Span(1, 7), Span(3, None))] == [
        "never", "always", "to 7", "from 3",
    ]  # fmt: skip


def test_sentences_follow_the_numbers(study: LongContexts, models: dict[str, LongContext]) -> None:
    assert verdict(study).endswith("only recurrentgemma-9b leaves it.")
    texts = {kind: sentence(model, study) for kind, model in models.items()}
    assert "more cache than weights from 25,205 positions" in texts["full attention"]
    assert "full at 137,413" in texts["full attention"]
    assert "stops growing at 537 MB" in texts["sliding window"]
    assert "keeps 274 MB of state at any context" in texts["state only"]
    assert "No batch makes it compute-bound" in texts["state only"]
    assert "compute-bound at every context to 1,048,576" in texts["state and window"]
    lone = long_contexts(["llama-3.1-8b"], on="grace-cpu")  # fp32 arithmetic: a ridge of 14
    assert "all leave it" in verdict(lone)
    (nowhere,) = long_contexts(["deepseek-v3"]).models
    assert "its weights alone do not fit" in sentence(nowhere, study)
    assert "one without end would" in sentence(nowhere, study)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_names_stand_apart_in_order(wanted: list[float]) -> None:
    placed = spread(wanted, 0.07)
    ranked = [placed[index] for index in sorted(range(len(wanted)), key=wanted.__getitem__)]
    assert all(b - a >= 0.07 - 1e-9 for a, b in pairwise(ranked))
    assert max(placed) <= 1


def test_record_and_figure(capsys: Captured, tmp_path: Path) -> None:
    figure = tmp_path / "long.svg"
    words = ["--models", "llama-2-7b-hf, llama-3.1-8b,qwen2.5-7b", "--contexts", "1024,262144"]
    assert main(["study", "long-context", *words, "--figure", str(figure), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["schema"] == "memorywall.study.long-context/1"
    assert record["contexts"] == [1024, 262_144]
    assert record["conventions"]["state"] == "as prescribed"
    full = record["models"][0]
    assert full["cache_passes"] == 25_205
    assert full["decode"]["kv_cache_bytes"] == [1025 * 524_288, 262_145 * 524_288]
    assert full["decode"]["fits"] == [True, False]
    assert full["decode_filled"]["tpot_s"][1] is None
    assert full["leaves"] is None
    assert full["leaves_filled"][0] == 1
    assert 0 < full["prefill"]["attention_share"][0] < 0.05
    drawn = figure.read_text()
    for word in ("full attention", "Llama-3.1-8B", "Qwen2.5-7B", "compute roof from 295",
                 "full: 85.5 GB", "context, tokens"):  # fmt: skip
        assert word in drawn


def test_names_are_kinds_where_they_are_distinct(study: LongContexts) -> None:
    assert names(study)[:2] == ["full attention", "GQA"]
    two = long_contexts(["llama-3.1-8b", "qwen2.5-7b"], contexts=[1024])
    assert names(two) == ["Llama-3.1-8B", "Qwen2.5-7B"]


def test_text(capsys: Captured) -> None:
    assert main(["study", "long-context"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("Decode on h100-sxm from 1,024 to 1,048,576 positions: at batch 1 none")
    for word in ("2.45e9 of 15.71e9", "131 kB, then none", "none fits", "153 GB ! *",
                 "* past the positions that a model was made for: Llama-2-7b-hf 4,096",
                 "! does not fit the 85.5 GB", "Scans are priced at the peak"):  # fmt: skip
        assert word in out


def test_weights_that_do_not_fit_are_reported(capsys: Captured, tmp_path: Path) -> None:
    figure = tmp_path / "long.svg"
    # 51.57e9 parameters of 2 B are 103 GB of the 85.5 GB.
    words = ["--models", "jamba-v0.1,zamba2-7b", "--contexts", "4k,8K,1M", "--figure", str(figure)]
    assert main(["study", "long-context", *words]) == 0
    out = capsys.readouterr().out
    assert "weights do not fit" in out
    assert "its weights alone do not fit the memory" in out
    for context in ("4,096", "8,192", "1,048,576"):
        assert f"\n{context.rjust(9)} " in out
    # Of the two panels with as many as fit.
    assert figure.read_text().count("does not fit: Jamba-v0.1") == 2


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("GQA", ["GQA"]),
        ("state and window", ["state and", "window"]),
        ("Qwen3-Next-80B-A3B-Instruct", ["Qwen3-Next-80B-", "A3B-Instruct"]),
    ],
)
def test_long_names_are_wrapped(name: str, lines: list[str]) -> None:
    assert wrapped(name).splitlines() == lines


def test_no_name_is_cut(study: LongContexts) -> None:
    large = long_contexts(["qwen3-next-80b-a3b-instruct", "jamba-v0.1"], contexts=[1024, 2**20])
    for drawn in (draw_long_contexts(study), draw_long_contexts(large)):
        drawn.canvas.draw()
        edge = drawn.bbox.x1
        texts = [text for axes in drawn.axes for text in axes.texts]
        assert max(text.get_window_extent().x1 for text in texts) <= edge


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--models", "bert-base-uncased"], "must be a decoder"),
        (["--contexts", "4q"], "--contexts must be a whole number, got '4q'"),
        (["--contexts", "k"], "must be a whole number, got 'k'"),
        (["--models", "t5-small"], "must be a decoder"),
        (["--models", "llama-3.1-8c"], "llama-3.1-8c"),
        (["--contexts", "2048,1024"], "rising order"),
        (["--contexts", "0"], "contexts"),
        (["--batch", "0"], "batch_size"),
        (["--on", "h999"], "'h999' is not known"),
        (["--kv-cache", "bf17"], "bf17"),
        (["--figure", "long.gif", "--contexts", "1024"], "cannot draw a '.gif'"),
    ],
)
def test_bad_words(capsys: Captured, words: list[str], said: str) -> None:
    assert main(["study", "long-context", *words]) == 2
    assert said in capsys.readouterr().err


def test_what_the_library_refuses() -> None:
    with pytest.raises(UnsupportedError, match="must be a decoder"):
        long_contexts(["bert-base-uncased"])
    device = mw.hardware("h100-sxm")
    memories = tuple(
        dataclasses.replace(memory, capacity=None, usable=None) for memory in device.memories
    )
    with pytest.raises(InvalidInputError, match="no known capacity"):
        long_contexts(on=dataclasses.replace(device, memories=memories))

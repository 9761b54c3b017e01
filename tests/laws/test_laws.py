"""Laws that hold for every question."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memorywall as mw
from memorywall.core.formats import FORMATS
from memorywall.core.forward import Forward
from memorywall.core.phase import Pass
from memorywall.core.program import Work
from memorywall.passes.fuse import fuse
from tests.toys import (
    DEVICES,
    MARIAN_TOY,
    MODELS,
    SPARSE,
    T5_TOY,
    TOY,
    WHISPER_TOY,
    WINDOWED,
    ask,
    questions,
)

CLOSE: dict[str, Any] = {"rel": 1e-12}
BF16 = FORMATS["bf16"]

# Models that generate, each with what else a question about it says.
GENERATING: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (TOY, {}),
    (WINDOWED, {}),
    (MARIAN_TOY, {"source_len": 5}),
    (T5_TOY, {"source_len": 7}),
    (WHISPER_TOY, {}),
]


@given(questions(), st.sampled_from(DEVICES))
def test_no_prediction_under_the_physical_floor(question: dict[str, Any], device: str) -> None:
    answer = ask(question, device)
    hardware = mw.hardware(device)
    peak = hardware.peaks[answer.conventions["arithmetic"]]
    assert answer.latency_s >= answer.moved_bytes / hardware.bandwidth * (1 - 1e-12)
    assert answer.latency_s >= answer.flops / peak * (1 - 1e-12)
    assert answer.overlapped_s <= answer.bound_s * (1 + 1e-12)
    assert answer.bound_s <= answer.serial_s * (1 + 1e-12)
    assert answer.bound_s <= answer.latency_s * (1 + 1e-12)
    low, high = answer.latency_low_s, answer.latency_high_s
    assert low is not None
    assert high is not None
    assert low <= answer.latency_s <= high
    assert ask(question, device, ceilings="spec").latency_s == answer.bound_s
    assert 0 < answer.mfu <= 1 + 1e-12
    assert 0 < answer.mbu <= 1 + 1e-12


@given(questions(), st.floats(1, 100), st.floats(1, 100))
def test_faster_hardware_is_never_slower(
    question: dict[str, Any], bandwidth: float, peak: float
) -> None:
    slow = mw.hardware("h100-sxm")
    fast = slow.replace(
        bandwidth=slow.bandwidth * bandwidth,
        peaks={dtype: value * peak for dtype, value in slow.peaks.items()},
    )
    assert ask(question, fast).latency_s <= ask(question, slow).latency_s * (1 + 1e-12)


@given(questions())
def test_operators_add_up_to_the_whole(question: dict[str, Any]) -> None:
    answer = ask(question)
    assert sum(op.flops for op in answer.ops) == answer.flops
    moved = sum(op.moved_bytes for op in answer.ops)
    assert moved == (_close(answer.moved_bytes) if _is_sparse(question) else answer.moved_bytes)
    assert sum(op.latency_s for op in answer.ops) == pytest.approx(answer.latency_s, **CLOSE)
    for op in answer.ops:
        moved = op.moved_bytes
        assert sum(op.traffic.values()) == (_close(moved) if _is_sparse(question) else moved)
        assert sum(op.waits.values()) == pytest.approx(op.cost.waiting_s, **CLOSE)
    assert sum(answer.time_shares.values()) == pytest.approx(1)


@given(questions())
def test_scalars_stay_exact_integers(question: dict[str, Any]) -> None:
    answer = ask(question)
    footprint = answer.footprint
    numbers = [answer.flops, footprint.total, footprint.activations]
    if not _is_sparse(question):
        numbers.append(answer.moved_bytes)
    for number in numbers:
        assert type(number) is int


def _is_sparse(question: dict[str, Any]) -> bool:
    return question["model"] in SPARSE


def _close(number: Any) -> Any:
    return pytest.approx(number, **CLOSE)


@given(questions())
def test_fusing_never_adds_bytes_and_keeps_flops(question: dict[str, Any]) -> None:
    fused, unfused = (ask(question, traffic=traffic) for traffic in ("fused", "unfused"))
    assert fused.flops == unfused.flops
    assert fused.moved_bytes < unfused.moved_bytes
    assert fused.footprint.activations <= unfused.footprint.activations
    for role in ("weight", "kv_cache"):
        moved = [sum(op.traffic.get(role, 0) for op in a.ops) for a in (fused, unfused)]
        # Fused attention to latents, in steps, reads their cache once for keys and values.
        latent = role == "kv_cache" and "mla" in fused.conventions
        if latent and question["phase"] == "decode":
            assert moved[0] < moved[1]
        elif not latent:
            assert moved[0] == _close(moved[1])


@given(questions())
def test_fusing_twice_is_fusing_once(question: dict[str, Any]) -> None:
    settled = ask(question).question
    causal = settled.model.causal
    one = Pass(7, step=causal, stacks="decoder" if causal else "encoder")
    once = fuse(settled.model.lower(settled.forward(one)))
    assert fuse(once).work == once.work


@given(questions(), st.integers(2, 5))
def test_more_of_everything_costs_more(question: dict[str, Any], times: int) -> None:
    answer = ask(question)
    for word in {"batch_size", "seq_len", "source_len"} & set(question):
        more = ask(question, **{word: question[word] * times})
        assert more.flops >= answer.flops
        assert more.moved_bytes >= answer.moved_bytes
        assert more.footprint.total >= answer.footprint.total


@given(st.integers(1, 4), st.integers(1, 60), st.sampled_from(GENERATING))
def test_steps_do_the_flops_of_one_prefill(
    batch: int, length: int, model: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    # L steps of one token pair as many tokens as one causal prefill of L, and multiply as much; of
    # an encoder-decoder the first step encodes.
    config, words = model
    steps = mw.analyze(
        config, on="h100-sxm", phase="generate", batch_size=batch, seq_len=0, new_tokens=length,
        **words,
    )  # fmt: skip
    prefill = mw.analyze(
        config, on="h100-sxm", phase="prefill", batch_size=batch, seq_len=length, logits="all",
        **words,
    )  # fmt: skip
    assert steps.flops == prefill.flops
    assert steps.moved_bytes >= prefill.moved_bytes


@given(
    st.integers(0, 50), st.integers(1, 30), st.integers(1, 30),
    st.one_of(st.none(), st.integers(1, 40)),
)  # fmt: skip
def test_pairs_by_counting(past: int, first: int, second: int, window: int | None) -> None:
    def pairs(tokens: int, before: int, *, full: bool = False) -> Any:
        forward = Forward(1, tokens, before, BF16, BF16, BF16, full=full)
        return forward.pairs(True, window)

    reach = window or 10**9
    assert pairs(first, past) == sum(min(past + i, reach) for i in range(1, first + 1))
    assert pairs(first + second, past) == pairs(first, past) + pairs(second, past + first)
    assert pairs(1, past, full=True) == min(past + 1, reach)


@given(
    st.integers(1, 5), st.integers(1, 40), st.integers(1, 30), st.sampled_from(GENERATING),
    st.sampled_from(["spec", "calibrated"]),
)  # fmt: skip
def test_generation_is_a_prefill_and_steps(
    batch: int,
    seq_len: int,
    new_tokens: int,
    model: tuple[dict[str, Any], dict[str, Any]],
    ceilings: str,
) -> None:
    config, words = model
    words = {"on": "h100-sxm", "batch_size": batch, "ceilings": ceilings, **words}
    whole = mw.analyze(config, phase="generate", seq_len=seq_len, new_tokens=new_tokens, **words)
    parts = [mw.analyze(config, phase="prefill", seq_len=seq_len, **words)]
    parts += [
        mw.analyze(config, phase="decode", seq_len=seq_len + step, **words)
        for step in range(1, new_tokens)
    ]
    assert whole.flops == sum(part.flops for part in parts)
    assert whole.moved_bytes == sum(part.moved_bytes for part in parts)
    # The cache is reserved whole from the start.
    most = max(part.footprint.activations for part in parts)
    assert whole.footprint.activations == most
    assert whole.footprint.kv_cache == parts[-1].footprint.kv_cache
    for name in ("latency_s", "overlapped_s", "serial_s"):
        total = sum(getattr(part, name) for part in parts)
        assert getattr(whole, name) == pytest.approx(total, **CLOSE)
    # A predicted call is shared among its operators by their traffic over all steps.
    near = {"rel": 1e-9, "abs": 1e-18} if ceilings == "spec" else {"abs": 0.05 * whole.latency_s}
    for role, share in whole.time_shares.items():
        seconds = sum(part.time_shares.get(role, 0) * part.latency_s for part in parts)
        assert share * whole.latency_s == pytest.approx(seconds, **near)
    for index, op in enumerate(whole.ops):
        assert op.flops == sum(part.ops[index].flops for part in parts)
        assert op.moved_bytes == sum(part.ops[index].moved_bytes for part in parts)
        assert op.count == sum(part.ops[index].count for part in parts)


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_grouped_queries_with_all_heads_are_multi_head(phase: str) -> None:
    grouped = {**TOY, "num_key_value_heads": TOY["num_attention_heads"]}
    multi_head = {key: value for key, value in TOY.items() if key != "num_key_value_heads"}
    answers = [mw.analyze(c, on="h100-sxm", phase=phase).to_dict() for c in (grouped, multi_head)]
    assert answers[0] == answers[1]


@given(questions(), st.data())
@settings(max_examples=60, deadline=None)  # up to 27 questions of up to 40 steps
def test_arrays_answer_like_scalars(question: dict[str, Any], data: st.DataObject) -> None:
    batches = data.draw(st.lists(st.integers(1, 300), min_size=1, max_size=3))
    lengths = data.draw(st.lists(st.integers(1, 5000), min_size=1, max_size=3))
    bandwidths = data.draw(st.lists(st.floats(1e9, 1e13), min_size=1, max_size=3))
    grid = ask(
        question,
        mw.hardware("h100-sxm").replace(bandwidth=bandwidths),
        batch_size=np.array(batches)[:, None, None],
        seq_len=np.array(lengths)[:, None],
    )
    assert np.shape(grid.latency_s) == (len(batches), len(lengths), len(bandwidths))
    for i, batch in enumerate(batches):
        for j, length in enumerate(lengths):
            for k, bandwidth in enumerate(bandwidths):
                point = ask(
                    question, mw.hardware("h100-sxm").replace(bandwidth=bandwidth),
                    batch_size=batch, seq_len=length,
                )  # fmt: skip
                _same(point, grid, (i, j, k))


def _same(point: mw.Analysis, grid: mw.Analysis, at: tuple[int, ...]) -> None:
    names = [
        "flops", "moved_bytes", "arithmetic_intensity", "latency_s", "overlapped_s", "serial_s",
        "tokens_per_s", "mfu", "mbu",
    ]  # fmt: skip
    for name in names:
        assert getattr(grid, name)[at] == pytest.approx(getattr(point, name), **CLOSE)
    for name in ("weights", "kv_cache", "activations", "total"):
        assert getattr(grid.footprint, name)[at] == getattr(point.footprint, name)
    assert np.asarray(grid.bound)[at] == point.bound
    assert np.asarray(grid.fits)[at] == point.fits


@pytest.mark.parametrize("shape", [(100_000,), (70, 900), (3, 1, 20_000), (40, 50, 60)])
def test_blocks_cover_the_grid(shape: tuple[int, ...]) -> None:
    # More points than one block holds: every point is answered, and as it would be by itself.
    rng = np.random.default_rng(7)
    batch = rng.integers(1, 500, shape[:1] + (1,) * (len(shape) - 1))
    length = rng.integers(1, 100_000, shape)
    grid = mw.analyze("gpt2", on="h100-sxm", batch_size=batch, seq_len=length)
    assert np.shape(grid.flops) == shape
    for _ in range(20):
        at = tuple(int(rng.integers(0, n)) for n in shape)
        point = mw.analyze(
            "gpt2", on="h100-sxm", batch_size=int(np.broadcast_to(batch, shape)[at]),
            seq_len=int(length[at]),
        )  # fmt: skip
        _same(point, grid, at)


@given(st.integers(0, 9), st.integers(1, 9), st.integers(0, 9), st.integers(1, 9))
def test_work_adds(f: int, b: int, g: int, c: int) -> None:
    assert Work(f, b) + Work(g, c) == Work(f + g, b + c)
    assert Work(f, b) * 3 == Work(f, b) + Work(f, b) + Work(f, b)
    assert Work(f, b).arithmetic_intensity == f / b


@pytest.mark.parametrize("name", [*MODELS, *SPARSE])
def test_scenarios_pickle(name: str) -> None:
    answer = mw.analyze(name, on="h100-sxm")
    again = mw.analyze_scenario(pickle.loads(pickle.dumps(answer.scenario)))
    assert again.to_dict() == answer.to_dict()

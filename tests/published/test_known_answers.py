"""Answers known from elsewhere, or derived by hand in the comment above them."""

from __future__ import annotations

import pytest

import memorywall as mw
from tests.toys import TOY, WINDOWED, products

LLAMA_2_7B, LLAMA_31_70B = "meta-llama/Llama-2-7b-hf", "meta-llama/Llama-3.1-70B"


@pytest.mark.parametrize(
    ("name", "parameters", "cache_per_token"),
    [
        # The cache of a token: 2 (keys and values) x L x K x H x 2 bytes.
        (LLAMA_2_7B, 6_738_415_616, 524_288),  # 2 x 32 x 32 x 128 x 2
        (LLAMA_31_70B, 70_553_706_496, 327_680),  # 2 x 80 x 8 x 128 x 2
    ],
)
def test_parameters_and_cache(name: str, parameters: int, cache_per_token: int) -> None:
    answer = mw.analyze(name, on="h100-sxm", batch_size=3, seq_len=1000)
    assert answer.parameters == parameters
    assert answer.footprint.kv_cache == 3 * 1000 * cache_per_token
    assert answer.footprint.weights == 2 * parameters


@pytest.mark.parametrize(("name", "tflop"), [(LLAMA_2_7B, 29.262), (LLAMA_31_70B, 295.674)])
def test_prefill_of_2048(name: str, tflop: float) -> None:
    answer = mw.analyze(name, on="h100-sxm", phase="prefill", logits="all", causal="full")
    assert products(answer) / 1e12 == pytest.approx(tflop, abs=5e-4)


def test_prefill_of_2048_by_hand() -> None:
    # A layer of Llama-2-7B: q, k, v, o 4 x 4096^2 and gate, up, down 3 x 4096 x 11008 weights, the
    # head 32000 x 4096; 2 FLOPs a weight and token, and 4 x 4096 for every pair of 2048^2.
    weights = 32 * (4 * 4096**2 + 3 * 4096 * 11008) + 32000 * 4096
    by_hand = 2 * weights * 2048 + 32 * 4 * 4096 * 2048**2
    answer = mw.analyze(LLAMA_2_7B, on="h100-sxm", phase="prefill", logits="all", causal="full")
    assert products(answer) == by_hand == 29_261_612_187_648


@pytest.mark.parametrize("name", [LLAMA_2_7B, LLAMA_31_70B, "gpt2-xl", "Qwen/Qwen3-8B"])
def test_batch_one_decode_does_about_one_flop_per_byte(name: str) -> None:
    # Two FLOPs for every weight of two bytes.
    answer = mw.analyze(name, on="h100-sxm", seq_len=128)
    assert answer.arithmetic_intensity == pytest.approx(1, abs=0.03)
    assert answer.bound == "memory_bound"


def test_gpt2_generates_eight_tokens_from_nothing() -> None:
    # A step's linear layers: 12 (4 x 768^2 + 2 x 768 x 3072) weights and the head's 50257 x 768.
    # Attention: 4 x 768 for each of 12 layers and each position, at 1 + 2 + ... + 8 = 36 positions.
    linear = 2 * (12 * (4 * 768**2 + 2 * 768 * 3072) + 50257 * 768)
    by_hand = 8 * linear + 12 * 4 * 768 * 36
    answer = mw.analyze("gpt2", on="h100-sxm", phase="generate", seq_len=0, new_tokens=8)
    assert products(answer) == by_hand == 1_977_839_616
    assert answer.new_tokens == 8
    # The cache ends with 8 positions: 2 x 12 layers x 768 x 2 bytes each.
    assert answer.footprint.kv_cache == 8 * 2 * 12 * 768 * 2


def test_gpt2_generation_moves_what_the_survey_counts() -> None:
    # 8 bit, unfused; sums over steps at S = 1 ... 8 of what one layer moves:
    #   a projection reads d and d x d weights and d biases and writes d, four of them;
    #   Q K^T reads d and S d and writes 12 S; P V reads 12 S and S d and writes d.
    d = 768
    answer = mw.analyze(
        "gpt2", on="xeon-gold-6242", phase="generate", seq_len=0, new_tokens=8,
        weights="int8", activations="int8", kv_cache="int8", traffic="unfused",
    )  # fmt: skip
    moved = {op.name: op.moved_bytes for op in answer.ops}
    projections = [f"layers.attention.{p}_proj" for p in "qkvo"]
    assert sum(moved[name] for name in projections) == 12 * 8 * 4 * (d * d + 3 * d)
    scores, context = moved["layers.attention.scores"], moved["layers.attention.context"]
    assert scores == context == 12 * (8 * d + 36 * (d + 12))
    assert moved["layers.attention.softmax"] == 12 * 36 * (12 + 12)


# The toy's decode at three positions, in elements of two bytes. A layer, unfused:
#   norm 12; q 4+16+4; k 4+8+2; v 14; rotary 8 and 4; scores 4+6+6; softmax 12; context 6+6+4;
#   o 24; add 12; norm 12; gate and up 4+24+6 each; activation 18; down 6+24+4; add 12  = 300
# fused, with what rides gone and the residual read by o and down:
#   norm 12; q 24; k 14; v 14; scores 4+6; context 6+4; o 4+16+4+4; norm 12; gate 4+24;
#   up 4+24+6; down 6+24+4+4  = 224
# Outside: embedding 4+4; last norm 12; head 4+40+10  = 74.
@pytest.mark.parametrize(
    ("traffic", "elements"), [("unfused", 2 * 300 + 74), ("fused", 2 * 224 + 74)]
)
def test_toy_decode_bytes(traffic: str, elements: int) -> None:
    answer = mw.analyze(TOY, on="h100-sxm", seq_len=3, traffic=traffic)
    assert answer.moved_bytes == 2 * elements


def test_toy_decode_flops() -> None:
    # A layer: norms 4 x 4 each; q, o 2 x 16; k, v 2 x 8; rotary 3 x 4 and 3 x 2; scores and context
    # 2 x 2 x 6; softmax 6 x 6; adds 4 each; gate, up, down 2 x 24; activation 5 x 6.  = 412
    # Outside: norm 16, head 2 x 40.
    answer = mw.analyze(TOY, on="h100-sxm", seq_len=3)
    assert answer.flops == 2 * 412 + 96
    assert isinstance(answer.flops, int)


def test_toy_footprint() -> None:
    # Weights: 10 x 4 embedding and head each; a layer 16+8+8+16 + 3 x 24 + two norms; one norm.
    # Cache: 2 x 2 layers x 3 positions x 2.
    # Alive, unfused: at the activation residual 4, gate 6, up 6, product 6  = 22 elements.
    # Fused, gate and up stay on chip: residual 4 and 6 at down, and 4 more written.
    unfused = mw.analyze(TOY, on="h100-sxm", seq_len=3, traffic="unfused").footprint
    assert unfused.weights == 2 * (2 * 40 + 2 * (48 + 72 + 8) + 4)
    assert unfused.kv_cache == 2 * (2 * 2 * 3 * 2)
    assert unfused.activations == 2 * 22
    # The largest is then the head: its input 4 and its logits 10.
    assert mw.analyze(TOY, on="h100-sxm", seq_len=3).footprint.activations == 2 * 14


def test_toy_latency() -> None:
    # One FLOP/s and one byte/s: every operator takes the longer of its FLOPs and bytes in seconds.
    # Unfused, fp32 (4 bytes an element), all operators move more bytes than they do FLOPs but the
    # activation (30 FLOPs against 72 bytes no), so memory binds throughout: 674 x 4 seconds.
    slow = mw.hardware("h100-sxm").replace(peaks={"fp32": 1.0}, bandwidth=1.0)
    answer = mw.analyze({**TOY, "torch_dtype": "float32"}, on=slow, seq_len=3, traffic="unfused")
    assert answer.latency_s == answer.overlapped_s == 4 * 674
    assert answer.serial_s == 4 * 674 + answer.flops
    assert answer.tokens_per_s == pytest.approx(1 / (4 * 674))
    assert answer.mbu == pytest.approx(1)
    assert answer.mfu == pytest.approx(answer.flops / (4 * 674))


def test_windows_bound_cache_and_pairs() -> None:
    # Two layers of one key-value head of 2: full to 10 positions, and a window of 4.
    answer = mw.analyze(WINDOWED, on="h100-sxm", seq_len=10)
    assert answer.footprint.kv_cache == 2 * 2 * 2 * (10 + 4)
    scores = {op.name: op.flops for op in answer.ops if op.name.endswith("scores")}
    # 2 x H x N for each pair: 10 and 4.
    assert scores == {"layers.attention.scores": 80, "sliding_layers.attention.scores": 32}
    # Prefill of 10: 55 pairs; with the window 1+2+3+4 and six times 4 = 34.
    prefill = mw.analyze(WINDOWED, on="h100-sxm", phase="prefill", seq_len=10)
    scores = {op.name: op.flops for op in prefill.ops if op.name.endswith("scores")}
    assert scores == {
        "layers.attention.scores": 8 * 55,
        "sliding_layers.attention.scores": 8 * 34,
    }


def test_int4_counts_its_scales() -> None:
    # A row of 4096 weights: 4096 x 4 bits and 32 scales of 16 bits = 2112 bytes; 4.125 bits each.
    whole = mw.analyze(LLAMA_2_7B, on="h100-sxm", weights="int4").footprint.weights
    assert whole / mw.model(LLAMA_2_7B).parameters == pytest.approx(4.125 / 8, rel=1e-6)


def test_tied_head_is_resident_once_and_read_twice() -> None:
    answer = mw.analyze("gpt2", on="h100-sxm", logits="last")
    assert answer.footprint.weights == 2 * 124_439_808
    head = next(op for op in answer.ops if op.name == "head.lm_head")
    assert head.traffic["weight"] == 2 * 50257 * 768


def test_no_logits_leave_the_head_resident_but_unread() -> None:
    for name in ("gpt2", "bert-base-uncased", LLAMA_2_7B):
        asked, unasked = (
            mw.analyze(name, on="h100-sxm", logits=logits) for logits in ("last", "none")
        )
        assert unasked.footprint.weights == asked.footprint.weights
        head = [op for op in unasked.ops if op.name.startswith("head.") and op.kind == "gemm"]
        assert head
        assert all(op.flops == 0 and op.moved_bytes == 0 for op in head)

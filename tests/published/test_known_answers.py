"""Answers known from elsewhere, or derived by hand in the comment above them."""

from __future__ import annotations

from typing import Any

import pytest
import transformers

import memorywall as mw
from tests.counting import products
from tests.toys import TOY, WINDOWED

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
    words: dict[str, Any] = {"seq_len": 3, "traffic": "unfused", "ceilings": "spec"}
    answer = mw.analyze({**TOY, "torch_dtype": "float32"}, on=slow, **words)
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


# GPT-2's toy: V 9, D 4, N 2, F 6, one layer, 8 positions; prefill of 3, batch 2, int8 so that
# elements are bytes, unfused, all pairs. Rows 6, pairs of a head 9, keys 6 x 4.
GPT2_TOY = {
    "model_type": "gpt2", "vocab_size": 9, "n_embd": 4, "n_head": 2, "n_layer": 1, "n_inner": 6,
    "n_positions": 8,
}  # fmt: skip


def test_gpt2_toy_prefill_by_hand() -> None:
    answer = mw.analyze(
        GPT2_TOY, on="h100-sxm", phase="prefill", batch_size=2, seq_len=3, causal="full",
        traffic="unfused", weights="int8", activations="int8", kv_cache="int8",
        ceilings="spec",
    )  # fmt: skip
    work = {op.name: (op.flops, op.moved_bytes) for op in answer.ops}
    attention = "layers.attention"
    assert work == {
        # Six words and three positions of four, added into six rows.
        "embeddings.words": (24, 24 + 12 + 24),
        # Seven an element; gain and bias of four.
        "layers.attention_norm": (7 * 24, 24 + 8 + 24),
        f"{attention}.q_proj": (2 * 6 * 16, 24 + 16 + 4 + 24),
        f"{attention}.k_proj": (2 * 6 * 16, 24 + 16 + 4 + 24),
        f"{attention}.v_proj": (2 * 6 * 16, 24 + 16 + 4 + 24),
        # Four heads in all, nine pairs each, 2 x 2 FLOPs a pair.
        f"{attention}.scores": (36 * 4, 24 + 24 + 36),
        f"{attention}.softmax": (36 * 6, 36 + 36),
        f"{attention}.context": (36 * 4, 36 + 24 + 24),
        f"{attention}.o_proj": (2 * 6 * 16, 24 + 16 + 4 + 24),
        "layers.attention_add": (24, 3 * 24),
        "layers.mlp_norm": (7 * 24, 24 + 8 + 24),
        "layers.mlp.up_proj": (2 * 6 * 24, 24 + 24 + 6 + 36),
        "layers.mlp.activation": (9 * 36, 36 + 36),
        "layers.mlp.down_proj": (2 * 6 * 24, 36 + 24 + 4 + 24),
        "layers.mlp_add": (24, 3 * 24),
        "head.norm": (7 * 24, 24 + 8 + 24),
        # The last row of each sequence, and the tied table of words.
        "head.lm_head": (2 * 2 * 36, 8 + 36 + 18),
    }


def test_rows_of_a_table_are_capped_at_the_table() -> None:
    # Forty tokens of a vocabulary of nine read its nine rows, and all eight positions.
    answer = mw.analyze(
        GPT2_TOY, on="h100-sxm", phase="prefill", batch_size=5, seq_len=8, weights="int8",
        activations="int8",
    )  # fmt: skip
    words = answer.ops[0]
    assert words.traffic["weight"] == 4 * (9 + 8)


def test_bert_toy_outside_its_layers_by_hand() -> None:
    config = {
        "model_type": "bert", "vocab_size": 9, "hidden_size": 4, "num_attention_heads": 2,
        "num_hidden_layers": 1, "intermediate_size": 6, "max_position_embeddings": 8,
    }  # fmt: skip
    words: dict[str, Any] = {"batch_size": 2, "seq_len": 3, "traffic": "unfused",
                             "weights": "int8", "activations": "int8"}  # fmt: skip
    answer = mw.analyze(config, on="h100-sxm", **words)
    work = {op.name: (op.flops, op.moved_bytes) for op in answer.ops}
    # Six words, three positions and one type of token; two additions an element.
    assert work["embeddings.words"] == (2 * 24, (6 + 3 + 1) * 4 + 24)
    assert work["embeddings.norm"] == (7 * 24, 24 + 8 + 24)
    # The pooled row of each of two sequences.
    assert work["head.pooler"] == (2 * 2 * 16, 8 + 16 + 4 + 8)
    assert work["head.pooler_activation"] == (8, 16)
    nothing = mw.analyze(config, on="h100-sxm", logits="none", **words)
    assert [op.flops for op in nothing.ops if op.name.startswith("head.pooler")] == [0, 0]


def test_windows_hold_from_the_layer_that_the_config_says() -> None:
    config = {**WINDOWED, "num_hidden_layers": 30, "max_window_layers": 28}
    by_default = {k: v for k, v in config.items() if k != "max_window_layers"}
    listed = {**config, "layer_types": ["full_attention"] * 10 + ["sliding_attention"] * 20}
    for said, layers in (
        (config, [(28, None), (2, 4)]),
        (by_default, [(28, None), (2, 4)]),
        (listed, [(10, None), (20, 4)]),
    ):
        found: Any = mw.model(said).architecture
        assert [(kind.count, kind.attention.window) for kind in found.layers] == layers
    with pytest.raises(mw.MemoryWallError, match="'layer_types' must list one of"):
        mw.model({**config, "layer_types": ["sliding_attention"] * 3})


def test_defaults_are_those_of_transformers() -> None:
    for model_type in ("llama", "mistral", "qwen2", "qwen3", "phi3", "olmo2"):
        theirs = transformers.AutoConfig.for_model(model_type)
        bare = {
            "model_type": model_type, "vocab_size": 9, "hidden_size": 4096, "intermediate_size": 6,
            "num_hidden_layers": 2, "num_attention_heads": 32,
        }  # fmt: skip
        ours: Any = mw.model(bare).architecture
        assert ours.max_positions == theirs.max_position_embeddings
        attention = ours.layers[0].attention
        assert attention.kv_heads == theirs.num_key_value_heads
        head_dim = getattr(theirs, "head_dim", None) or 128
        assert attention.head_dim == head_dim
        window = getattr(theirs, "sliding_window", None)
        if window and not hasattr(theirs, "use_sliding_window"):
            assert ours.traits.windows == (window,)


@pytest.mark.parametrize(
    "change", [{"partial_rotary_factor": 0.5}, {"rope_parameters": {"partial_rotary_factor": 0.5}}]
)
def test_half_of_a_head_is_rotated(change: dict[str, Any]) -> None:
    config = {**TOY, "model_type": "phi3"}
    whole, half = (mw.analyze(c, on="h100-sxm") for c in (config, {**config, **change}))
    rotated = [
        {op.name: op.flops for op in answer.ops if "rotary" in op.name} for answer in (whole, half)
    ]
    assert [2 * flops for flops in rotated[1].values()] == list(rotated[0].values())
    assert mw.model({**config, "partial_rotary_factor": None}).parameters > 0

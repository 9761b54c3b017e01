"""DeepSeek-V4: by hand, and against transformers' class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memorywall as mw
from memorywall.core.errors import InvalidInputError, UnsupportedError
from memorywall.core.formats import FORMATS
from memorywall.core.forward import Forward
from tests import oracle
from tests.asking import analyze_alike
from tests.counting import products
from tests.families.default_configs import default_config

FLASH, PRO = "deepseek-ai/DeepSeek-V4-Flash", "deepseek-ai/DeepSeek-V4-Pro"
BF16 = FORMATS["bf16"]


def weights(d: int, heads: int, rank: int, groups: int, expert: int, count: int) -> dict[str, int]:
    """Weights of the parts of a layer, by hand: H 512, o's rank 1024, an indexer of 64 x 128."""
    query = d * rank + rank + rank * heads * 512
    output = heads * 512 * 1024 + groups * 1024 * d  # each group has heads / groups x 512 inputs
    # A key's projection with its norm, a score of sinks a head, two norms of a layer.
    attention = query + output + d * 512 + 512 + heads + 2 * d
    streams = 2 * (24 * 4 * d + 24 + 3)  # 4 + 4 + 16 weights of 4 streams of D, twice a layer
    experts = (count + 1) * 3 * d * expert + count * d
    # Values and gates of a compressor, a bias by position, a norm.
    run = 2 * d * 512 + 128 * 512 + 512
    overlapping = 2 * d * 2 * 512 + 4 * 2 * 512 + 512
    indexer = 2 * d * 2 * 128 + 4 * 2 * 128 + 128 + rank * 64 * 128 + 64 * d
    return {
        "layer": attention + streams + experts, "run": run, "selected": overlapping + indexer,
        "rest": 2 * 129_280 * d + d + 4 * 4 * d + 4 + 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "sizes", "layers", "runs", "selected", "billions"),
    [
        # Layers 0 and 1 with a window alone, then 21 and 20 by turns. The card says 284B.
        (FLASH, (4096, 64, 1024, 8, 2048, 256), 43, 20, 21, 284.3),
        # Layers 0 and 1 with runs of 128, then 30 and 29 by turns. The card says 1.6T.
        (PRO, (7168, 128, 1536, 16, 3072, 384), 61, 31, 30, 1573.0),
    ],
)
def test_parameters(
    name: str, sizes: tuple[int, ...], layers: int, runs: int, selected: int, billions: float
) -> None:
    part = weights(*sizes)
    every = layers * part["layer"] + runs * part["run"] + selected * part["selected"] + part["rest"]
    assert mw.model(name).parameters == every
    assert every / 1e9 == pytest.approx(billions, abs=0.05)


@pytest.mark.parametrize("phase", ["prefill", "decode", "generate"])
def test_cache_of_the_default_config(phase: str) -> None:
    """20 layers of entries and an indexer's keys, 23 of runs of 128; 43 windows."""
    words: dict[str, Any] = {"new_tokens": 1} if phase == "generate" else {}
    answer = mw.analyze(
        default_config("deepseek_v4"), on="h200-sxm", phase=phase, seq_len=65_536, **words
    )
    selected = 20 * (65_536 // 4) * (512 + 128) * 2
    runs, windows = 23 * (65_536 // 128) * 512 * 2, 43 * 128 * 512 * 2
    assert answer.footprint.kv_cache == selected + runs + windows == 437_125_120
    # Compressors keep values and gates of 8 tokens by two series of 512 and 128, and of 128 of 512.
    state = 20 * 8 * 2 * 2 * (512 + 128) * 2 + 23 * 128 * 2 * 512 * 2
    assert answer.footprint.state == state


def test_cache_in_8_bit() -> None:
    """An indexer's key has an fp32 scale beside its 128 B, as engines keep it."""
    answer = mw.analyze(FLASH, on="h200-sxm", seq_len=1024, kv_cache="fp8")
    assert answer.footprint.kv_cache == 21 * 256 * (512 + 132) + 20 * 8 * 512 + 43 * 128 * 512


def test_decode_at_65536() -> None:
    """Bytes of the cache that a step moves, and products of its attention."""
    answer = mw.analyze(FLASH, on="h200-sxm", seq_len=65_536, batch_size=2)
    moved = sum(op.traffic.get("kv_cache", 0) for op in answer.ops)
    # Read: windows of 128, 512 of 16384 entries and their keys, all 512 entries of runs. Written:
    # a key in each window; the 65536th token completes all runs: an entry in each other layer.
    window, selected = 43 * (128 + 1) * 512, 21 * ((512 + 1) * 512 + (16_384 + 1) * 128)
    assert moved == 2 * 2 * (window + selected + 20 * (512 + 1) * 512)
    attention = sum(op.flops for op in answer.ops if op.kind == "attention")
    # Q K^T and P V of 64 heads of 512, and scores of 64 heads of 128.
    pairs = 2 * 128 + 21 * (128 + 512) + 20 * (128 + 512)
    assert attention == 2 * (pairs * 64 * 4 * 512 + 21 * 16_384 * 64 * 2 * 128)


@given(
    st.integers(0, 90), st.integers(1, 60), st.integers(1, 7),
    st.one_of(st.none(), st.integers(1, 6)),
)  # fmt: skip
def test_entry_pairs_by_counting(past: int, tokens: int, ratio: int, most: int | None) -> None:
    forward = Forward(1, tokens, past, BF16, BF16, BF16)
    seen = [n // ratio for n in range(past + 1, past + tokens + 1)]
    assert forward.entry_pairs(ratio, most) == sum(min(n, most or n) for n in seen)
    assert forward.new_entries(ratio) == seen[-1] - past // ratio
    step = Forward(1, 1, past, BF16, BF16, BF16, step=True)
    assert step.entries(ratio, most) == step.entry_pairs(ratio, most)


SMALL: dict[str, Any] = {
    "model_type": "deepseek_v4", "vocab_size": 11, "hidden_size": 6, "moe_intermediate_size": 5,
    "num_hidden_layers": 4, "num_attention_heads": 4, "head_dim": 8, "q_lora_rank": 3,
    "num_experts_per_tok": 2, "n_routed_experts": 4, "max_position_embeddings": 64,
    "sliding_window": 5, "o_groups": 2, "o_lora_rank": 3, "index_n_heads": 2, "index_head_dim": 6,
    "index_topk": 2, "hc_mult": 2, "hc_sinkhorn_iters": 2, "qk_rope_head_dim": 4,
    "compress_rates": {"compressed_sparse_attention": 2, "heavily_compressed_attention": 3},
}  # fmt: skip
KINDS = ["sliding_attention", "compressed_sparse_attention", "heavily_compressed_attention"]


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    layers = draw(st.integers(1, 5))
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=layers, max_size=layers))
    ratios = [{KINDS[0]: 0, KINDS[1]: 4, KINDS[2]: 128}[kind] for kind in kinds]
    groups = draw(st.integers(1, 3))
    return {
        **SMALL,
        "num_hidden_layers": layers,
        "num_attention_heads": groups * draw(st.integers(1, 2)),
        "o_groups": groups,
        "hc_mult": draw(st.integers(1, 4)),
        "index_topk": draw(st.integers(1, 4)),
        "mlp_bias": draw(st.booleans()),
        "tie_word_embeddings": draw(st.booleans()),
        "scoring_func": draw(st.sampled_from(["sqrtsoftplus", "sigmoid"])),
        "architectures": [draw(st.sampled_from(["DeepseekV4Model", "DeepseekV4ForCausalLM"]))],
        **draw(
            st.sampled_from([{}, {"num_hash_layers": 1}, {"mlp_layer_types": ["moe"] * layers}])
        ),
        **draw(st.sampled_from([{}, {"layer_types": kinds}, {"compress_ratios": [*ratios, 0]}])),
    }


@settings(max_examples=6, deadline=None)
@given(configs(), st.integers(1, 3), st.integers(1, 5))
def test_random_configs(config: dict[str, Any], batch: int, tokens: int) -> None:
    """Parameters, and the products of all pairs under a mask, as transformers computes them."""
    class_name = config["architectures"][0]
    words: dict[str, Any] = {
        "on": "h100-sxm", "batch_size": batch, "seq_len": tokens, "causal": "full",
        "logits": "all",
    }  # fmt: skip
    prefill = analyze_alike(config, phase="prefill", **words)
    assert prefill.parameters == oracle.parameters(config, class_name)
    assert products(prefill) == oracle.prefill_flops(config, class_name, batch, tokens)
    decode = analyze_alike(config, phase="decode", **{**words, "seq_len": 3 * tokens})
    assert products(decode) == oracle.decode_flops(config, class_name, batch, 3 * tokens)


def test_generation_is_a_prefill_and_steps() -> None:
    """Past the window of 5, the 2 selected entries of 2 tokens, and runs of 2 and 3."""
    words: dict[str, Any] = {"on": "h100-sxm", "batch_size": 2}
    whole = mw.analyze(SMALL, phase="generate", seq_len=3, new_tokens=17, **words)
    parts = [mw.analyze(SMALL, phase="prefill", seq_len=3, **words)]
    parts += [mw.analyze(SMALL, phase="decode", seq_len=3 + n, **words) for n in range(1, 17)]
    assert whole.flops == sum(part.flops for part in parts)
    assert whole.moved_bytes == pytest.approx(sum(part.moved_bytes for part in parts), rel=1e-12)
    assert whole.latency_s == pytest.approx(sum(part.latency_s for part in parts), rel=1e-12)
    for index, op in enumerate(whole.ops):
        assert op.flops == sum(part.ops[index].flops for part in parts)


@pytest.mark.parametrize("phase", ["prefill", "decode", "generate"])
def test_grids_are_each_point(phase: str) -> None:
    lengths = np.array([1, 2, 3, 4, 5, 7, 8, 12, 13, 300])
    words: dict[str, Any] = {"on": "h100-sxm", "phase": phase}
    if phase == "generate":
        words["new_tokens"] = 9
    grid = mw.analyze(SMALL, batch_size=3, seq_len=lengths, **words)
    for at, length in enumerate(lengths.tolist()):
        point = mw.analyze(SMALL, batch_size=3, seq_len=length, **words)
        assert np.asarray(grid.footprint.kv_cache)[at] == point.footprint.kv_cache
        for name in ("flops", "moved_bytes", "latency_s"):
            assert getattr(grid, name)[at] == pytest.approx(getattr(point, name), rel=1e-12)


def test_experts_of_4_bits() -> None:
    """``expert_dtype`` fp4 outside the quantisation: experts of 4 bits, 32 under an exponent."""
    answer = mw.analyze(FLASH, on="h200-sxm")
    experts = 43 * 256 * 3 * 4096 * 2048
    # Not quantised are tables, routers, mixtures of streams, compressors' projections, the
    # indexers' weights of heads, and vectors, 2 B each.
    part = weights(4096, 64, 1024, 8, 2048, 256)
    linear = 43 * (
        4096 * 1024 + 1024 * 64 * 512 + 64 * 512 * 1024 + 8 * 1024 * 4096 + 4096 * 512
        + 3 * 4096 * 2048
    ) + 21 * 1024 * 64 * 128  # fmt: skip
    every = 43 * part["layer"] + 20 * part["run"] + 21 * part["selected"] + part["rest"]
    # 8 bits in blocks of 128 x 128, all sizes whole blocks, under exponents of 8 bits.
    expected = experts * 17 // 32 + linear + linear // 128**2 + 2 * (every - experts - linear)
    assert answer.footprint.weights == expected


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"compress_ratios": [4, 4]}, "compress_ratios"),
        ({"compress_ratios": [4, 4, 4, 5]}, "compress_ratios"),
        ({"compress_ratios": [4, 4, 4, "4"]}, "compress_ratios"),
        ({"compress_ratios": 4}, "compress_ratios"),
        ({"layer_types": ["full_attention"] * 4}, "layer_types"),
        ({"mlp_layer_types": ["moe"]}, "mlp_layer_types"),
        ({"compress_rates": [4]}, "compress_rates"),
        ({"compress_rates": {KINDS[1]: 0}}, KINDS[1]),
        ({"o_groups": 3}, "num_attention_heads"),
        ({"index_head_dim": 2}, "index_head_dim"),
        ({"scoring_func": "tanh"}, "scoring_func"),
    ],
)
def test_bad_keys_are_refused(keys: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInputError, match=named):
        mw.model({**SMALL, **keys})


@pytest.mark.parametrize(
    "keys", [{"num_key_value_heads": 2}, {"n_shared_experts": 2}, {"attention_bias": True}]
)
def test_other_classes_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match=next(iter(keys))):
        mw.model({**SMALL, **keys})

"""Conformance vectors of experts and latent attention, each derived by hand above it."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch
import transformers

import memorywall as mw
from memorywall.core.routing import distinct
from tests import oracle
from tests.counting import products
from tests.families.test_experts_against_transformers import SMALL_V3
from tests.toys import TOY

V3, MIXTRAL = "deepseek-ai/DeepSeek-V3", "mistralai/Mixtral-8x7B-v0.1"

# Mixtral: D 4096, F 14336, L 32, N 32, K 8, H 128, V 32000, E 8, k 2. One layer's weights:
# q, o 2 x 4096^2; k, v 2 x 4096 x 1024; router 8 x 4096; an expert 3 x 4096 x 14336.
MIXTRAL_ATTENTION = 2 * 4096**2 + 2 * 4096 * 1024
MIXTRAL_EXPERT = 3 * 4096 * 14_336
MIXTRAL_TABLE = 32_000 * 4096  # of words, and as large the head
MIXTRAL_NORMS = (2 * 32 + 1) * 4096
# Products of one token, except the head: attention, router, two experts.
MIXTRAL_TOKEN = 32 * (MIXTRAL_ATTENTION + 8 * 4096 + 2 * MIXTRAL_EXPERT)

# DeepSeek-V3: D 7168, 61 layers of which 3 dense with F 18432, N 128, R 512, P 64, H 128, V 128,
# queries through 1536; 58 layers of 256 experts of 2048, 8 chosen, and one shared; V 129280.
# q 7168 x 1536 + 1536 x 128 x 192; latent 7168 x 576; keys and values 512 x 128 x 256;
# o 128 x 128 x 7168.
V3_ATTENTION = 7168 * 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 * 128 * 256 + 128 * 128 * 7168
V3_EXPERT = 3 * 7168 * 2048
V3_DENSE = 3 * 7168 * 18_432
V3_TABLE = 129_280 * 7168
V3_NORMS = 61 * (2 * 7168 + 1536 + 512) + 7168
# The eight chosen and the shared one, and the router.
V3_TOKEN = 61 * V3_ATTENTION + 3 * V3_DENSE + 58 * (9 * V3_EXPERT + 256 * 7168)


def moved(answer: mw.Analysis, role: str) -> float:
    return sum(float(op.traffic.get(role, 0)) for op in answer.ops)


def test_parameters_and_those_that_a_token_uses() -> None:
    # All: both tables, norms, attention, router and all experts. Active: two of eight experts, and
    # of the tables the head alone.
    every = MIXTRAL_TOKEN + 32 * 6 * MIXTRAL_EXPERT + 2 * MIXTRAL_TABLE + MIXTRAL_NORMS
    model = mw.model(MIXTRAL)
    assert model.parameters == every == 46_702_792_704
    active = every - 32 * 6 * MIXTRAL_EXPERT - MIXTRAL_TABLE  # a token reads a row of its table
    assert model.active_parameters == active == 12_748_853_248
    # 256 experts of which 248 are not chosen, in 58 layers.
    every = V3_TOKEN + 58 * 248 * V3_EXPERT + 2 * V3_TABLE + V3_NORMS
    model = mw.model(V3)
    assert model.parameters == every == 671_026_404_352
    assert model.active_parameters == every - 58 * 248 * V3_EXPERT - V3_TABLE == 36_625_603_584


@pytest.mark.parametrize(
    ("name", "form", "per_token"),
    [
        (MIXTRAL, None, 131_072),  # 2 x 32 layers x 8 heads x 128 x 2 bytes
        (V3, "auto", 70_272),  # 61 layers x (512 + 64) x 2 bytes
        (V3, "reexpanded", 70_272),
        # Keys of 192 and values of 128 for each of 128 heads: 71 times as much.
        (V3, "expanded", 61 * 128 * (192 + 128) * 2),
    ],
)
def test_cache_of_a_token(name: str, form: str | None, per_token: int) -> None:
    answer = mw.analyze(name, on="h100-sxm", batch_size=3, seq_len=1000, kv_cache="bf16", mla=form)
    assert answer.footprint.kv_cache == 3 * 1000 * per_token


@pytest.mark.parametrize(
    ("name", "token", "table", "per_pair", "tflop"),
    [
        # 4 x 128 FLOPs a pair and head: Q K^T and P V. Last row of the head, then all rows.
        (MIXTRAL, MIXTRAL_TOKEN, MIXTRAL_TABLE, 32 * 32 * 4 * 128, (53.88, 54.42)),
        # Q K^T over 192 elements, P V over 128.
        (V3, V3_TOKEN, V3_TABLE, 61 * 128 * 2 * (192 + 128), (167.18, 170.97)),
    ],
)
def test_prefill_of_2048(
    name: str, token: int, table: int, per_pair: int, tflop: tuple[float, float]
) -> None:
    by_hand = 2 * token * 2048 + per_pair * 2048**2
    for logits, rows, printed in zip(("last", "all"), (1, 2048), tflop, strict=True):
        answer = mw.analyze(name, on="h100-sxm", phase="prefill", causal="full", logits=logits)
        assert products(answer) == by_hand + 2 * table * rows
        assert products(answer) / 1e12 == pytest.approx(printed, abs=0.005)


def test_decode_at_2048() -> None:
    by_hand = 2 * (MIXTRAL_TOKEN + MIXTRAL_TABLE) + 32 * 32 * 4 * 128 * 2048
    assert products(mw.analyze(MIXTRAL, on="h100-sxm")) == by_hand
    assert by_hand / 1e9 == pytest.approx(26.57, abs=0.005)


@pytest.mark.parametrize(
    ("form", "by_hand", "gflop"),
    [
        # Only the new token is projected to keys and values; 192 and 128 elements a pair.
        ("expanded", 61 * 128 * 2 * (192 + 128) * 2048, 83.48),
        # As many products for the two projections of the query and the output; 576 and 512 a pair.
        ("absorbed", 61 * 128 * 2 * (576 + 512) * 2048, 108.05),
        # 2047 positions more are projected to keys and values again.
        (
            "reexpanded",
            61 * (128 * 2 * (192 + 128) * 2048 + 2 * 512 * 128 * 256 * 2047),
            4273.32,
        ),
    ],
)
def test_decode_of_latents_at_2048(form: str, by_hand: int, gflop: float) -> None:
    answer = mw.analyze(V3, on="h100-sxm", mla=form)
    assert products(answer) == 2 * (V3_TOKEN + V3_TABLE) + by_hand
    assert products(answer) / 1e9 == pytest.approx(gflop, abs=0.005)


def test_the_form_is_by_phase_unless_it_is_named() -> None:
    for phase, form in (("decode", "absorbed"), ("prefill", "reexpanded")):
        by_default, named = (
            mw.analyze(V3, on="h100-sxm", phase=phase, mla=mla) for mla in ("auto", form)
        )
        assert by_default.flops == named.flops
        assert by_default.moved_bytes == named.moved_bytes


# The least traffic of a decode step at 2048 in bf16: every used weight except the table of words,
# and the cache once. Of 8 experts 64 tokens touch 8 (1 - 0.75^64), of 256 256 (1 - (31/32)^64).
@pytest.mark.parametrize(
    ("name", "batch", "experts", "gigabytes"),
    [(MIXTRAL, 1, 2, 25.8), (MIXTRAL, 64, 8 * (1 - 0.75**64), 110.3),
     (V3, 1, 8, 73.4), (V3, 64, 256 * (1 - (31 / 32) ** 64), 1178)],
)  # fmt: skip
def test_least_bytes_of_a_decode_step(
    name: str, batch: int, experts: float, gigabytes: float
) -> None:
    if name == MIXTRAL:
        plain = MIXTRAL_TOKEN - 32 * 2 * MIXTRAL_EXPERT + MIXTRAL_TABLE + MIXTRAL_NORMS
        used, cache, width = plain + 32 * experts * MIXTRAL_EXPERT, 131_072, 4096
    else:
        plain = V3_TOKEN - 58 * 8 * V3_EXPERT + V3_TABLE + V3_NORMS
        used, cache, width = plain + 58 * experts * V3_EXPERT, 70_272, 7168
    answer = mw.analyze(name, on="h100-sxm", batch_size=batch, weights="bf16", kv_cache="bf16")
    # Beside: a row of the table of words for each token, and its new entry of the cache.
    assert moved(answer, "weight") == pytest.approx(2 * (used + batch * width), rel=1e-12)
    assert moved(answer, "kv_cache") == batch * cache * (2048 + 1)
    least = 2 * used + batch * 2048 * cache
    assert least / 1e9 == pytest.approx(gigabytes, abs=0.05 if gigabytes < 1000 else 0.5)
    assert answer.moved_bytes >= least


def test_distinct_experts_by_enumeration() -> None:
    # Two of four, three tokens: all 6^3 choices.
    pairs = [set(pair) for pair in combinations(range(4), 2)]
    choices = [(a, b, c) for a in pairs for b in pairs for c in pairs]
    mean = sum(len(a | b | c) for a, b, c in choices) / len(choices)
    assert distinct(4, 2, 3, "uniform") == pytest.approx(mean) == 3.5


@pytest.mark.parametrize(("experts", "chosen"), [(8, 2), (256, 8), (16, 1), (8, 7), (4, 4)])
def test_distinct_experts(experts: int, chosen: int) -> None:
    for routing in ("uniform", "skewed"):
        counts = [float(distinct(experts, chosen, n, routing)) for n in (1, 2, 8, 64, 10**6)]
        assert counts[0] == pytest.approx(chosen)  # one token touches what it chooses
        assert counts == sorted(counts)
        assert counts[-1] == pytest.approx(experts)
    # Popular experts are chosen again and again.
    if chosen < experts:
        assert distinct(experts, chosen, 8, "skewed") < distinct(experts, chosen, 8, "uniform")


def test_skewed_popularity_by_hand() -> None:
    # Four experts, one chosen: ranks to the power -0.8 are 1, 0.57435, 0.41524, 0.32988, together
    # 2.31947; shares 0.43113, 0.24762, 0.17902, 0.14222. Two tokens touch the sum of 1 - (1 - p)^2
    # = 0.67639 + 0.43392 + 0.32599 + 0.26422.
    assert distinct(4, 1, 2, "skewed") == pytest.approx(1.70052, abs=2e-5)
    # Three of four: the first is chosen always (3 x 0.43113 > 1), two are left for three ranks
    # 0.57435, 0.41524, 0.32988 of 1.31947: 0.87058, 0.62941, 0.50002. Two tokens:
    # 1 + 0.98325 + 0.86266 + 0.75002.
    assert distinct(4, 3, 2, "skewed") == pytest.approx(3.59593, abs=2e-5)


def test_routing_changes_bytes_and_nothing_else() -> None:
    uniform, skewed = (
        mw.analyze(V3, on="h100-sxm", batch_size=32, routing=routing)
        for routing in ("uniform", "skewed")
    )
    assert skewed.moved_bytes < uniform.moved_bytes
    assert skewed.flops == uniform.flops
    assert skewed.footprint == uniform.footprint
    assert uniform.conventions["routing"] == "uniform"
    assert "routing" not in mw.analyze("gpt2", on="h100-sxm").conventions


def test_grids_and_points_agree() -> None:
    import numpy as np

    batch = np.array([1.0, 7, 64])
    for routing in ("uniform", "skewed"):
        grid: Any = mw.analyze(V3, on="h100-sxm", batch_size=batch, routing=routing)
        for i, size in enumerate(batch):
            point = mw.analyze(V3, on="h100-sxm", batch_size=int(size), routing=routing)
            assert grid.moved_bytes[i] == pytest.approx(point.moved_bytes, rel=1e-12)
            assert grid.flops[i] == point.flops


def test_dbrx_prefill_by_hand() -> None:
    # D 6144, 40 layers, 48 heads of 128, 8 of keys and values; 4 of 16 experts of 10752; V 100352.
    layer = 2 * 6144**2 + 2 * 6144 * 1024 + 16 * 6144 + 4 * 3 * 6144 * 10_752
    by_hand = 2 * 40 * layer * 512 + 40 * 48 * 4 * 128 * 512**2 + 2 * 100_352 * 6144
    answer = mw.analyze(
        "databricks/dbrx-base", on="h100-sxm", phase="prefill", seq_len=512, causal="full"
    )
    assert products(answer) == by_hand


# A toy: D 4, two layers of 1 of 2 experts of 6 each, one head of 2 for keys and values, V 10.
TOY_MOE: dict[str, Any] = {
    **TOY, "model_type": "mixtral", "num_local_experts": 2, "num_experts_per_tok": 1,
}  # fmt: skip


def test_toy_experts_by_hand() -> None:
    # Three tokens touch 2 (1 - 1/2^3) = 1.75 experts of two. int8, so that elements are bytes.
    answer = mw.analyze(
        TOY_MOE, on="h100-sxm", phase="prefill", seq_len=3, traffic="unfused", weights="int8",
        activations="int8", kv_cache="int8",
    )  # fmt: skip
    work = {op.name.removeprefix("layers.mlp."): op for op in answer.ops}
    # Two layers each. Router: 2 x 3 x 4 x 2 FLOPs; reads 12 and 8, writes 6.
    assert (work["router"].flops, work["router"].moved_bytes) == (2 * 48, 2 * 26)
    # Softmax 6 and a comparison for each of six logits; reads 6, writes 3.
    assert (work["scores"].flops, work["scores"].moved_bytes) == (2 * 42, 2 * 9)
    # Up and gate: 2 x 3 x 4 x 12; reads 12, 1.75 x 48 weights, writes 36.
    up, down = work["experts.gate_up_proj"], work["experts.down_proj"]
    assert (up.flops, up.moved_bytes) == (2 * 288, 2 * (12 + 84 + 36))
    # Down: 2 x 3 x 6 x 4; reads 18, 1.75 x 24, writes 12.
    assert (down.flops, down.moved_bytes) == (2 * 144, 2 * (18 + 42 + 12))
    # Silu 4 and a product on 18; reads 36, writes 18. Weighting and adding: 2 on each of 12.
    activation, combine = work["experts.activation"], work["combine"]
    assert (activation.flops, activation.moved_bytes) == (2 * 90, 2 * 54)
    assert (combine.flops, combine.moved_bytes) == (2 * 24, 2 * (12 + 3 + 12))
    # All experts are resident: 72 each, two in each of two layers.
    dense = mw.analyze(TOY, on="h100-sxm", weights="int8").footprint.weights
    assert answer.footprint.weights == dense + 2 * 72 + 2 * 8


def test_chunks_bound_what_is_attended_to() -> None:
    # Chunks of four, one layer of one head of two; the full layer has no rotary positions.
    config = {
        "model_type": "llama4_text", "vocab_size": 9, "hidden_size": 2, "num_hidden_layers": 2,
        "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 2, "intermediate_size": 3,
        "num_local_experts": 2, "attention_chunk_size": 4, "no_rope_layer_interval": 2,
        "max_position_embeddings": 64,
    }  # fmt: skip
    scores = {}
    for phase in ("prefill", "decode", "generate"):
        answer = mw.analyze(config, on="h100-sxm", phase=phase, seq_len=10)
        scores[phase] = {
            op.name.partition(".")[0]: op.flops for op in answer.ops if op.name.endswith("scores")
            and "attention" in op.name
        }  # fmt: skip
    # Prefill of 10: 1+2+3+4 twice, and 1+2, of four FLOPs; decode: the second of its chunk.
    assert scores["prefill"] == {"chunked_layers": 4 * 23, "unrotated_layers": 4 * 55}
    assert scores["decode"] == {"chunked_layers": 4 * 2, "unrotated_layers": 4 * 10}
    # 127 steps at 11 ... 137: 3, 4, then 31 chunks of ten pairs, then 1 (137 = 34 x 4 + 1).
    steps = 3 + 4 + 31 * 10 + 1
    assert scores["generate"]["chunked_layers"] == 4 * (23 + steps)
    # The cache holds no more than a chunk: keys and values of two, two bytes each.
    answer = mw.analyze(config, on="h100-sxm", seq_len=10)
    assert answer.footprint.kv_cache == 2 * 2 * 2 * (4 + 10)


def test_cache_is_as_large_as_that_of_transformers() -> None:
    model = oracle.build(SMALL_V3, "DeepseekV3ForCausalLM")
    past = transformers.DynamicCache(config=model.config)
    ids = torch.ones(3, 7, dtype=torch.long, device="meta")
    with torch.no_grad():
        model(input_ids=ids, past_key_values=past, use_cache=True)
    held = sum(layer.keys.numel() + layer.values.numel() for layer in past.layers)
    # Two layers, 3 x 7 positions, latents of 6 and rotated keys of 4; bf16 is two bytes.
    assert held == 2 * 21 * (6 + 4)
    answer = mw.analyze(SMALL_V3, on="h100-sxm", batch_size=3, seq_len=7, kv_cache="bf16")
    assert answer.footprint.kv_cache == 2 * held
    # Keys of 4 + 4 and values of 3 for each of four heads, as transformers 4 held them.
    expanded = mw.analyze(
        SMALL_V3, on="h100-sxm", batch_size=3, seq_len=7, kv_cache="bf16", mla="expanded"
    )
    assert expanded.footprint.kv_cache == 2 * 2 * 21 * 4 * (8 + 3)


@pytest.mark.parametrize("name", ["deepseek-ai/DeepSeek-V2-Lite", MIXTRAL])
def test_generation_is_a_prefill_and_steps(name: str) -> None:
    words: dict[str, Any] = {"on": "h100-sxm", "batch_size": 5}
    whole = mw.analyze(name, phase="generate", seq_len=30, new_tokens=7, **words)
    parts = [mw.analyze(name, phase="prefill", seq_len=30, **words)]
    parts += [mw.analyze(name, phase="decode", seq_len=30 + step, **words) for step in range(1, 7)]
    assert whole.flops == sum(part.flops for part in parts)
    assert whole.moved_bytes == pytest.approx(sum(p.moved_bytes for p in parts), rel=1e-12)
    assert whole.latency_s == pytest.approx(sum(p.latency_s for p in parts), rel=1e-12)
    # A prefill expands latents before it attends, a step after: operators meet by their names.
    costs = {op.name: 0.0 for op in whole.ops}
    for part in parts:
        for op in part.ops:
            costs[op.name] += float(op.moved_bytes)
    for op in whole.ops:
        assert op.moved_bytes == pytest.approx(costs[op.name], rel=1e-12)


def test_other_forms_of_a_config_are_refused_or_named() -> None:
    config = dict(mw.model(V3).config)
    with pytest.raises(mw.MemoryWallError, match="'num_key_value_heads'"):
        mw.model({**config, "num_key_value_heads": 8})
    with pytest.raises(mw.MemoryWallError, match="'num_experts_per_tok'"):
        mw.model({**config, "num_experts_per_tok": 300})
    for name, said in ((V3, True), ("zai-org/GLM-4.5", True), (MIXTRAL, False)):
        notes = mw.model(name).architecture.notes
        assert any("multi-token prediction layers" in note for note in notes) == said
    with pytest.raises(mw.MemoryWallError, match="'moe_layer_freq' is 2"):
        mw.model({**config, "moe_layer_freq": 2})
    uneven = {**TOY_MOE, "model_type": "hunyuan_v1_moe", "num_experts": 4, "moe_topk": [1, 2]}
    with pytest.raises(mw.MemoryWallError, match="must be the same in all layers"):
        mw.model(uneven)
    words: list[dict[str, Any]] = [{"routing": "guessed"}, {"mla": "guessed"}]
    for word in words:
        with pytest.raises(mw.MemoryWallError, match="guessed"):
            mw.analyze(V3, on="h100-sxm", **word)

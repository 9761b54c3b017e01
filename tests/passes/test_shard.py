"""Programs of one device of a layout, by hand arithmetic."""

from __future__ import annotations

from typing import Any

import pytest

import memorywall as mw
from memorywall.core.layout import Layout
from memorywall.core.program import Program

LLAMA = "llama-3.1-70b"  # 80 layers, 64 heads, 8 of keys and values, 8192 wide, 28672 inside
DEEPSEEK = "deepseek-r1"  # 58 layers of 256 experts, 3 dense ones, 128 heads, 7168 wide
BATCH = 64


def ops(name: str, **words: Any) -> dict[str, list[Any]]:
    """Return the rows of a decode step by class of operator."""
    answer = mw.analyze(
        name, on="b200-sxm", phase="decode", batch=BATCH, seq=1024, ceilings="spec", **words
    )
    found: dict[str, list[Any]] = {}
    for op in answer.ops:
        found.setdefault(op.kind, []).append(op)
    return found


def total(rows: list[Any]) -> float:
    return float(sum(row.flops for row in rows))


def test_products_and_attention_are_divided_by_tensor() -> None:
    whole, part = ops(LLAMA), ops(LLAMA, tensor=8)
    assert total(part["gemm"]) * 8 == total(whole["gemm"])
    assert total(part["attention"]) * 8 == total(whole["attention"])
    assert total(part["norm"]) == total(whole["norm"])  # every device has all rows


def test_heads_of_keys_and_values_are_copied_where_there_are_fewer() -> None:
    part = ops(LLAMA, tensor=16)
    (keys,) = [row for row in part["gemm"] if row.name.endswith("k_proj")]
    assert keys.flops == 80 * 2 * BATCH * 8192 * 128  # one head of the eight, on two devices each


def test_two_sums_a_layer_one_of_words_and_one_gather_of_their_scores() -> None:
    part = ops(LLAMA, tensor=8)
    runs = {row.name.rpartition(".")[2]: 0 for row in part["collective"]}
    for row in part["collective"]:
        runs[row.name.rpartition(".")[2]] += row.count
    assert runs == {"all_reduce": 2 * 80 + 1, "all_gather": 1}


def test_memory_of_one_device() -> None:
    words: dict[str, Any] = {"on": "b200-sxm", "phase": "decode", "batch": BATCH, "seq": 1024}
    one, eight, sixteen = (
        mw.analyze(LLAMA, **words, tensor=tensor).footprint for tensor in (1, 8, 16)
    )
    assert eight.kv_cache * 8 == one.kv_cache
    assert sixteen.kv_cache == eight.kv_cache  # each of the eight heads is on two devices
    norms = (2 * 80 + 1) * 8192 * 2  # which every device has whole
    assert (eight.weights - norms) * 8 == one.weights - norms


def test_experts_are_divided_whole_or_within() -> None:
    whole = ops(DEEPSEEK)
    for layout in ({"tensor": 8}, {"tensor": 8, "expert": 8}, {"tensor": 8, "expert": 2}):
        part = ops(DEEPSEEK, **layout)
        own, all_of_it = (
            total([row for row in rows["gemm"] if ".experts." in row.name])
            for rows in (part, whole)
        )
        assert own * 8 == all_of_it


def test_experts_and_the_shared_one_beside_them_are_reduced_together() -> None:
    part = ops(DEEPSEEK, tensor=8)
    layers = [row for row in part["collective"] if row.name.startswith("layers.")]
    assert sum(row.count for row in layers) == 2 * 58


def test_attention_data_attends_to_a_part_of_the_sequences() -> None:
    whole, part = ops(DEEPSEEK), ops(DEEPSEEK, attention_data=8, expert=8)
    assert total(part["attention"]) * 8 == total(whole["attention"])
    experts, all_of_them = (
        total([row for row in rows["gemm"] if ".experts." in row.name]) for rows in (part, whole)
    )
    assert experts * 8 == all_of_them  # of the rows of all devices
    names = {row.name.rpartition(".")[2] for row in part["collective"]}
    assert names == {"all_gather", "reduce_scatter"}


def test_latents_are_on_every_device_whole() -> None:
    words: dict[str, Any] = {"on": "b200-sxm", "phase": "decode", "batch": BATCH, "seq": 1024}
    one, eight = (mw.analyze(DEEPSEEK, **words, tensor=n).footprint for n in (1, 8))
    assert eight.kv_cache == one.kv_cache
    spread = mw.analyze(DEEPSEEK, **words, attention_data=8).footprint
    assert spread.kv_cache * 8 == one.kv_cache


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        (LLAMA, {"tensor": 7}, "tensor must divide the 64 heads of the model among devices, got 7"),
        ("gpt2-xl", {"tensor": 2}, "tensor must divide the 25 heads"),
        (DEEPSEEK, {"tensor": 8, "expert": 3}, "expert must divide the 8 devices, got 3"),
        (
            "mixtral-8x7b-v0.1", {"attention_data": 16, "expert": 16},
            "expert must be at most the 8 experts of a layer, got 16",
        ),
    ],
)  # fmt: skip
def test_layouts_that_do_not_divide(name: str, words: dict[str, Any], said: str) -> None:
    with pytest.raises(mw.MemoryWallError, match=said):
        mw.analyze(name, on="b200-sxm", phase="decode", **words)


def test_one_device_has_the_program_itself() -> None:
    from memorywall.passes.shard import shard

    program = Program(())
    assert shard(program, Layout()) is program


def test_phases_add_up_over_devices() -> None:
    for phase in ("prefill", "decode", "generate"):
        words: dict[str, Any] = {"on": "h100-sxm", "phase": phase, "seq": 512}
        one, two = (mw.analyze("llama-3.1-8b", **words, tensor=n) for n in (1, 2))
        assert two.flops < 0.52 * one.flops
        assert two.bound_s < 0.52 * one.bound_s
        assert two.latency_s > two.bound_s
        assert float(two.cost.network_bound_s) > 0
        assert sum(float(op.latency_s) for op in two.ops) == pytest.approx(float(two.latency_s))
        assert "over 2 devices (tensor 2)" in str(two)

"""Small models with scans, counted by hand: FLOPs, bytes and state of a pass and of a step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rich.console import Console

import memorywall as mw
from memorywall.core.calibration import Calibration, Curve
from memorywall.report.table import footprint_line, show_analysis
from tests.toys import TOY

# V 10, D 4, C 8, N 3, R 2, W 4, two layers.
MAMBA: dict[str, Any] = {
    "model_type": "mamba",
    "vocab_size": 10,
    "hidden_size": 4,
    "num_hidden_layers": 2,
    "state_size": 3,
    "time_step_rank": 2,
    "torch_dtype": "bfloat16",
}
# V 10, D 4, two heads of 4, N 3, one group, W 4, chunks of 4, two layers.
MAMBA2: dict[str, Any] = {
    "model_type": "mamba2",
    "vocab_size": 10,
    "hidden_size": 4,
    "num_hidden_layers": 2,
    "num_heads": 2,
    "head_dim": 4,
    "state_size": 3,
    "n_groups": 1,
    "chunk_size": 4,
    "torch_dtype": "bfloat16",
}


def ask(config: dict[str, Any], phase: str, length: Any = 5, **words: Any) -> mw.Analysis:
    words = {"on": "h100-sxm", "batch_size": 2, **words}
    return mw.analyze(config, phase=phase, seq_len=length, **words)


def total(answer: mw.Analysis, kind: str) -> tuple[Any, Any]:
    """Return FLOPs and bytes of all operators of a kind."""
    ops = [op for op in answer.ops if op.kind == kind]
    return sum(op.flops for op in ops), sum(op.moved_bytes for op in ops)


@pytest.mark.parametrize("traffic", ["fused", "unfused"])
def test_a_selective_scan(traffic: str) -> None:
    # A row and channel takes 7 N + 12 = 33, of 10 rows, 8 channels and 2 layers. A layer reads u,
    # steps and gate and writes y, 80 numbers each, B and C, 10 x 6, bias, A and D, 8 + 24 + 8, two
    # bytes each; it writes the state, 2 x 8 x 3 numbers of four bytes.
    flops, moved = total(ask(MAMBA, "prefill", traffic=traffic), "scan")
    assert flops == 2 * 10 * 8 * 33
    assert moved == 2 * ((4 * 80 + 60 + 40) * 2 + 192)
    # A step has two rows, and reads the state too.
    flops, moved = total(ask(MAMBA, "decode", traffic=traffic), "scan")
    assert flops == 2 * 2 * 8 * 33
    assert moved == 2 * ((4 * 16 + 12 + 40) * 2 + 2 * 192)


def test_a_scan_by_heads() -> None:
    # A step takes a head 5 P N + 3 P + 6 = 78: two rows, two heads, two layers.
    flops, moved = total(ask(MAMBA2, "decode", traffic="unfused"), "scan")
    assert flops == 2 * 2 * 2 * 78
    # x with B and C, 14 numbers, 2 steps and 8 outputs a row; bias, A and D of 2 heads; the state,
    # 2 x 2 x 4 x 3 numbers of four bytes, read and written.
    assert moved == 2 * ((2 * (14 + 2 + 8) + 6) * 2 + 2 * 192)
    # Five tokens are chunks of 4 and 1: 10 + 1 pairs. A token takes a head 4 P N + 6 P + 9 = 81; a
    # pair 2 N for the group and 2 P + 3 a head, 6 + 22; a chunk 2 P N + 1 = 25 a head.
    flops, moved = total(ask(MAMBA2, "prefill", traffic="unfused"), "scan")
    assert flops == 2 * 2 * (5 * 2 * 81 + 11 * 28 + 2 * 2 * 25)
    assert moved == 2 * ((10 * (14 + 2 + 8) + 6) * 2 + 192)
    # All tokens of a chunk with all: 16 + 1 pairs.
    flops, _ = total(ask(MAMBA2, "prefill", causal="full"), "scan")
    assert flops == 2 * 2 * (5 * 2 * 81 + 17 * 28 + 2 * 2 * 25)


def test_a_short_convolution() -> None:
    # 2 W an element: 10 rows of 8 channels, then two, in two layers. A step reads and writes its
    # window, 2 x 8 x 4 numbers, and the weight and bias, 8 x 5; fused, the activation's output is
    # written instead of its output.
    assert total(ask(MAMBA, "prefill"), "conv")[0] == 2 * 8 * 80
    assert total(ask(MAMBA, "decode"), "conv") == (2 * 8 * 16, 2 * 2 * (2 * 16 + 40 + 2 * 64))


def test_state_is_as_large_at_any_length() -> None:
    # A layer: 2 x 8 x 3 numbers of four bytes and a window of 2 x 8 x 4 of two.
    for length in (1, 7, 100_000):
        footprint = ask(MAMBA, "decode", length).footprint
        assert footprint.state == 2 * (192 + 128)
        assert footprint.kv_cache == 0
        assert footprint.total == footprint.weights + footprint.state + footprint.activations
    grid = ask(MAMBA, "decode", np.array([1, 9]), batch_size=np.array([[2], [4]])).footprint.state
    assert np.broadcast_to(grid, (2, 2)).tolist() == [[640, 640], [1280, 1280]]


def test_the_format_of_state_is_asked_for() -> None:
    assert ask(MAMBA, "decode").conventions["state"] == "fp32"
    halved = ask(MAMBA, "decode", state="bf16")
    assert halved.conventions["state"] == "bf16"
    assert halved.footprint.state == 2 * (96 + 128)  # the windows stay as they are
    # fp32 activations: windows of four bytes.
    assert ask(MAMBA, "decode", activations="fp32").footprint.state == 2 * (192 + 256)
    with pytest.raises(mw.MemoryWallError, match="number format"):
        ask(MAMBA, "decode", state="bf17")


def test_state_is_shown_where_there_is_some() -> None:
    answer = ask(MAMBA, "decode")
    assert "state 640 B" in footprint_line(answer.footprint)
    assert answer.to_dict()["footprint"]["state"] == 640
    console = Console(record=True, width=200)
    show_analysis(answer, console)
    assert "state fp32" in console.export_text()
    dense = ask(TOY, "decode")
    assert "state" not in footprint_line(dense.footprint)
    assert "state" not in dense.to_dict()["footprint"]
    assert "state" not in dense.conventions


def test_a_generation_is_a_prefill_and_its_steps() -> None:
    whole = ask(MAMBA2, "generate", 5, new_tokens=4)
    parts = [ask(MAMBA2, "prefill", 5), *(ask(MAMBA2, "decode", n) for n in (6, 7, 8))]
    assert whole.flops == sum(part.flops for part in parts)
    assert whole.moved_bytes == sum(part.moved_bytes for part in parts)
    assert whole.footprint.state == parts[-1].footprint.state


def test_a_calibration_takes_a_scan_for_a_copy() -> None:
    names = ("linear", "copy", "add", "rmsnorm", "gelu")
    curves = {(name, "bf16"): Curve(name, "bf16", (1.0,), (1.0,)) for name in names}
    here = mw.hardware("h100-sxm").replace(
        peaks={"bf16": 1e12}, calibration=Calibration(curves, {}, {}, points=1)
    )
    answer = ask(MAMBA, "decode", on=here)
    assert answer.prediction is not None
    # A second an element, and a copy moves an element of two bytes twice: the bytes over four. The
    # scan's are those above; the convolution, not fused, is the same with its own output.
    assert answer.prediction.by_class["scan"] == 2 * ((4 * 16 + 12 + 40) * 2 + 2 * 192) / 4
    assert answer.prediction.by_class["conv"] == 2 * 2 * (2 * 16 + 40 + 2 * 64) / 4
    assert any("Scans" in note for note in answer.notes)


def test_shared_weights_are_resident_once_and_adapters_each_time() -> None:
    config = {
        "model_type": "zamba2", "vocab_size": 10, "hidden_size": 8, "num_hidden_layers": 5,
        "layers_block_type": ["mamba", "hybrid", "hybrid", "mamba", "hybrid"],
        "num_attention_heads": 2, "intermediate_size": 6, "n_mamba_heads": 2, "adapter_rank": 3,
        "num_mem_blocks": 2, "mamba_d_state": 4,
    }  # fmt: skip
    words, mixers = 10 * 8, 5 * (8 * (2 * 16 + 8 + 2) + 24 * 5 + 3 * 2 + 16 + 16 * 8 + 8)
    # Two sets: norms of 16 and 8, queries, keys, values of 16 x 16, back 16 x 8, and 8 x 12, 6 x 8.
    shared = 2 * (16 + 8 + 3 * 256 + 128 + 96 + 48)
    own = 3 * (64 + 3 * (8 + 12))  # each hybrid layer's linear layer, and its adapter
    assert mw.model(config).parameters == words + mixers + shared + own + 8
    # Keys and values of three layers, four positions, 16 wide, two bytes.
    assert ask(config, "decode", 4, batch_size=1).footprint.kv_cache == 3 * 2 * 4 * 16 * 2


def test_what_is_not_covered_is_refused() -> None:
    nemotron = {"model_type": "nemotron_h", "vocab_size": 9, "hidden_size": 8}
    for key, value in (
        ("sliding_window", 4), ("attention_bias", True), ("tie_word_embeddings", True),
    ):  # fmt: skip
        with pytest.raises(mw.MemoryWallError, match=key):
            mw.model({**nemotron, key: value})
    with pytest.raises(mw.MemoryWallError, match="tie_word_embeddings"):
        mw.model({**TOY, "model_type": "zamba", "tie_word_embeddings": False})
    with pytest.raises(mw.MemoryWallError, match="num_heads"):
        mw.model({**MAMBA2, "num_heads": 3, "n_groups": 1})

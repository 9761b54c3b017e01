"""Quantised models with experts: published configs, their weights in bytes by hand."""

from __future__ import annotations

from typing import Any

import pytest

import memorywall as mw
from memorywall.catalog.configs import entries
from memorywall.core.formats import FORMATS
from memorywall.core.program import Op
from tests.lowering import unfused

FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}
SPARSE = {entry.id: entry.config for entry in entries() if mw.model(entry.config).traits.experts}


def ops_of(config: dict[str, Any]) -> dict[str, Op]:
    program = unfused(mw.analyze(config, on="h100-sxm", seq_len=8))
    return {path: op for path, op, _ in program.walk()}


def test_gpt_oss_in_mxfp4() -> None:
    # D 2880, 24 layers, 64 heads of 64, 8 of keys and values; 32 experts of 2880; V 201088.
    # Experts: 32 x (2880 x 5760 + 2880 x 2880) weights a layer, 4 bits each and 8 for 32 of them.
    experts = 24 * 32 * (2880 * 5760 + 2880 * 2880)
    # bf16: q and o with biases, k and v, a sink a head, router, two norms, biases of the experts.
    layer = 2 * 2880 * 4096 + 4096 + 2880 + 2 * (2880 * 512 + 512) + 64
    layer += 32 * 2880 + 32 + 2 * 2880 + 32 * (5760 + 2880)
    rest = 24 * layer + 2880 + 2 * 201_088 * 2880
    by_hand = experts * 17 // 32 + 2 * rest
    # The total_size of the published model.safetensors.index.json.
    assert by_hand == 13_761_264_768
    answer = mw.analyze("openai/gpt-oss-20b", on="h100-sxm")
    assert answer.footprint.weights == by_hand
    ops = ops_of(SPARSE["openai/gpt-oss-20b"])
    for name in ("gate_up_proj", "down_proj"):
        _, weight, bias = ops[f"layers.mlp.experts.{name}"].reads
        assert weight.format.bits_per_element == 4.25
        assert bias.format == FORMATS["bf16"]


def test_deepseek_v3_in_blocks_of_fp8() -> None:
    # q 7168 x 1536 and 1536 x 24576, latent 7168 x 576, keys and values 512 x 32768, o
    # 16384 x 7168; 3 layers of 7168 x 18432, 58 of 256 + 1 experts of 7168 x 2048, thrice each.
    attention = 7168 * 1536 + 1536 * 24_576 + 7168 * 576 + 512 * 32_768 + 16_384 * 7168
    expert, dense = 3 * 7168 * 2048, 3 * 7168 * 18_432
    linear = 61 * attention + 3 * dense + 58 * 257 * expert
    # Blocks of 128 x 128, in the same order; 576 is four and a half.
    blocks = 61 * (56 * 12 + 12 * 192 + 56 * 5 + 4 * 256 + 128 * 56)
    blocks += 3 * 3 * 56 * 144 + 58 * 257 * 3 * 56 * 16
    # bf16: words and head, routers, norms.
    rest = 2 * 129_280 * 7168 + 58 * 256 * 7168 + 61 * (2 * 7168 + 1536 + 512) + 7168
    by_hand = linear + 4 * blocks + 2 * rest
    answer = mw.analyze("deepseek-ai/DeepSeek-V3", on="h100-sxm")
    assert answer.footprint.weights == by_hand == 673_150_552_416
    # Beside, the published files hold the layer that predicts a second token (its own words, head,
    # a product of 14336 x 7168 and three norms more) and biases of the routers in fp32; and 12 MB
    # of headers.
    words, scales = 129_280 * 7168, 11_448 + 257 * 3 * 56 * 16
    plain = 2 * words + 256 * 7168 + 14_336 * 7168 + 5 * 7168 + 1536 + 512
    drafting = attention + 257 * expert + 4 * scales + 2 * plain
    files = by_hand + drafting + 59 * 256 * 4
    assert 688_586_727_753 - files == pytest.approx(12e6, rel=0.02)


# Of indexers, compressors and hyper-connections, as transformers' DeepseekV4PreTrainedModel keeps.
UNQUANTISED = (
    "weights_proj", "compressor.kv_proj", "compressor.gate_proj", "indexer.kv_proj",
    "indexer.gate_proj", "streams.fn",
)  # fmt: skip


@pytest.mark.parametrize("name", SPARSE)
def test_routers_and_heads_are_kept(name: str) -> None:
    kept: set[str] = set()
    quantised: set[str] = set()
    # DeepSeek-V4's experts have a separate format.
    config = {key: value for key, value in SPARSE[name].items() if key != "expert_dtype"}
    for path, op in ops_of({**config, "quantization_config": FP8}).items():
        for tensor in op.reads:
            if op.kind == "gemm" and tensor.role == "weight" and not tensor.name.endswith("bias"):
                (quantised if tensor.format.name == "fp8" else kept).add(path.partition(".")[2])
    kept = {path for path in kept if not any(part in path for part in UNQUANTISED)}
    assert {"lm_head", "mlp.router"} <= kept <= {"lm_head", "mlp.router", "mlp.shared_gate"}
    outputs = {"attention.o_proj", "attention.o_b_proj"}
    assert "mlp.experts.down_proj" in quantised
    assert quantised & outputs
    assert quantised & {"mlp.experts.gate_up_proj", "mlp.experts.up_proj"}  # gated or not


@pytest.mark.parametrize(
    ("named", "kept"),
    [
        ("model.layers.*.self_attn.kv_b_proj", {"attention.k_up", "attention.v_up"}),
        ("model.layers.*.self_attn.kv_a_proj_with_mqa", {"attention.kv_a_proj"}),
        ("mlp.shared_experts.down_proj", {"mlp.shared_experts.down_proj"}),
    ],
)
def test_layers_by_their_names_in_files(named: str, kept: set[str]) -> None:
    settings = {**FP8, "modules_to_not_convert": [named]}
    config = {**SPARSE["deepseek-ai/DeepSeek-V3"], "quantization_config": settings}
    left = {
        path.partition(".")[2]
        for path, op in ops_of(config).items()
        if op.kind == "gemm" and op.reads[1].format.name == "bf16"
    }
    assert left == kept | {"lm_head", "mlp.router"}
    assert not any("not known layers" in n for n in mw.analyze(config, on="h100-sxm").notes)

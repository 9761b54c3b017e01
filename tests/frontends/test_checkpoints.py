"""Published checkpoints: what their configs state of weights and cache, in bytes by hand."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import memorywall as mw
from memorywall.catalog.configs import find_config
from memorywall.reading.ignored_keys import bearing
from tests.frontends.blocks import PUBLISHED
from tests.frontends.files import LLAMA, plain, save
from tests.lowering import unfused


def published(name: str, **more: Any) -> dict[str, Any]:
    entry = find_config(name)
    assert entry is not None
    return {**entry.config, **more}


def weights(config: Mapping[str, Any]) -> int:
    return int(mw.analyze(config, on="h100-sxm").footprint.weights)


L8, L70, L405 = (f"meta-llama/Llama-3.1-{size}B" for size in (8, 70, 405))
CT = {
    "quant_method": "compressed-tensors", "format": "float-quantized", "ignore": ["lm_head"],
    "config_groups": {"group_0": {"targets": ["Linear"], "weights": {
        "num_bits": 8, "type": "float", "strategy": "tensor"}}},
}  # fmt: skip
FP8_CACHE = {"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": False}
# Llama-3.1-8B at 1024 positions: 32 layers x keys and values x 8 heads of 128.
ELEMENTS = 32 * 2 * 8 * 128 * 1024
QUARK = {"quant_method": "quark", "exclude": ["lm_head"], "global_quant_config": {
    "weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"}}}  # fmt: skip


@pytest.mark.parametrize(
    ("block", "nbytes"),
    [
        ({**CT, "kv_cache_scheme": FP8_CACHE}, ELEMENTS),
        ({**CT, "kv_cache_scheme": {"num_bits": 8, "type": "int", "symmetric": True}}, ELEMENTS),
        ({**CT, "kv_cache_scheme": {"num_bits": 4, "type": "float", "group_size": 16}},
         ELEMENTS // 2 + ELEMENTS // 16),
        # Of the cache alone: no layer is targeted.
        ({**CT, "config_groups": {"group_0": {"targets": []}}, "kv_cache_scheme": FP8_CACHE},
         ELEMENTS),
        ({"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}, ELEMENTS),
        ({"quant_algo": "NVFP4", "kv_cache_quant_algo": "NVFP4"}, ELEMENTS * 9 // 16),
        ({"quant_algo": "FP8", "kv_cache_quant_algo": "INT8"}, ELEMENTS),
        ({"quant_algo": "FP8", "kv_cache_quant_algo": None}, 2 * ELEMENTS),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_scheme": FP8_CACHE}, ELEMENTS),
        ({"quant_method": "fp8", "activation_scheme": "static", "kv_cache_scheme": "static"},
         ELEMENTS),
        ({**QUARK, "export": {"kv_cache_group": ["*k_proj", "*v_proj"]}, "layer_quant_config": {
            "*k_proj": {"output_tensors": {"dtype": "fp8_e4m3"}}}}, ELEMENTS),
        ({**QUARK, "kv_cache_quant_config": {
            "*k_proj": {"output_tensors": {"dtype": "fp8_e4m3"}}}}, ELEMENTS),
        ({**QUARK, "export": {"kv_cache_group": []}}, 2 * ELEMENTS),
        (CT, 2 * ELEMENTS),
    ],
)  # fmt: skip
def test_the_cache_of_a_checkpoint(block: dict[str, Any], nbytes: int) -> None:
    assert ELEMENTS == 67_108_864
    config = published(L8, quantization_config=block)
    answer = mw.analyze(config, on="h100-sxm", seq_len=1024)
    assert answer.footprint.kv_cache == nbytes
    is_stated = nbytes != 2 * ELEMENTS
    assert any("as the checkpoint states" in note for note in answer.notes) == is_stated
    # A format that is asked for comes first, without a note on the other.
    asked = mw.analyze(config, on="h100-sxm", seq_len=1024, kv_cache="bf16")
    assert asked.footprint.kv_cache == 2 * ELEMENTS
    assert not any("as the checkpoint states" in note for note in asked.notes)
    # A format of the weights says nothing of the cache.
    named = mw.analyze(config, on="h100-sxm", seq_len=1024, weights="bf16")
    assert named.footprint.kv_cache == nbytes


def test_a_cache_that_is_not_known() -> None:
    scheme = {"num_bits": 3, "type": "int"}
    config = published(L8, quantization_config={**CT, "kv_cache_scheme": scheme})
    answer = mw.analyze(config, on="h100-sxm", seq_len=1024)
    assert answer.footprint.kv_cache == 2 * ELEMENTS
    assert any("states a cache of" in note and "--kv-cache" in note for note in answer.notes)


MLX = {"group_size": 64, "bits": 4}


@pytest.mark.parametrize("keys", [
    ("quantization",), ("quantization_config",), ("quantization", "quantization_config"),
])  # fmt: skip
def test_mlx_of_4_bits(keys: tuple[str, ...]) -> None:
    # Llama-3.1-8B: table and head of 128256 x 4096; 32 layers of q and o 4096 x 4096, k and v
    # 1024 x 4096, three of 14336 x 4096. 4 bits, and 32 of scale and bias for 64: 4.5 a weight.
    layer = 2 * 4096 * 4096 + 2 * 1024 * 4096 + 3 * 14_336 * 4096
    linear = 2 * 128_256 * 4096 + 32 * layer
    assert linear == 8_029_995_008
    # 65 norms of 4096 in bf16, which no MLX layer quantises.
    by_hand = linear * 9 // 16 + 2 * 65 * 4096
    assert by_hand == 4_517_404_672
    assert weights(published(L8, **dict.fromkeys(keys, MLX))) == by_hand


def test_mlx_with_modules_apart() -> None:
    # One matrix of 14336 x 4096 in 8.5 bits, one of 1024 x 4096 in bf16, and the head in 6.5; each
    # was 4.5.
    block = {
        **MLX,
        "model.layers.0.mlp.down_proj": {"group_size": 64, "bits": 8},
        "model.layers.31.self_attn.v_proj": False,
        "model.layers.30.self_attn.v_proj": True,
        "lm_head": {"group_size": 64, "bits": 6},
    }
    more = 14_336 * 4096 * 4 // 8 + 1024 * 4096 * 23 // 16 + 128_256 * 4096 * 2 // 8
    whole = weights(published(L8, quantization=MLX))
    assert weights(published(L8, quantization=block)) == whole + more


def test_mlx_whose_tied_table_has_other_bits() -> None:
    # Llama-3.2-1B: a table of 128256 x 2048 that is the head too, at 8.5 bits instead of 4.5.
    config = published("meta-llama/Llama-3.2-1B", quantization={
        **MLX, "model.embed_tokens": {"group_size": 64, "bits": 8}})  # fmt: skip
    usual = published("meta-llama/Llama-3.2-1B", quantization=MLX)
    more = 128_256 * 2048 // 2
    assert weights(config) == weights(usual) + more
    ops = {op.name: op for op in mw.analyze(config, on="h100-sxm").ops}
    assert ops["head.lm_head"].traffic["weight"] == 128_256 * 2048 * 17 // 16


def test_layers_left_by_fbgemm() -> None:
    """Llama-3.1-405B-Instruct-FP8: attention, the first layer and the last are left in bf16."""
    # D 16384, F 53248, 126 layers, 128 heads, here 16 of keys and values; V 128256.
    attention = 2 * 16_384 * 16_384 + 2 * 16 * 128 * 16_384
    mlp = 3 * 16_384 * 53_248
    plain = 126 * attention + 2 * mlp + 2 * 128_256 * 16_384 + 253 * 16_384
    scales = 124 * (2 * 53_248 + 16_384)
    by_hand = 2 * plain + 124 * mlp + 4 * scales
    assert by_hand == 495_684_976_640
    names = ["lm_head", "model.layers.0", "model.layers.125"]
    names += [f"model.layers.{n}.self_attn.{p}_proj" for n in range(126) for p in "qkvo"]
    block = {"quant_method": "fbgemm_fp8", "modules_to_not_convert": names}
    config = published(L405, num_key_value_heads=16, quantization_config=block)
    answer = mw.analyze(config, on="h100-sxm")
    assert answer.footprint.weights == by_hand
    # A step reads all of it but the table, of which it reads a row; each layer once.
    read = sum(op.traffic.get("weight", 0) for op in answer.ops)
    assert read == by_hand - 2 * 128_256 * 16_384 + 2 * 16_384
    unquantised = mw.analyze(published(L405, num_key_value_heads=16), on="h100-sxm")
    assert answer.flops == unquantised.flops
    assert answer.footprint.kv_cache == unquantised.footprint.kv_cache


def linear_of_llama(*parts: str) -> int:
    """Weights of some linear layers of the toy: D 256, F 512, 4 heads of 64 over 2."""
    sizes = {"q": 65_536, "k": 32_768, "v": 32_768, "o": 65_536, "gate": 131_072, "up": 131_072,
             "down": 131_072}  # fmt: skip
    return sum(sizes[part] for part in parts)


def two_groups(first: list[str], second: list[str], **more: Any) -> dict[str, Any]:
    """Return FP8 by rows for the first targets, NVFP4 for the second: ``mixed-precision``."""
    fp8 = {"num_bits": 8, "type": "float", "strategy": "channel"}
    nvfp4 = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}
    return {
        "quant_method": "compressed-tensors", "format": "mixed-precision", "ignore": ["lm_head"],
        "config_groups": {
            "group_0": {"targets": first, "weights": fp8, "format": "float-quantized"},
            "group_1": {"targets": second, "weights": nvfp4, "format": "nvfp4-pack-quantized"},
        },
        **more,
    }  # fmt: skip


ALL = ("q", "k", "v", "o", "gate", "up", "down")
ATTENTION, MLP = ALL[:4], ALL[4:]
ROWS = {"q": 256, "k": 128, "v": 128, "o": 256, "gate": 512, "up": 512, "down": 256}
PLAIN = 2 * (2 * 384 * 256 + 5 * 256)  # table and head, norms; fp16


def fp8(*parts: str) -> int:
    return linear_of_llama(*parts) + 2 * sum(ROWS[part] for part in parts)


def nvfp4(*parts: str) -> int:
    return linear_of_llama(*parts) * 9 // 16 + 4 * len(parts)


@pytest.mark.parametrize(
    ("block", "linear"),
    [
        # Attention by pattern, the rest by class.
        (two_groups(["re:.*self_attn.*"], ["Linear"]), 2 * (fp8(*ATTENTION) + nvfp4(*MLP))),
        (two_groups(["re:.*self_attn\\.(q|k|v|o)_proj$"], ["re:.*mlp\\.(gate|up|down)_proj$"]),
         2 * (fp8(*ATTENTION) + nvfp4(*MLP))),
        # As unsloth's: the first group also has the last layers of the second's pattern.
        (two_groups(["re:.*self_attn.*", "re:model\\.layers\\.(1)\\.mlp\\..*"],
                    ["re:.*mlp\\.(gate|up|down)_proj$"]),
         fp8(*ATTENTION) + nvfp4(*MLP) + fp8(*ALL)),
        # A name comes before a pattern, a pattern before the class.
        (two_groups(["Linear"], ["model.layers.0.mlp.down_proj", "re:.*layers.1.*q_proj"]),
         2 * fp8(*ALL) - fp8("down", "q") + nvfp4("down", "q")),
        # Those of no group are left, and what is ignored is before every target.
        (two_groups(["re:.*mlp.up_proj"], ["re:.*mlp.down_proj"]),
         2 * (fp8("up") + nvfp4("down") + 2 * linear_of_llama(*ATTENTION, "gate"))),
        (two_groups(["re:.*self_attn.*"], ["Linear"], ignore=["lm_head", "model.layers.1.mlp"]),
         2 * fp8(*ATTENTION) + nvfp4(*MLP) + 2 * linear_of_llama(*MLP)),
        # ModelOpt's MIXED_PRECISION: two fp32 scales each, as in its own NVFP4 and FP8.
        ({"quant_algo": "MIXED_PRECISION", "exclude_modules": ["lm_head"], "quantized_layers": {
            **{f"model.layers.{n}.self_attn.{p}_proj": {"quant_algo": "FP8"}
               for n in range(2) for p in ATTENTION},
            "model.layers.0.mlp.down_proj": {"quant_algo": "NVFP4", "group_size": 16}}},
         2 * (linear_of_llama(*ATTENTION) + 8 * 4) + nvfp4("down") + 4
         + 2 * (2 * linear_of_llama(*MLP) - linear_of_llama("down"))),
        # bitsandbytes: by rows in 8 bits, a byte that says how; the modules it skips.
        ({"load_in_8bit": True, "llm_int8_skip_modules": ["lm_head", "model.layers.1.self_attn"]},
         2 * linear_of_llama(*ALL) + linear_of_llama(*ATTENTION)
         + 4 * sum(ROWS[p] for p in (*ALL, *MLP)) + len((*ALL, *MLP))),
        # GPTQModel: 8 bits for one kind of layers, none for the first layer's attention. Of 128
        # weights 512 + 16 + 4 bits (133 B for 256), or 1024 + 16 + 8; 4 B an input beside.
        ({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "dynamic": {
            "+:.*\\.down_proj$": {"bits": 8}, "-:.*layers\\.0\\.self_attn.*": {}}},
         2 * (linear_of_llama("gate", "up") * 133 // 256 + 2 * 4 * 256)
         + 2 * (linear_of_llama("down") * 262 // 256 + 4 * 512)
         + linear_of_llama(*ATTENTION) * 133 // 256 + 4 * 4 * 256
         + 2 * linear_of_llama(*ATTENTION)),
        # Only what is listed, in each block.
        ({"quant_method": "gptq", "bits": 4, "group_size": 128,
          "modules_in_block_to_quantize": [["mlp.gate_proj", "mlp.up_proj"]]},
         2 * (linear_of_llama("gate", "up") * 133 // 256 + 2 * 4 * 256)
         + 4 * linear_of_llama(*ATTENTION, "down")),
        # AutoRound: one layer left, one in 8 bits.
        ({"quant_method": "auto-round", "bits": 4, "group_size": 128, "sym": True,
          "packing_format": "auto_round:auto_gptq", "extra_config": {
              "model.layers.0.mlp.down_proj": {"bits": 16, "data_type": "float"},
              "model.layers.1.mlp.down_proj": {"bits": 8}}},
         (2 * linear_of_llama(*ALL) - 2 * linear_of_llama("down")) * 133 // 256
         + 2 * linear_of_llama("down") + linear_of_llama("down") * 262 // 256),
        # HQQ by the names of layers: 2 x 16 bits for 64.
        ({"quant_method": "hqq", "skip_modules": ["lm_head"], "quant_config": {
            **{f"self_attn.{p}_proj": {"weight_quant_params": {"nbits": 4, "group_size": 64}}
               for p in ATTENTION},
            "mlp.down_proj": {"weight_quant_params": {"nbits": 2, "group_size": 64}}}},
         2 * (linear_of_llama(*ATTENTION) * 9 // 16 + linear_of_llama("down") * 5 // 16
              + 2 * linear_of_llama("gate", "up"))),
        # torchao by module.
        ({"quant_method": "torchao", "quant_type": {"default": {"_type": "FqnToConfig", "_data": {
            "fqn_to_config": {
                "_default": {"_type": "Int8WeightOnlyConfig", "_data": {}},
                "re:.*self_attn.*": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 128}},
                "model.layers.0.mlp.down_proj": None}}}}},
         2 * (linear_of_llama(*ATTENTION) * 17 // 32)
         + 2 * (linear_of_llama(*MLP) + 2 * 1280) + linear_of_llama("down") - 2 * 256),
        # Quark: another setting by glob.
        ({"quant_method": "quark", "exclude": ["lm_head"],
          "global_quant_config": {"weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"}},
          "layer_quant_config": {"*down_proj": {"weight": {
              "dtype": "fp4", "qscheme": "per_group", "group_size": 32}}}},
         2 * (linear_of_llama(*ATTENTION, "gate", "up") + 4 * 6
              + linear_of_llama("down") * 17 // 32)),
    ],
)  # fmt: skip
def test_layers_in_several_formats(block: dict[str, Any], linear: int) -> None:
    assert weights({**LLAMA, "quantization_config": block}) == PLAIN + linear


# DeepSeek-V3 and Kimi-K2: D 7168, 61 layers of latent attention, V; dense layers of 18432, experts
# of 2048 and one shared.
def latent(heads: int) -> int:
    """Weights of attention: queries over 1536, keys and values over 512 + 64, heads of 192, 128."""
    return 7168 * 1536 + 1536 * heads * 192 + 7168 * 576 + 512 * heads * 256 + heads * 128 * 7168


def beside_linear(vocab: int, experts: int, sparse: int) -> int:
    """Weights of the table, the head, routers and norms."""
    norms = 61 * (2 * 7168 + 1536 + 512) + 7168
    return 2 * vocab * 7168 + sparse * experts * 7168 + norms


def test_kimi_k2_thinking() -> None:
    """Routed experts in int4 with a scale of 2 B for 32, the rest in bf16."""
    expert = 3 * 7168 * 2048
    packed = 60 * 384 * (expert * 9 // 16 + 3 * 16)  # and the shape of each of three weights
    rest = 61 * latent(64) + 3 * 7168 * 18_432 + 60 * expert
    rest += beside_linear(163_840, 384, 60)
    ignore = ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*",
              "re:.*mlp\\.(gate|up|gate_up|down)_proj.*"]  # fmt: skip
    weights_of = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32}
    block = {
        **CT, "format": "pack-quantized", "ignore": ignore,
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights_of}},
    }  # fmt: skip
    config = published("moonshotai/Kimi-K2-Instruct", quantization_config=block)
    assert weights(config) == packed + 2 * rest


def test_nvidia_nvfp4_deepseek(tmp_path: Path) -> None:
    """Feed-forwards and experts in NVFP4 with two fp32 scales, attention in bf16 by glob."""
    expert, dense = 3 * 7168 * 2048, 3 * 7168 * 18_432
    linear = 58 * 257 * expert + 3 * dense
    packed = linear * 9 // 16 + 8 * 3 * (58 * 257 + 3)
    rest = 61 * latent(128) + beside_linear(129_280, 256, 58)
    exclude = [*(f"model.layers.{n}.self_attn*" for n in range(61)), "model.layers.61*", "lm_head"]
    exclude += [f"model.layers.{n}.mlp.gate" for n in range(3, 61)]
    side = {"quantization": {"quant_algo": "NVFP4", "group_size": 16, "exclude_modules": exclude}}
    config = {k: v for k, v in published("deepseek-ai/DeepSeek-V3").items()
              if k != "quantization_config"}  # fmt: skip
    folder = write(tmp_path / "model", config, hf_quant_config=side)
    assert mw.analyze(folder, on="h200-sxm").footprint.weights == packed + 2 * rest


@pytest.mark.parametrize("at_top", [True, False])
@pytest.mark.parametrize(("scales", "bits"), [("ue8m0", 8), ("float", 32)])
def test_experts_in_fp4_as_deepseek_v4(at_top: bool, scales: str, bits: int) -> None:
    """Blocks of fp8, experts of fp4 with a scale for 32; V4 states it beside the block."""
    # Mixtral-8x7B: D 4096, F 14336, 32 layers of 8 experts, q and o 4096 x 4096, k and v of 1024.
    experts, attention = 32 * 8 * 3 * 4096 * 14_336, 32 * (2 * 4096 * 4096 + 2 * 1024 * 4096)
    rest = 2 * 32_000 * 4096 + 32 * 8 * 4096 + 65 * 4096
    packed = experts // 2 + experts // 32 * bits // 8 + attention + attention // 128**2 * bits // 8
    block = {"quant_method": "fp8", "weight_block_size": [128, 128], "scale_fmt": scales}
    stated = {"expert_dtype": "fp4"}
    config = {"quantization_config": block, **stated} if at_top else {
        "quantization_config": {**block, **stated}}  # fmt: skip
    assert weights(published("mistralai/Mixtral-8x7B-v0.1", **config)) == packed + 2 * rest


def test_gpt_oss_as_mlx() -> None:
    """8 bits in groups of 64, experts as they were published, in mxfp4."""
    # gpt-oss-20b: D 2880, 24 layers, q and o of 4096, k and v of 512, 32 experts of 2880, V 201088.
    experts = 24 * 32 * 3 * 2880 * 2880
    linear = 24 * (2 * 2880 * 4096 + 2 * 2880 * 512) + 2 * 201_088 * 2880
    vectors = 24 * (4096 + 2 * 512 + 2880 + 64 + 2 * 2880 + 32 + 32 * 3 * 2880) + 2880
    narrow = {"group_size": 32, "bits": 4, "mode": "mxfp4"}
    apart = {f"model.layers.{n}.mlp.experts.{p}_proj": narrow
             for n in range(24) for p in ("gate", "up", "down")}  # fmt: skip
    routers = {f"model.layers.{n}.mlp.router": {"group_size": 64, "bits": 8} for n in range(24)}
    block = {"group_size": 64, "bits": 8, "mode": "affine", **apart, **routers}
    config = published("openai/gpt-oss-20b", quantization=block, quantization_config=block)
    linear += 24 * 32 * 2880
    assert weights(config) == experts * 17 // 32 + linear * 17 // 16 + 2 * vectors


def test_layers_of_linear_attention_by_name() -> None:
    """Qwen3-Next: one module holds queries, keys, values and gates, another beta and decay."""
    name = "Qwen/Qwen3-Next-80B-A3B-Instruct"
    fp8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    whole = weights(published(name, quantization_config=fp8))
    # D 2048; 36 of 48 layers with 16 heads of keys and 32 of values, each of 128.
    wide, narrow = 2 * 16 * 128 + 2 * 32 * 128, 2 * 32
    for module, width, blocks in (("in_proj_qkvz", wide, wide // 128), ("in_proj_ba", narrow, 2)):
        names = [f"model.layers.{n}.linear_attn.{module}" for n in range(48) if n % 4 != 3]
        left = {**fp8, "modules_to_not_convert": names}
        more = 36 * (width * 2048 - 4 * blocks * 16)
        assert weights(published(name, quantization_config=left)) == whole + more


def test_formats_that_differ_within_one_weight() -> None:
    """The experts of a layer are one weight here: they have one format, or are refused."""
    config = published("mistralai/Mixtral-8x7B-v0.1", quantization_config={
        "quant_algo": "MIXED_PRECISION", "quantized_layers": {
            "model.layers.0.block_sparse_moe.experts.0.w1": {"quant_algo": "FP8"},
            "model.layers.0.block_sparse_moe.experts.1.w1": {"quant_algo": "NVFP4"}}})  # fmt: skip
    with pytest.raises(mw.MemoryWallError, match="in several formats"):
        mw.analyze(config, on="h100-sxm")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"quantization_bit": 4}, "has 'quantization_bit'"),
        ({"quantize": "int8"}, "has 'quantize'"),
        ({"quant_method": "gptq"}, "has 'quant_method'"),
        ({"load_in_4bit": True}, "has 'load_in_4bit'"),
        ({"quantization": "awq"}, "'quantization' must be a mapping"),
        ({"quantization": {"bits": 4, "group_size": 64, "mode": "codebook"}}, "'mode' 'codebook'"),
        ({"quantization": {"bits": 7, "group_size": 64}}, "'bits' 7"),
        ({"quant_config": {"scheme": "w4"}}, "quantised by ''"),
        ({"compression_config": {"quant_method": "sparseml"}}, "quantised by 'sparseml'"),
        (
            {"vision_config": {"quantization_config": {"quant_method": "fp8"}}},
            "has 'vision_config.quantization_config'",
        ),
        ({"text_config": {"quantization_bit": 8}}, "has 'text_config.quantization_bit'"),
    ],
)
def test_keys_that_name_a_quantisation_are_read_or_refused(
    config: dict[str, Any], said: str
) -> None:
    with pytest.raises(mw.MemoryWallError) as error:
        mw.analyze({**LLAMA, **config}, on="h100-sxm")
    assert said in error.value.message


@pytest.mark.parametrize(
    "config", [{"quantization_bit": 0}, {"quantization_config": None}, {"quantize": "none"},
               {"load_in_8bit": False}]
)  # fmt: skip
def test_keys_that_state_no_quantisation(config: dict[str, Any]) -> None:
    assert weights({**LLAMA, **config}) == weights(LLAMA)


def test_old_configs_of_compressed_tensors() -> None:
    assert weights({**LLAMA, "compression_config": CT}) == weights(
        {**LLAMA, "quantization_config": CT}
    )


def weights_at(path: Path) -> int:
    return int(mw.analyze(path, on="h100-sxm").footprint.weights)


def write(folder: Path, config: Mapping[str, Any], **files: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_nvidia_fp8_llama_by_its_side_file(tmp_path: Path) -> None:
    # 80 layers of q and o 8192 x 8192, k and v 1024 x 8192, three of 28672 x 8192, each with two
    # fp32 scales; table and head of 128256 x 8192, 161 norms in bf16.
    layer = 2 * 8192 * 8192 + 2 * 1024 * 8192 + 3 * 28_672 * 8192
    by_hand = 80 * (layer + 7 * 8) + 2 * (2 * 128_256 * 8192 + 161 * 8192)
    assert by_hand == 72_656_376_192
    side = {
        "producer": {"name": "modelopt", "version": "0.19.0"},
        "quantization": {
            "quant_algo": "FP8", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"],
        },
    }  # fmt: skip
    folder = write(tmp_path / "model", published(L70), hf_quant_config=side)
    for source in (folder, folder / "config.json"):
        answer = mw.analyze(source, on="h200-sxm", seq_len=1024)
        assert answer.footprint.weights == by_hand
        assert answer.footprint.kv_cache == 80 * 2 * 8 * 128 * 1024
        assert answer.footprint.fits
        assert any("hf_quant_config.json, beside the config" in note for note in answer.notes)
    # A config by another name has no such neighbours: 70,553,706,496 weights in bf16.
    (folder / "config.json").rename(folder / "other.json")
    assert weights_at(folder / "other.json") == 141_107_412_992


@pytest.mark.parametrize(
    ("name", "content", "method"),
    [
        ("quantize_config", {"bits": 4, "group_size": 128, "desc_act": False, "sym": True}, "GPTQ"),
        ("quant_config", {"zero_point": True, "q_group_size": 128, "w_bit": 4, "version": "GEMM"},
         "AWQ"),
        ("hf_quant_config", {"quantization": {"quant_algo": "NVFP4", "group_size": 16}}, "nvfp4"),
        ("quantize_config", {"quant_method": "awq", "bits": 4, "group_size": 128}, "AWQ"),
    ],
)  # fmt: skip
def test_side_files(tmp_path: Path, name: str, content: dict[str, Any], method: str) -> None:
    answer = mw.analyze(write(tmp_path, LLAMA, **{name: content}), on="h100-sxm")
    assert answer.conventions["weights"].startswith(method)
    # The config's own block comes first, and the file is not read.
    write(tmp_path, {**LLAMA, "quantization": MLX}, **{name: content})
    (tmp_path / f"{name}.json").write_text("{")
    answer = mw.analyze(tmp_path, on="h100-sxm")
    assert answer.conventions["weights"] == "MLX int4 in groups of 64"


@pytest.mark.parametrize("text", ["", "[]", "{", "NaN", '{"quantization": 7}', "{}", "\0" * 99])
def test_spoilt_side_files(tmp_path: Path, text: str) -> None:
    folder = write(tmp_path, LLAMA)
    for name in ("hf_quant_config", "quantize_config", "quant_config"):
        (folder / f"{name}.json").write_text(text)
        try:
            mw.analyze(folder, on="h100-sxm")
        except mw.MemoryWallError as error:
            assert error.message  # noqa: PT017 - some of them state a method's defaults
        (folder / f"{name}.json").unlink()


def test_side_files_of_other_kinds(tmp_path: Path) -> None:
    folder = write(tmp_path, LLAMA)
    (folder / "quant_config.json").mkdir()
    with pytest.raises(mw.MemoryWallError, match="got a folder"):
        mw.model(folder)
    (folder / "quant_config.json").rmdir()
    (folder / "quant_config.json").symlink_to("/dev/zero")
    with pytest.raises(mw.MemoryWallError, match="not a regular file"):
        mw.model(folder)


def test_a_layout_that_is_not_known_is_counted_by_its_files(tmp_path: Path) -> None:
    arrays = plain()
    arrays["model.layers.0.mlp.up_proj.weight"] = np.zeros(12_345, np.uint8)
    folder = save(tmp_path, {**LLAMA, "quantization_config": {"quant_method": "spqr"}}, arrays)
    answer = mw.analyze(folder, on="h100-sxm")
    total = sum(array.nbytes for array in arrays.values())
    # Rounded up to whole bytes for each of the 21 arrays.
    assert 0 <= answer.footprint.weights - total <= 21
    assert any("The mean of the files" in note for note in answer.notes)


@pytest.mark.parametrize("block", PUBLISHED, ids=lambda block: block.get("quant_method", "none"))
def test_every_key_of_a_published_block_is_read_or_has_a_reason(block: dict[str, Any]) -> None:
    model = mw.model({**LLAMA, "quantization_config": block})
    assert model.storage is not None
    assert not model.storage.reason
    unused = [key for key, value in model.reading.unused if bearing(key, value) == "not known"]
    assert unused == []


def test_keys_without_effect_and_empty_ones() -> None:
    assert bearing("quantization_config.activation_scale_ub") == "changes values, not bytes"
    assert bearing("quantization_config.colour") == "not known"
    assert bearing("quantization_config.colour", None) == "empty"


def arithmetic_of(config: Mapping[str, Any], on: str, **more: Any) -> dict[str, str]:
    """Return the arithmetic of each product with weights, by its path."""
    program = unfused(mw.analyze(config, on=on, seq_len=8, **more))
    return {path: op.dtype for path, op, _ in program.walk() if op.kind == "gemm"}


def test_the_arithmetic_of_mixed_layers() -> None:
    """FP8 and NVFP4 products side by side; a device without fp4 takes those weights alone."""
    inputs = {"num_bits": 8, "type": "float", "dynamic": True}
    block = two_groups(["re:.*self_attn.*"], ["Linear"])
    block["config_groups"]["group_0"]["input_activations"] = inputs
    block["config_groups"]["group_1"]["input_activations"] = {**inputs, "num_bits": 4}
    config = {**LLAMA, "quantization_config": block}
    for device, of_mlp in (("b200-sxm", "fp4"), ("h100-sxm", "fp16")):
        found = arithmetic_of(config, device)
        assert found["layers.attention.q_proj"] == "fp8"
        assert found["layers.mlp.down_proj"] == of_mlp
        assert found["head.lm_head"] == "fp16"
    asked = arithmetic_of(config, "b200-sxm", activations="fp16")
    assert set(asked.values()) == {"fp16"}


def test_the_arithmetic_of_layers_that_are_left() -> None:
    """fbgemm computes in fp8, the layers that it leaves in the model's dtype."""
    names = ["lm_head", "model.layers.0.mlp"]
    block = {"quant_method": "fbgemm_fp8", "modules_to_not_convert": names}
    found = arithmetic_of({**LLAMA, "quantization_config": block}, "h100-sxm")
    downs = {path: name for path, name in found.items() if path.endswith("mlp.down_proj")}
    assert downs == {"layers.mlp.down_proj": "fp16", "layers_1.mlp.down_proj": "fp8"}
    assert {name for path, name in found.items() if ".attention.q_proj" in path} == {"fp8"}


def test_a_mixed_checkpoint_is_a_value() -> None:
    """It can be pickled and hashed, and reading it again gives an equal storage."""
    block = two_groups(["re:.*self_attn.*"], ["Linear"], ignore=["lm_head", "model.layers.1.mlp"])
    storage, again = (mw.model({**LLAMA, "quantization_config": block}).storage for _ in range(2))
    assert storage == again == pickle.loads(pickle.dumps(storage))
    assert hash(storage) == hash(again)

"""Quantised checkpoints, their files built by hand: what is counted is what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import memorywall as mw
from tests.frontends.files import LINEAR, LLAMA, Arrays, linear_paths, plain, rest, save


def gptq(path: str, out: int, inner: int, bits: int, group: int) -> Arrays:
    """8 weights of 4 bits in a word along the inputs, zero points along the outputs."""
    groups = inner // group
    return {
        f"{path}.qweight": np.zeros((inner * bits // 32, out), np.int32),
        f"{path}.qzeros": np.zeros((groups, out * bits // 32), np.int32),
        f"{path}.scales": np.zeros((groups, out), np.float16),
        f"{path}.g_idx": np.zeros(inner, np.int32),
    }


def awq(path: str, out: int, inner: int) -> Arrays:
    """8 weights in a word along the outputs; no order of the inputs."""
    return {
        f"{path}.qweight": np.zeros((inner, out // 8), np.int32),
        f"{path}.qzeros": np.zeros((inner // 64, out // 8), np.int32),
        f"{path}.scales": np.zeros((inner // 64, out), np.float16),
    }


def nf4(path: str, out: int, inner: int, *, double: bool) -> Arrays:
    """Two weights in a byte, a scale for 64 of them, the 16 values that a weight may have.

    The scales in 8 bit have a scale for 256 of them, and a table of their 256 values.
    """
    scales = out * inner // 64
    arrays: Arrays = {
        f"{path}.weight": np.zeros((out * inner // 2, 1), np.uint8),
        f"{path}.weight.quant_map": np.zeros(16, np.float32),
        f"{path}.weight.absmax": np.zeros(scales, np.uint8 if double else np.float32),
    }
    if double:
        arrays[f"{path}.weight.nested_absmax"] = np.zeros(-(-scales // 256), np.float32)
        arrays[f"{path}.weight.nested_quant_map"] = np.zeros(256, np.float32)
    return arrays


def int8(path: str, out: int, inner: int) -> Arrays:
    return {
        f"{path}.weight": np.zeros((out, inner), np.int8),
        f"{path}.SCB": np.zeros(out, np.float32),
        f"{path}.weight_format": np.zeros((), np.uint8),
    }


def fp8_blocks(path: str, out: int, inner: int) -> Arrays:
    return {
        f"{path}.weight": np.zeros((out, inner), np.uint8),
        f"{path}.weight_scale_inv": np.zeros((-(-out // 96), -(-inner // 96)), np.float32),
    }


def packed(path: str, out: int, inner: int, *, zero_points: bool) -> Arrays:
    arrays: Arrays = {
        f"{path}.weight_packed": np.zeros((out, inner // 8), np.int32),
        f"{path}.weight_scale": np.zeros((out, inner // 128), np.float16),
        f"{path}.weight_shape": np.zeros(2, np.int64),
    }
    if zero_points:
        arrays[f"{path}.weight_zero_point"] = np.zeros((out // 8, inner // 128), np.int32)
    return arrays


def by_rows(path: str, out: int, inner: int) -> Arrays:
    return {
        f"{path}.weight": np.zeros((out, inner), np.uint8),
        f"{path}.weight_scale": np.zeros((out, 1), np.float16),
    }


def nvfp4(path: str, out: int, inner: int) -> Arrays:
    return {
        f"{path}.weight": np.zeros((out, inner // 2), np.uint8),
        f"{path}.weight_scale": np.zeros((out, inner // 16), np.uint8),
        f"{path}.weight_scale_2": np.zeros((), np.float32),
        f"{path}.input_scale": np.zeros((), np.float32),
    }


def group(weights: dict[str, Any], **more: Any) -> dict[str, Any]:
    settings = {"targets": ["Linear"], "weights": weights, **more}
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": settings}}


CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "gptq": (
        {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True, "sym": True},
        lambda path, out, inner: gptq(path, out, inner, 4, 128),
    ),
    "gptq of 8 bits by rows": (
        {"quant_method": "gptq", "bits": 8, "group_size": -1},
        lambda path, out, inner: gptq(path, out, inner, 8, inner),
    ),
    "gptq of 3 bits": (
        {"quant_method": "gptq", "bits": 3, "group_size": 32},
        lambda path, out, inner: gptq(path, out, inner, 3, 32),
    ),
    "awq": (
        {"quant_method": "awq", "bits": 4, "group_size": 64, "version": "gemm",
         "zero_point": True},
        awq,
    ),
    "nf4": (
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
        lambda *place: nf4(*place, double=False),
    ),
    "nf4 with double quantisation": (
        {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
        lambda *place: nf4(*place, double=True),
    ),
    "bitsandbytes int8": ({"quant_method": "bitsandbytes", "load_in_8bit": True}, int8),
    # Blocks of 96 do not divide 256 and 512: the last of a row or column is a part of one.
    "fp8 blocks": (
        {"quant_method": "fp8", "weight_block_size": [96, 96], "fmt": "e4m3"}, fp8_blocks,
    ),
    "compressed int4": (
        {**group({"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}),
         "format": "pack-quantized", "ignore": ["lm_head"]},
        lambda *place: packed(*place, zero_points=False),
    ),
    "compressed int4 with zero points": (
        {**group({"num_bits": 4, "strategy": "group", "group_size": 128, "symmetric": False}),
         "format": "pack-quantized", "ignore": ["lm_head"]},
        lambda *place: packed(*place, zero_points=True),
    ),
    "compressed fp8": (
        {**group({"num_bits": 8, "type": "float", "strategy": "channel"},
                 input_activations={"num_bits": 8, "type": "float", "dynamic": True}),
         "format": "float-quantized", "ignore": ["re:.*lm_head"]},
        by_rows,
    ),
    "nvfp4": ({"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16}, nvfp4),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_counted_is_stored_to_the_byte(tmp_path: Path, name: str) -> None:
    settings, layer = CASES[name]
    arrays = rest()
    for place in linear_paths():
        arrays |= layer(*place)
    folder = save(tmp_path, {**LLAMA, "quantization_config": settings}, arrays)
    answer = mw.analyze(folder, on="h100-sxm")
    on_disk = sum(array.nbytes for array in arrays.values())
    stored = answer.scenario.model.stored
    assert stored is not None
    assert stored.nbytes == on_disk
    assert answer.footprint.weights == on_disk
    assert not any("The files hold" in note for note in answer.notes)
    # A decode step reads every weight but the embedding, of which it reads a row, in fp16.
    read = on_disk - 384 * 256 * 2 + 256 * 2
    assert sum(op.traffic.get("weight", 0) for op in answer.ops) == read


def test_gptq_by_hand() -> None:
    # q_proj [256, 256]: 256 x 256 / 2 B of weights; two groups of inputs: 2 x 256 scales of 2 B and
    # 2 x 256 / 2 B of zero points; 256 x 4 B of order.
    q_proj = 32_768 + 1024 + 256 + 1024
    config = {**LLAMA, "quantization_config": CASES["gptq"][0]}
    ops = {op.name: op for op in mw.analyze(config, on="h100-sxm").ops}
    assert ops["layers.attention.q_proj"].traffic["weight"] == 2 * q_proj


def test_a_named_format_is_for_every_weight_as_ever() -> None:
    config = {**LLAMA, "quantization_config": CASES["gptq"][0]}
    named, unquantised = (
        mw.analyze(source, on="h100-sxm", weights="int4") for source in (config, LLAMA)
    )
    assert named.footprint == unquantised.footprint
    assert named.conventions["weights"] == "int4"
    read = mw.analyze(config, on="h100-sxm")
    assert read.conventions["weights"] == "GPTQ int4 in groups of 128"
    assert read.conventions["activations"] == "fp16"
    assert mw.model(config).parameters == mw.model(LLAMA).parameters


def weights_of(settings: dict[str, Any], **more: Any) -> int:
    config = {**LLAMA, **more, "quantization_config": settings}
    return int(mw.analyze(config, on="h100-sxm").footprint.weights)


FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["lm_head", "model.embed_tokens", "model.norm"], []),
        (["model.layers.*.self_attn"], [name for name in LINEAR if "attn" in name]),
        ([f"model.layers.{n}.mlp.down_proj" for n in range(2)], ["mlp.down_proj"]),
        (["down_proj", "o_proj"], ["mlp.down_proj", "self_attn.o_proj"]),
        (["re:.*self_attn.q_proj$"], ["self_attn.q_proj"]),
    ],
)
def test_modules_that_are_kept(names: list[str], kept: list[str]) -> None:
    # Of [out, in] in fp8 with a scale of 4 B for 128 x 128, to 2 B an element.
    more = 0
    for name in kept:
        out, inner = LINEAR[name]
        more += 2 * (out * inner - 4 * (out // 128) * (inner // 128))
    without = weights_of(FP8)
    assert weights_of({**FP8, "modules_to_not_convert": names}) == without + more


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"quant_method": "spqr"}, "quantised by 'spqr', which is not known"),
        ({}, "quantised by '', which is not known"),
        ({"quant_method": "gptq", "bits": 5}, "with 'bits' 5, which is not supported"),
        ({"quant_method": "awq", "version": "gemv"}, "'version' 'gemv'"),
        ({"quant_method": "modelopt", "quant_algo": "W4A8"}, "'quant_algo' 'W4A8'"),
        ({"quant_method": "compressed-tensors"}, "0 'config_groups'"),
        ({**FP8, "modules_to_convert": ["model.layers.0.mlp"]}, "with 'modules_to_convert'"),
        ({**FP8, "ignored_layers": ["re:(a+)+b"]}, "a pattern that is not supported"),
    ],
)
def test_what_is_not_covered_is_not_guessed_at(settings: dict[str, Any], said: str) -> None:
    config = {**LLAMA, "quantization_config": settings}
    with pytest.raises(mw.MemoryWallError, match="Name the format of the weights") as error:
        mw.analyze(config, on="h100-sxm")
    assert said in error.value.message
    # With a format named, nothing of it matters; and parameters are those of the shapes.
    assert mw.analyze(config, on="h100-sxm", weights="int8").footprint.weights
    assert mw.model(config).parameters == mw.model(LLAMA).parameters


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (7, "'quantization_config' must be a mapping, got 7"),
        ({"quant_method": 4}, "'quant_method' must be a text"),
        ({"quant_method": "gptq", "bits": "four"}, "'bits' must be a whole number"),
        ({**FP8, "weight_block_size": [0, 1]}, "'weight_block_size' must be two whole numbers"),
        ({**FP8, "modules_to_not_convert": "lm_head"}, "must be a list of names"),
    ],
)
def test_faults_of_the_settings(settings: Any, said: str) -> None:
    with pytest.raises(mw.MemoryWallError) as error:
        mw.model({**LLAMA, "quantization_config": settings})
    assert said in error.value.message


def test_files_in_another_dtype_than_the_config_names(tmp_path: Path) -> None:
    folder = save(tmp_path, LLAMA, plain(np.float32))
    answer = mw.analyze(folder, on="h100-sxm")
    assert answer.footprint.weights == 4 * answer.parameters
    assert answer.conventions["weights"] == "fp32"
    assert answer.conventions["activations"] == "fp16"
    assert any("hold F32 instead of the config" in note for note in answer.notes)
    assert mw.analyze(folder, on="h100-sxm", weights="bf16").footprint.weights == (
        2 * answer.parameters
    )


def test_files_that_hold_more_than_the_class_counts(tmp_path: Path) -> None:
    arrays = {**plain(), "rotary.inv_freq": np.zeros(32, np.float32)}
    folder = save(tmp_path, LLAMA, arrays)
    answer = mw.analyze(folder, on="h100-sxm")
    assert answer.footprint.weights == 2 * answer.parameters
    assert any("128 B more than is counted" in note for note in answer.notes)

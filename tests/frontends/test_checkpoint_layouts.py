"""Weights by file and by quantisation agree: files in the layout of each method, for toy models.

Each layout is written down from the method's own code or documentation, named above it; what the
config's quantisation counts is the sum of the headers, to the byte.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pytest

import memorywall as mw
from tests.frontends.files import LLAMA, Arrays, save

Layout: TypeAlias = Callable[[str, int, int], Arrays]


class Module(NamedTuple):
    """A linear layer or a table of [out, inner], by its path."""

    path: str
    out: int
    inner: int


class Toy(NamedTuple):
    """A model: its config, linear layers, tables, head, other vectors by path, routers."""

    config: Mapping[str, Any]
    linear: tuple[Module, ...]
    tables: tuple[Module, ...]
    head: tuple[Module, ...]
    vectors: tuple[tuple[str, int], ...]
    routers: tuple[Module, ...] = ()


def attention(layer: int, names: tuple[str, ...] = ("q", "k", "v", "o")) -> list[Module]:
    """Four heads of 64 over two of keys and values: D 256."""
    sizes = {"q": (256, 256), "k": (128, 256), "v": (128, 256), "o": (256, 256)}
    return [Module(f"model.layers.{layer}.self_attn.{n}_proj", *sizes[n]) for n in names]


def mlp(
    path: str, names: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj")
) -> list[Module]:
    gate, up, down = (f"{path}.{name}" for name in names)
    return [Module(gate, 512, 256), Module(up, 512, 256), Module(down, 256, 512)]


def toy(config: Mapping[str, Any], layers: list[Module], **more: Any) -> Toy:
    norms = [(f"model.layers.{n}.{name}.weight", 256) for n in range(2)
             for name in ("input_layernorm", "post_attention_layernorm")]  # fmt: skip
    tied = config.get("tie_word_embeddings", False)
    return Toy(
        config,
        tuple(layers),
        (Module("model.embed_tokens", 384, 256),),
        () if tied else (Module("lm_head", 384, 256),),
        (*norms, ("model.norm.weight", 256), *more.get("vectors", ())),
        more.get("routers", ()),
    )


DENSE = toy(LLAMA, [m for n in range(2) for m in (*attention(n), *mlp(f"model.layers.{n}.mlp"))])
QWEN = {**LLAMA, "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"],
        "tie_word_embeddings": True}  # fmt: skip
TIED = toy(
    QWEN, list(DENSE.linear),
    vectors=[(f"{m.path}.bias", m.out) for m in DENSE.linear if m.path[-6:-5] in "qkv"],
)  # fmt: skip
MIXTRAL = {**LLAMA, "model_type": "mixtral", "architectures": ["MixtralForCausalLM"],
           "num_local_experts": 4, "num_experts_per_tok": 2}  # fmt: skip
_MOE = [f"model.layers.{n}.block_sparse_moe" for n in range(2)]
SPARSE = toy(
    MIXTRAL,
    [
        *(m for n in range(2) for m in attention(n)),
        *(
            m
            for path in _MOE
            for e in range(4)
            for m in mlp(f"{path}.experts.{e}", ("w1", "w3", "w2"))
        ),
    ],
    routers=tuple(Module(f"{path}.gate", 4, 256) for path in _MOE),
)
TOYS = {"dense": DENSE, "tied, with biases": TIED, "experts": SPARSE}


def plain(path: str, out: int, inner: int) -> Arrays:
    return {f"{path}.weight": np.zeros((out, inner), np.float16)}


def words(count: int, *shape: int) -> Any:
    return np.zeros((*shape, count), np.uint32)


# mlx.nn.QuantizedLinear and QuantizedEmbedding: packed words, scales and biases of groups.
def mlx(bits: int, group: int) -> Layout:
    return lambda path, out, inner: {
        f"{path}.weight": words(inner * bits // 32, out),
        f"{path}.scales": np.zeros((out, inner // group), np.float16),
        f"{path}.biases": np.zeros((out, inner // group), np.float16),
    }


# The same in the modes mxfp4, mxfp8 and nvfp4: a scale of 8 bits, no bias.
def mlx_narrow(bits: int, group: int) -> Layout:
    return lambda path, out, inner: {
        f"{path}.weight": words(inner * bits // 32, out),
        f"{path}.scales": np.zeros((out, inner // group), np.uint8),
    }


# compressed_tensors/compressors/nvfp4: with input_global_scale where it is stored.
def ct_nvfp4(*, with_inputs: bool) -> Layout:
    def layout(path: str, out: int, inner: int) -> Arrays:
        arrays: Arrays = {
            f"{path}.weight_packed": np.zeros((out, inner // 2), np.uint8),
            f"{path}.weight_scale": np.zeros((out, inner // 16), np.uint8),
            f"{path}.weight_global_scale": np.zeros(1, np.float32),
        }
        if with_inputs:
            arrays[f"{path}.input_global_scale"] = np.zeros(1, np.float32)
        return arrays

    return layout


# compressed_tensors/compressors/mxfp4 and mxfp8: exponents of 8 bits for 32 weights.
def ct_mx(bits: int) -> Layout:
    return lambda path, out, inner: {
        f"{path}.weight_packed": np.zeros((out, inner * bits // 8), np.uint8),
        f"{path}.weight_scale": np.zeros((out, inner // 32), np.uint8),
    }


# compressed_tensors/compressors/naive_quantized: fp8 and int8, scales in the model's dtype.
def ct_rows(path: str, out: int, inner: int) -> Arrays:
    return {
        f"{path}.weight": np.zeros((out, inner), np.uint8),
        f"{path}.weight_scale": np.zeros((out, 1), np.float16),
    }


def ct_static(path: str, out: int, inner: int) -> Arrays:
    return {
        f"{path}.weight": np.zeros((out, inner), np.uint8),
        f"{path}.weight_scale": np.zeros(1, np.float16),
        f"{path}.input_scale": np.zeros(1, np.float16),
    }


def fp32_scales(shape: Callable[[int, int], tuple[int, ...]], *, inputs: bool = False) -> Layout:
    """8 bits with fp32 scales of a shape: fbgemm, ModelOpt, Quark, torchao's Float8Tensor."""

    def layout(path: str, out: int, inner: int) -> Arrays:
        arrays: Arrays = {
            f"{path}.weight": np.zeros((out, inner), np.uint8),
            f"{path}.weight_scale": np.zeros(shape(out, inner), np.float32),
        }
        if inputs:
            arrays[f"{path}.input_scale"] = np.zeros((), np.float32)
        return arrays

    return layout


BY_ROWS = fp32_scales(lambda out, inner: (out, 1))  # noqa: ARG005 - by rows
WHOLE = fp32_scales(lambda out, inner: (), inputs=True)  # noqa: ARG005 - of the whole


# modelopt/torch/export: weight_scale_2 is the fp32 scale of the whole.
def modelopt_nvfp4(*, inputs: bool) -> Layout:
    def layout(path: str, out: int, inner: int) -> Arrays:
        arrays: Arrays = {
            f"{path}.weight": np.zeros((out, inner // 2), np.uint8),
            f"{path}.weight_scale": np.zeros((out, inner // 16), np.uint8),
            f"{path}.weight_scale_2": np.zeros((), np.float32),
        }
        if inputs:
            arrays[f"{path}.input_scale"] = np.zeros((), np.float32)
        return arrays

    return layout


# hqq/core/quantize.py: W_q of 8 // bits weights in a byte, scale and zero of runs of 64.
def hqq(bits: int) -> Layout:
    return lambda path, out, inner: {
        f"{path}.W_q": np.zeros((out * inner * bits // 8 // 64, 64), np.uint8),
        f"{path}.scale": np.zeros((out * inner // 64, 1), np.float16),
        f"{path}.zero": np.zeros((out * inner // 64, 1), np.float16),
    }


# optimum-quanto nn/qmodule.py, tensor/weights/qbits.py.
def quanto(bits: int) -> Layout:
    def layout(path: str, out: int, inner: int) -> Arrays:
        flow = {f"{path}.{name}_scale": np.zeros((), np.float16) for name in ("input", "output")}
        if bits == 8:
            parts: Arrays = {"_data": np.zeros((out, inner), np.int8),
                             "_scale": np.zeros((out, 1), np.float16)}  # fmt: skip
        else:
            groups = (out * inner // 128, 1)
            parts = {"_data": np.zeros((out * bits // 8, inner), np.uint8),
                     "_scale": np.zeros(groups, np.float16),
                     "_shift": np.zeros(groups, np.float16)}  # fmt: skip
        return {**flow, **{f"{path}.weight.{name}": array for name, array in parts.items()}}

    return layout


# auto_round_extension/torch/qlinear_torch.py: as GPTQ's, without g_idx.
def auto_round(path: str, out: int, inner: int) -> Arrays:
    return {
        f"{path}.qweight": np.zeros((inner // 8, out), np.int32),
        f"{path}.qzeros": np.zeros((inner // 128, out // 8), np.int32),
        f"{path}.scales": np.zeros((inner // 128, out), np.float16),
    }


# transformers' EetqLinear, BitLinear, MetalLinear, HiggsLinear.
def eetq(path: str, out: int, inner: int) -> Arrays:
    return {
        f"{path}.weight": np.zeros((inner, out), np.int8),
        f"{path}.weight_scales": np.zeros(out, np.float16),
    }


def bitnet(path: str, out: int, inner: int) -> Arrays:
    return {
        f"{path}.weight": np.zeros((out // 4, inner), np.uint8),
        f"{path}.weight_scale": np.zeros(1, np.float16),
    }


def higgs(path: str, out: int, inner: int) -> Arrays:
    return {
        f"{path}.weight": np.zeros((out * 4 // 16, inner), np.int16),
        f"{path}.scales": np.zeros((out, inner // 256), np.float16),
        f"{path}.tables": np.zeros(2**4, np.float16),
        f"{path}.tables2": np.zeros((2**4, 2**4, 2), np.float16),
    }


# AQLM inference_lib/src/aqlm/inference.py: one book of 2**8 vectors of 8 weights.
def aqlm(path: str, out: int, inner: int) -> Arrays:
    return {
        f"{path}.codes": np.zeros((out, inner // 8, 1), np.int8),
        f"{path}.codebooks": np.zeros((1, 2**8, 1, 8), np.float16),
        f"{path}.scales": np.zeros((out, 1, 1, 1), np.float16),
    }


# The same of two books of vectors of 16 weights: 2 x 8 bits for 16.
def aqlm_of_two(path: str, out: int, inner: int) -> Arrays:
    return {
        f"{path}.codes": np.zeros((out, inner // 16, 2), np.int8),
        f"{path}.codebooks": np.zeros((2, 2**8, 1, 16), np.float16),
        f"{path}.scales": np.zeros((out, 1, 1, 1), np.float16),
    }


# VPTQ vptq/layers/vqlinear.py: 12 + 8 bits for runs of 8 rows, packed along the inputs.
def vptq(path: str, out: int, inner: int) -> Arrays:
    return {
        f"{path}.centroids.weight": np.zeros((1, 4096 * 8), np.float16),
        f"{path}.res_centroids.weight": np.zeros((1, 256 * 8), np.float16),
        f"{path}.indices": np.zeros((1, out // 8, inner * 20 // 32), np.int32),
        f"{path}.perm": np.zeros(inner, np.int16),
        f"{path}.weight_scale": np.zeros(inner, np.float16),
        f"{path}.weight_bias": np.zeros(inner, np.float16),
    }


_VPTQ = {
    "vector_lens": [-1, 8], "num_centroids": [-1, 4096], "num_res_centroids": [-1, 256],
    "group_num": 1, "is_indice_packed": True, "enable_perm": True, "enable_norm": True,
    "outlier_size": 0, "indices_as_float": False,
}  # fmt: skip


# hqq/core/bitpack.py: ten weights of 3 bits in a word, from ten rows of groups.
def hqq_of_3(path: str, out: int, inner: int) -> Arrays:
    groups = out * inner // 64
    return {
        f"{path}.W_q": np.zeros((-(-groups // 10), 64), np.int32),
        f"{path}.scale": np.zeros((groups, 1), np.float16),
        f"{path}.zero": np.zeros((groups, 1), np.float16),
    }


# FP-Quant inference_lib/src/fp_quant/module/linear.py.
def fp_quant(path: str, out: int, inner: int) -> Arrays:
    whole = {f"{path}.{name}": np.zeros(1, np.float16)
             for name in ("weight_global_scale", "act_global_scale")}  # fmt: skip
    turns = {f"{path}.{name}_hadamard_matrix": np.zeros((32, 32), np.float16)
             for name in ("forward", "backward")}  # fmt: skip
    return {
        f"{path}.qweight": np.zeros((out, inner // 2), np.uint8),
        f"{path}.scales": np.zeros((out, inner // 32), np.uint8),
        **whole,
        **turns,
    }


# torchao Int4Tensor, Int8Tensor.
def ao_int4(path: str, out: int, inner: int) -> Arrays:
    return {
        f"{path}.qdata": np.zeros((out, inner // 2), np.uint8),
        f"{path}.scale": np.zeros((inner // 128, out), np.float16),
        f"{path}.zero_point": np.zeros((inner // 128, out), np.float16),
    }


def ao_int8(path: str, out: int, inner: int) -> Arrays:
    return {
        f"{path}.qdata": np.zeros((out, inner), np.int8),
        f"{path}.scale": np.zeros((out, 1), np.float16),
    }


# transformers' integrations/gemma_quant.py, QuantizedLinear.
def gemma(path: str, out: int, inner: int) -> Arrays:
    flow = {f"{path}.{name}_activation_scale": np.zeros((), np.float32)
            for name in ("input", "output")}  # fmt: skip
    return {
        f"{path}.weight": np.zeros((out, inner // 2), np.uint8),
        f"{path}.weight_scale": np.zeros((out, 1), np.float32),
        **flow,
    }


def ct(layout: str, weights: dict[str, Any], **more: Any) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": weights, **more}
    ignore = ["lm_head", "re:.*block_sparse_moe.gate"]
    return {
        "quant_method": "compressed-tensors", "format": layout, "ignore": ignore,
        "config_groups": {"group_0": group},
    }  # fmt: skip


_FP4 = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}
_FP8 = {"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": False}


def ao(name: str, **data: Any) -> dict[str, Any]:
    usual = {"_type": name, "_version": 2, "_data": data}
    return {"quant_method": "torchao", "quant_type": {"default": usual}}


METHODS: dict[str, tuple[dict[str, Any], Layout]] = {
    "ct nvfp4, local": (
        ct("nvfp4-pack-quantized", _FP4, input_activations={**_FP4, "dynamic": "local"}),
        ct_nvfp4(with_inputs=True),
    ),
    "ct nvfp4, weights alone": (ct("nvfp4-pack-quantized", _FP4), ct_nvfp4(with_inputs=False)),
    "ct mxfp4": (
        ct("mxfp4-pack-quantized", {**_FP4, "strategy": "group", "group_size": 32},
           input_activations={**_FP4, "group_size": 32, "dynamic": True}),
        ct_mx(4),
    ),
    "ct mxfp8": (ct("mxfp8-quantized", {**_FP8, "strategy": "group", "group_size": 32}), ct_mx(8)),
    "ct fp8, static": (ct("float-quantized", _FP8, input_activations=_FP8), ct_static),
    "ct int8": (
        ct("int-quantized", {"num_bits": 8, "type": "int", "strategy": "channel"},
           input_activations={"num_bits": 8, "type": "int", "strategy": "token", "dynamic": True}),
        ct_rows,
    ),
    "fbgemm": ({"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0}, BY_ROWS),
    "modelopt fp8": ({"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}, WHOLE),
    "modelopt fp8 by rows": (
        {"quant_method": "modelopt", "quant_algo": "FP8_PER_CHANNEL_PER_TOKEN"}, BY_ROWS,
    ),
    "modelopt fp8 in blocks": (
        {"quant_method": "modelopt", "quant_algo": "FP8_PB_WO"},
        fp32_scales(lambda out, inner: (out // 128, 1, inner // 128, 1)),
    ),
    "modelopt nvfp4": (
        {"producer": {"name": "modelopt"},
         "quantization": {"quant_algo": "NVFP4", "group_size": 16}},
        modelopt_nvfp4(inputs=True),
    ),
    "modelopt nvfp4, weights alone": (
        {"quant_method": "modelopt", "quant_algo": "W4A16_NVFP4"}, modelopt_nvfp4(inputs=False),
    ),
    "modelopt by groups": (
        {"quant_method": "modelopt", "producer": {"name": "modelopt"}, "ignore": ["lm_head"],
         "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "float",
                                                   "group_size": 16}, "targets": ["Linear"]}}},
        modelopt_nvfp4(inputs=True),
    ),
    "quark fp8": (
        {"quant_method": "quark", "exclude": ["lm_head"], "global_quant_config": {
            "weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"},
            "input_tensors": {"dtype": "fp8_e4m3", "is_dynamic": False}}},
        WHOLE,
    ),
    "quark mxfp4": (
        {"quant_method": "quark", "exclude": ["lm_head", "re:.*gate$"], "global_quant_config": {
            "weight": {"dtype": "fp4", "qscheme": "per_group", "group_size": 32,
                       "scale_format": "e8m0"},
            "input_tensors": {"dtype": "fp4", "is_dynamic": True}}},
        ct_mx(4),
    ),
    "hqq of 4 bits": (
        {"quant_method": "hqq", "skip_modules": ["lm_head"],
         "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64, "axis": 1}}},
        hqq(4),
    ),
    "hqq of 2 bits": (
        {"quant_method": "hqq",
         "quant_config": {"weight_quant_params": {"nbits": 2, "group_size": 64, "axis": 0}}},
        hqq(2),
    ),
    "quanto int8": ({"quant_method": "quanto", "weights": "int8"}, quanto(8)),
    "quanto int4": ({"quant_method": "quanto", "weights": "int4"}, quanto(4)),
    "quanto int2": ({"quant_method": "quanto", "weights": "int2"}, quanto(2)),
    "auto-round": (
        {"quant_method": "auto-round", "bits": 4, "group_size": 128, "sym": True,
         "packing_format": "auto_round:auto_gptq", "block_name_to_quantize": "model.layers"},
        auto_round,
    ),
    "eetq": ({"quant_method": "eetq", "weights": "int8"}, eetq),
    "bitnet": ({"quant_method": "bitnet", "linear_class": "bitlinear"}, bitnet),
    "metal": ({"quant_method": "metal", "bits": 4, "group_size": 64}, mlx(4, 64)),
    "higgs": ({"quant_method": "higgs", "bits": 4, "group_size": 256}, higgs),
    "aqlm": (
        {"quant_method": "aqlm", "in_group_size": 8, "out_group_size": 1, "num_codebooks": 1,
         "nbits_per_codebook": 8,
         "linear_weights_not_to_quantize": ["lm_head.weight", "model.embed_tokens.weight"]},
        aqlm,
    ),
    "aqlm of two books": (
        {"quant_method": "aqlm", "in_group_size": 16, "out_group_size": 1, "num_codebooks": 2,
         "nbits_per_codebook": 8},
        aqlm_of_two,
    ),
    "vptq": (
        {"quant_method": "vptq", "config_for_layers": {
            module.path: _VPTQ for module in (*DENSE.linear, *SPARSE.linear)}},
        vptq,
    ),
    "hqq of 3 bits": (
        {"quant_method": "hqq",
         "quant_config": {"weight_quant_params": {"nbits": 3, "group_size": 64, "axis": 1}}},
        hqq_of_3,
    ),
    "fp_quant": ({"quant_method": "fp_quant", "forward_dtype": "mxfp4"}, fp_quant),
    "torchao int4": (ao("Int4WeightOnlyConfig", group_size=128), ao_int4),
    "torchao int4 by its old name": (
        {"quant_method": "torchao", "quant_type": "int4_weight_only",
         "quant_type_kwargs": {"group_size": 128}},
        ao_int4,
    ),
    "torchao int8": (ao("Int8DynamicActivationInt8WeightConfig"), ao_int8),
    "torchao fp8": (ao("Float8WeightOnlyConfig"), BY_ROWS),
    "gemma": ({"quant_method": "gemma", "num_bits": 4}, gemma),
}  # fmt: skip


def arrays_of(model: Toy, layout: Layout, tables: Layout = plain, head: Layout = plain) -> Arrays:
    arrays: Arrays = {name: np.zeros(length, np.float16) for name, length in model.vectors}
    for modules, how in (
        (model.linear, layout), (model.tables, tables), (model.head, head), (model.routers, plain),
    ):  # fmt: skip
        for module in modules:
            arrays |= how(*module)
    return arrays


def check(tmp_path: Path, model: Toy, block: Mapping[str, Any], arrays: Arrays) -> None:
    folder = save(tmp_path, {**model.config, **block}, arrays)
    by_file = sum(array.nbytes for array in arrays.values())
    answer = mw.analyze(folder, on="h100-sxm")
    stored = answer.scenario.model.stored
    assert stored is not None
    assert stored.nbytes == by_file
    assert answer.footprint.weights == by_file, answer.conventions["weights"]
    assert mw.analyze({**model.config, **block}, on="h100-sxm").footprint.weights == by_file


# The arithmetic that a method computes in, where it quantises activations as well.
COMPUTES = {
    "ct nvfp4, local": "fp4", "ct mxfp4": "fp4", "ct fp8, static": "fp8", "ct int8": "int8",
    "fbgemm": "fp8", "modelopt fp8": "fp8", "modelopt fp8 by rows": "fp8", "modelopt nvfp4": "fp4",
    "modelopt by groups": "fp4", "quark fp8": "fp8", "quark mxfp4": "fp4", "fp_quant": "fp4",
    "torchao int8": "int8",
}  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_the_arithmetic_of_a_method(method: str) -> None:
    storage = mw.model({**LLAMA, "quantization_config": METHODS[method][0]}).storage
    assert storage is not None
    assert storage.computes_in(storage.linear) == COMPUTES.get(method, "")
    assert not storage.computes_in(storage.rest)


@pytest.mark.parametrize("method", METHODS)
def test_by_file_and_by_quantisation(tmp_path: Path, method: str) -> None:
    block, layout = METHODS[method]
    for name, model in TOYS.items():
        where = tmp_path / name
        check(where, model, {"quantization_config": block}, arrays_of(model, layout))


@pytest.mark.parametrize(
    ("block", "layout"),
    [
        ({"group_size": 64, "bits": 4}, mlx(4, 64)),
        ({"group_size": 32, "bits": 8, "mode": "affine"}, mlx(8, 32)),
        ({"group_size": 64, "bits": 3}, mlx(3, 64)),
        ({"group_size": 128, "bits": 6}, mlx(6, 128)),
        ({"group_size": 32, "bits": 4, "mode": "mxfp4"}, mlx_narrow(4, 32)),
        ({"group_size": 16, "bits": 4, "mode": "nvfp4"}, mlx_narrow(4, 16)),
        ({"group_size": 32, "bits": 8, "mode": "mxfp8"}, mlx_narrow(8, 32)),
    ],
)
def test_mlx_by_file_and_by_quantisation(
    tmp_path: Path, block: dict[str, Any], layout: Layout
) -> None:
    for name, model in TOYS.items():
        arrays = arrays_of(model, layout, tables=layout, head=layout)
        for keys in (("quantization",), ("quantization", "quantization_config")):
            check(tmp_path / name / keys[-1], model, dict.fromkeys(keys, block), arrays)
    beside = {"quantization": block, "quantization_config": {"quant_method": "fp8"}}
    check(tmp_path, DENSE, beside, arrays_of(DENSE, layout, tables=layout, head=layout))


def test_the_quantisation_of_a_text_half() -> None:
    """A block within ``text_config`` is for the text alone; and it is the same block."""
    block = METHODS["fbgemm"][0]
    text = {
        key: value for key, value in LLAMA.items() if key not in ("architectures", "torch_dtype")
    }
    vision = {"model_type": "siglip_vision_model", "hidden_size": 64, "intermediate_size": 128,
              "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28,
              "patch_size": 14}  # fmt: skip
    config = {
        "model_type": "llava", "architectures": ["LlavaForConditionalGeneration"],
        "torch_dtype": "float16", "text_config": text, "vision_config": vision,
    }  # fmt: skip
    whole = mw.analyze(config, on="h100-sxm").footprint.weights
    # Of each linear layer of the text: one byte less a weight, and 4 B a row.
    less = sum(m.out * m.inner - 4 * m.out for m in DENSE.linear)
    nested = {**config, "text_config": {**text, "quantization_config": block}}
    assert mw.analyze(nested, on="h100-sxm").footprint.weights == whole - less
    ignored = {**block, "modules_to_not_convert": ["vision_tower", "multi_modal_projector"]}
    beside = {**config, "quantization_config": ignored}
    assert mw.analyze(beside, on="h100-sxm").footprint.weights == whole - less
    patterns = ["re:.*vision_tower.*", "re:multi_modal_projector.*", "lm_head"]
    by_pattern = {**config, "quantization_config": {**block, "ignore": patterns}}
    assert mw.analyze(by_pattern, on="h100-sxm").footprint.weights == whole - less

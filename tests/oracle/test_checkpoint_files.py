"""Weights by file, by quantisation and by name agree: published models in each method's layout.

The modules are those of transformers' class, built without memory; a file has the header that the
method's layout gives it, and no more than holes behind.
"""

from __future__ import annotations

import json
import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import memorywall as mw
from memorywall.catalog.configs import find_config
from tests.frontends.files import Arrays
from tests.frontends.test_checkpoint_layouts import METHODS, Layout, mlx, mlx_narrow

MODELS = (
    "meta-llama/Llama-3.1-8B", "Qwen/Qwen2.5-7B", "mistralai/Mistral-7B-v0.1",
    "allenai/OLMo-2-1124-7B", "google/gemma-2-9b", "Qwen/Qwen3-8B",
    "meta-llama/Llama-3.2-1B",
)  # fmt: skip
NAMES = {"BF16": 2, "F16": 2, "F32": 4, "U8": 1, "I8": 1, "I16": 2, "I32": 4, "U32": 4}
DTYPES = {"float16": "F16", "float32": "F32", "uint8": "U8", "int8": "I8", "int16": "I16",
          "int32": "I32", "uint32": "U32"}  # fmt: skip
Entries = dict[str, tuple[str, tuple[int, ...]]]


@cache
def modules(name: str) -> tuple[dict[str, Any], dict[str, tuple[str, tuple[int, ...]]]]:
    """Return a config, and kind and shape of each weight of its class by the weight's name."""
    entry = find_config(name)
    assert entry is not None
    config = transformers.AutoConfig.for_model(**entry.config)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    kinds = {torch.nn.Linear: "linear", torch.nn.Embedding: "table"}
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for path, module in model.named_modules():
        for own, tensor in module.named_parameters(recurse=False):
            kind = next((kinds[cls] for cls in kinds if isinstance(module, cls)), "")
            kind = kind if own == "weight" else ""
            found[f"{path}.{own}"] = (kind, tuple(tensor.shape))
    if config.tie_word_embeddings:
        del found["lm_head.weight"]
    return {**entry.config, "torch_dtype": "bfloat16"}, found


def entries(arrays: Arrays) -> Entries:
    """Return the entries of a header; where a layout has the model's dtype, as wide as bf16."""
    return {name: (DTYPES[str(a.dtype)], a.shape) for name, a in arrays.items()}


def write(folder: Path, config: dict[str, Any], tensors: Entries) -> int:
    """Write a folder with the header of a file, and return the bytes of its tensors."""
    folder.mkdir(exist_ok=True)
    header, at = {}, 0
    for name, (dtype, shape) in tensors.items():
        end = at + NAMES[dtype] * int(np.prod(shape, dtype=np.int64))
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)
    (folder / "config.json").write_text(json.dumps(config))
    return at


def check(
    folder: Path, name: str, block: dict[str, Any], layout: Layout, *, tables: bool = False
) -> None:
    config, weights = modules(name)
    tensors: Entries = {}
    for path, (kind, shape) in weights.items():
        module = path.removesuffix(".weight")
        is_packed = kind == "linear" and (tables or module != "lm_head")
        if is_packed or (tables and kind == "table"):
            tensors |= entries(layout(module, *shape))
        else:
            tensors[path] = ("BF16", shape)
    config = {**config, **block}
    by_file = write(folder, config, tensors)
    answer = mw.analyze(folder, on="h100-sxm")
    assert answer.footprint.weights == by_file, answer.conventions["weights"]
    assert mw.analyze(config, on="h100-sxm").footprint.weights == by_file
    assert not any("The files hold" in note for note in answer.notes)


def check_method(folder: Path, name: str, method: str) -> None:
    block, layout = METHODS[method]
    if "config_for_layers" in block:  # VPTQ's config names every module
        _, found = modules(name)
        paths = [path.removesuffix(".weight") for path, (kind, _) in found.items()
                 if kind == "linear" and path != "lm_head.weight"]  # fmt: skip
        settings = next(iter(block["config_for_layers"].values()))
        block = {**block, "config_for_layers": dict.fromkeys(paths, settings)}
    check(folder, name, {"quantization_config": block}, layout)


@pytest.mark.parametrize("method", ["ct nvfp4, local", "modelopt fp8", "quanto int4", "aqlm"])
def test_llama_by_file_and_by_quantisation(tmp_path: Path, method: str) -> None:
    check_method(tmp_path, "meta-llama/Llama-3.1-8B", method)


def test_llama_as_mlx_by_file_and_by_quantisation(tmp_path: Path) -> None:
    block = {"quantization": {"group_size": 64, "bits": 4}}
    check(tmp_path, "meta-llama/Llama-3.1-8B", block, mlx(4, 64), tables=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_published_models_by_file_and_by_quantisation(tmp_path: Path, name: str) -> None:
    for method in METHODS:
        check_method(tmp_path, name, method)
    for mode, bits, group in (("mxfp4", 4, 32), ("nvfp4", 4, 16), ("mxfp8", 8, 32)):
        block = {"quantization": {"group_size": group, "bits": bits, "mode": mode}}
        check(tmp_path, name, block, mlx_narrow(bits, group), tables=True)


@pytest.mark.parametrize("name", MODELS)
def test_by_file_and_by_name(tmp_path: Path, name: str) -> None:
    """Unquantised, the file, the config and the name of its dtype are one number of bytes."""
    config, weights = modules(name)
    by_file = write(
        tmp_path, config, {path: ("BF16", shape) for path, (_, shape) in weights.items()}
    )
    for answer in (
        mw.analyze(tmp_path, on="h100-sxm"),
        mw.analyze(config, on="h100-sxm"),
        mw.analyze(config, on="h100-sxm", weights="bf16"),
        mw.analyze(tmp_path, on="h100-sxm", weights="fp16"),
    ):
        assert answer.footprint.weights == by_file


@pytest.mark.parametrize("mode", ["mxfp4", "nvfp4", "mxfp8"])
@pytest.mark.parametrize("name", MODELS)
def test_by_quantisation_and_by_name(name: str, mode: str) -> None:
    """A name is for every weight, MLX's mode of it for all but vectors: they are the difference."""
    config, weights = modules(name)
    by_name = mw.analyze(config, on="h100-sxm", weights=mode).footprint.weights
    config = {**config, "quantization": {"mode": mode}}
    by_quantisation = mw.analyze(config, on="h100-sxm").footprint.weights
    # Of a vector of n: 2 B each in bf16; in the format its bits, and 8 for a group, whole bytes.
    bits, group = {"mxfp4": (4, 32), "nvfp4": (4, 16), "mxfp8": (8, 32)}[mode]
    vectors = [shape[0] for kind, shape in weights.values() if not kind]
    narrow = sum(-(-(n * bits + -(-n // group) * 8) // 8) for n in vectors)
    assert by_quantisation - by_name == 2 * sum(vectors) - narrow

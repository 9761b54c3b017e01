"""Every architecture of GGUF files: headers that llama.cpp's own converter wrote.

``gguf_headers.json`` holds, for small models of transformers' classes (random weights, saved by
transformers), their config, their parameters as PyTorch counts them, and the metadata and the
tensors' shapes that llama.cpp's ``convert_hf_to_gguf.py`` made of them (ggml-org/llama.cpp, as in
llama-cpp-python 0.3.36; transformers 5.23; without tokenizer). They are written here to files by
the ``gguf`` library, sparse, with formats that differ by the tensor's name.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gguf
import numpy as np
import pytest

import memorywall as mw
from memorywall.core.errors import UnsupportedError
from memorywall.families import family_of
from memorywall.frontends._gguf_rows import ROWS

HEADERS: dict[str, Any] = json.loads((Path(__file__).parent / "gguf_headers.json").read_text())
_TYPES = ("Q8_0", "Q4_0", "Q5_1", "F16", "BF16")
_BYTES = {"Q8_0": (32, 34), "Q4_0": (32, 18), "Q5_1": (32, 24), "F16": (1, 2), "BF16": (1, 2),
          "F32": (1, 4)}  # fmt: skip


def tensors_of(name: str) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Yield each tensor of a header: name, shape, type; one type for one name in all blocks."""
    for title, shape, *places in HEADERS[name]["tensors"]:
        whole = len(shape) > 1 and title.endswith(".weight") and not title.startswith("rope_")
        kind = _TYPES[zlib.crc32(title.encode()) % len(_TYPES)] if whole else "F32"
        if shape[-1] % _BYTES[kind][0]:
            kind = "F16"
        for place in places[0] if places else (None,):
            yield title.replace("*", str(place)), tuple(shape), kind


def nbytes(shape: tuple[int, ...], kind: str) -> int:
    size, each = _BYTES[kind]
    return elements(shape) // size * each


def elements(shape: tuple[int, ...]) -> int:
    total = 1
    for length in shape:
        total *= length
    return total


def write(
    path: Path, name: str, architecture: str = "", changes: Mapping[str, Any] = MappingProxyType({})
) -> Path:
    """Write a header by the gguf library, and holes for its tensors."""
    own = HEADERS[name]["metadata"]["general.architecture"]
    writer = gguf.GGUFWriter(path, architecture or own)
    metadata = {
        key.replace(f"{own}.", f"{architecture or own}.", 1): value
        for key, value in HEADERS[name]["metadata"].items()
        if key != "general.architecture"
    }
    for key, value in {**metadata, **changes}.items():
        adders: dict[type, Any] = {
            bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32,
            str: writer.add_string, list: writer.add_array,
        }  # fmt: skip
        add = adders[type(value)]
        add(key, value)
    total = 0
    for title, shape, kind in tensors_of(name):
        type_ = gguf.GGMLQuantizationType[kind]
        size, each = _BYTES[kind]
        stored = (*shape[:-1], shape[-1] // size * each)  # the library wants bytes along a row
        packed = size > 1 or kind == "BF16"
        dtype = np.dtype("uint8" if packed else {"F16": "float16", "F32": "float32"}[kind])
        writer.add_tensor_info(
            title, stored if packed else shape, dtype, nbytes(shape, kind),
            raw_dtype=type_,
        )  # fmt: skip
        total += gguf.GGUFWriter.ggml_pad(nbytes(shape, kind), 32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("ab") as file:
        start = file.tell()
        file.truncate(start + -start % 32 + total)
    return path


def beside(name: str) -> tuple[int, int]:
    """Return elements and bytes of tensors that transformers' class has no parameter for.

    Factors of rotations; corrections of routers' scores and scales of layers, which are buffers of
    the class.
    """
    extra = [
        (elements(shape), nbytes(shape, kind))
        for title, shape, kind in tensors_of(name)
        if title.startswith("rope_")
        or title.endswith(("exp_probs_b.bias", "layer_output_scale.weight"))
    ]
    # Of ERNIE the class has the correction as a parameter.
    extra = [] if name == "ernie4_5-moe" else extra
    return sum(count for count, _ in extra), sum(size for _, size in extra)


# Elements that the class has and the converter leaves out: BERT's pooler, 64 x 64 + 64; of
# Apertus two numbers of each layer's activation, which are metadata.
_NOT_IN_FILE = {"bert": 4160, "roberta": 4160, "apertus": 6}
# Read as another class of the same operators: without RoBERTa's two unused positions and with
# BERT's names; Mistral and Granite with shared experts share another architecture.
_OTHER_CLASS: dict[str, dict[str, Any]] = {
    "roberta": {"model_type": "bert", "architectures": ["BertModel"],
                "max_position_embeddings": 254},
    "mistral": {"model_type": "llama", "architectures": ["LlamaForCausalLM"]},
    "granitemoe-shared": {"model_type": "granitemoehybrid", "position_embedding_type": "rope",
                          "layer_types": ["attention"] * 3,
                          "architectures": ["GraniteMoeHybridForCausalLM"]},
    "glm4moelite": {"model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"],
                    "first_k_dense_replace": 1},
}  # fmt: skip


@cache
def by_family(name: str) -> bool:
    architecture = HEADERS[name]["metadata"]["general.architecture"]
    return family_of(ROWS[architecture].model_type) is not None


@pytest.mark.parametrize("name", [name for name in HEADERS if by_family(name)])
def test_a_converted_model_is_its_config(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "toy.gguf", name)
    config = {**HEADERS[name]["config"], **_OTHER_CLASS.get(name, {}), "torch_dtype": "float16"}
    read, expected = mw.analyze(path, on="h100-sxm"), mw.analyze(config, on="h100-sxm")
    model, stored = read.scenario.model, read.scenario.model.stored
    assert model.architecture.class_name == expected.scenario.model.architecture.class_name
    assert stored is not None
    extra, extra_bytes = beside(name)
    absent = _NOT_IN_FILE.get(name, 0)
    assert model.parameters == expected.parameters == stored.elements - extra + absent
    if name != "roberta":
        assert model.parameters == HEADERS[name]["parameters"]
    counted = read.footprint.weights - (stored.nbytes - extra_bytes)
    # Weights that are not in the file have its mean format. The two stacks of T5 have separate
    # formats, of which the mean is rounded up for each of 5 layers.
    assert 0 <= counted <= 4 * absent + (5 if name == "t5" else 0)
    for phase in ("prefill", "decode") if model.causal else ("encode",):
        words: dict[str, Any] = {"on": "h100-sxm", "phase": phase, "seq_len": 50, "batch_size": 2}
        read, expected = mw.analyze(path, **words), mw.analyze(config, **words)
        assert read.flops == expected.flops
        assert read.footprint.kv_cache == expected.footprint.kv_cache
        assert read.footprint.state == expected.footprint.state


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in HEADERS if not by_family(name)])
def test_a_converted_model_is_its_traced_class(tmp_path: Path, name: str) -> None:
    model = mw.model(write(tmp_path / "toy.gguf", name))
    assert model.parameters == HEADERS[name]["parameters"]
    answer = mw.analyze(model, on="h100-sxm", phase="prefill", seq_len=8)
    assert model.stored is not None
    assert answer.footprint.weights == pytest.approx(model.stored.nbytes, rel=0.02)


# Architectures that transformers has no class for: by their converters they are another's, with
# the same tensors.
@pytest.mark.parametrize(
    ("name", "architecture", "model_type"),
    [
        ("llama", "internlm2", "llama"), ("llama", "exaone", "llama"), ("llama", "xverse", "llama"),
        ("llama", "baichuan", "llama"), ("llama", "mistral3", "llama"),
        ("mixtral", "mistral3", "mixtral"), ("granite", "minicpm", "granite"),
        ("granitemoe", "minicpm", "granitemoe"), ("qwen2", "qwen2vl", "qwen2"),
        ("qwen3", "qwen3vl", "qwen3"), ("qwen3moe", "qwen3vlmoe", "qwen3_moe"),
    ],
)  # fmt: skip
def test_an_architecture_of_the_same_operators(
    tmp_path: Path, name: str, architecture: str, model_type: str
) -> None:
    model = mw.model(write(tmp_path / "toy.gguf", name, architecture))
    assert model.architecture == mw.model(write(tmp_path / "own.gguf", name)).architecture
    assert model.config["model_type"] == model_type


@pytest.mark.parametrize("architecture", ["plamo", "grok", "rwkv7", "bitnet", "made-up"])
def test_of_other_architectures_the_weights_are_known(tmp_path: Path, architecture: str) -> None:
    model = mw.model(write(tmp_path / "toy.gguf", "qwen2moe", architecture))
    # Experts: 4 of which 2 are used, each 3 x 40 x 64 weights in three layers: 46 080 lie idle.
    assert model.parameters == HEADERS["qwen2moe"]["parameters"]
    assert model.active_parameters == model.parameters - 2 * 3 * 40 * 64 * 3
    assert model.stored is not None
    assert model.to_dict()["family"] == "weights"
    with pytest.raises(UnsupportedError) as error:
        mw.analyze(model, on="h100-sxm")
    assert architecture in error.value.message
    assert f"{model.parameters:,} in " in error.value.message
    assert "config.json" in (error.value.hint or "")


def test_layers_that_predict_further_tokens_are_left_out(tmp_path: Path) -> None:
    # GLM-4.5's converter counts them among the blocks: 4, of which one is left out by transformers.
    path = write(tmp_path / "toy.gguf", "glm4moe-nextn")
    assert mw.model(path).config["num_hidden_layers"] == 3
    # DeepSeek-V3 as if its last block predicted: that is a layer, and its bytes, less.
    path = write(
        tmp_path / "v3.gguf", "deepseek2-v3", changes={"deepseek2.nextn_predict_layers": 1}
    )
    answer = mw.analyze(path, on="h100-sxm")
    last = sum(
        nbytes(shape, kind)
        for title, shape, kind in tensors_of("deepseek2-v3")
        if title.startswith("blk.2.")
    )
    assert any(f"holds {last:,} B of layers that predict further" in note for note in answer.notes)
    stored = answer.scenario.model.stored
    assert stored is not None
    # The correction of the middle layer's router, 8 numbers in F32, is not counted either.
    assert answer.footprint.weights == stored.nbytes - last - 8 * 4


def test_layers_of_unequal_heads_are_refused_and_weighed(tmp_path: Path) -> None:
    changes = {"llama.attention.head_count_kv": [2, 1, 2]}
    model = mw.model(write(tmp_path / "toy.gguf", "llama", changes=changes))
    assert model.parameters == HEADERS["llama"]["parameters"]
    with pytest.raises(UnsupportedError, match="head_count_kv differs by layer"):
        mw.analyze(model, on="h100-sxm")


def test_every_row_is_written_by_a_converter() -> None:
    """A row without a header here is one that another test names, or that no class can make."""
    headers = {header["metadata"]["general.architecture"] for header in HEADERS.values()}
    renamed = {"internlm2", "exaone", "xverse", "baichuan", "mistral3", "minicpm", "qwen2vl",
               "qwen3vl", "qwen3vlmoe"}  # fmt: skip
    assert set(ROWS) - headers - renamed == {"dbrx", "nomic-bert", "orion", "qwen", "t5encoder"}

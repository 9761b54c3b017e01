"""GGUF files: headers, every block's size, configs from metadata, and what is refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

import memorywall as mw
from memorywall.frontends._ggml import BLOCKS
from memorywall.frontends.gguf import read_gguf
from tests.frontends.files import (
    F16,
    F32,
    GGUF_METADATA,
    LLAMA,
    Q4_K,
    Q6_K,
    GgufTensor,
    gguf,
    gguf_header,
    gguf_tensors,
)


def write(tmp_path: Path, data: bytes, name: str = "toy.gguf") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("alignment", [32, 64])
def test_a_file_is_its_model(tmp_path: Path, version: int, alignment: int) -> None:
    metadata = GGUF_METADATA | {"general.alignment": alignment}
    path = write(tmp_path, gguf(metadata, gguf_tensors(), version, alignment))
    answer = mw.analyze(path, on="h100-sxm")
    model = answer.scenario.model
    assert model.name == "toy"
    assert model.parameters == mw.model(LLAMA).parameters
    assert model.stored is not None
    assert model.stored.elements == model.parameters
    # Q6_K: the head, 98 304 weights, and one of two down-projections, 131 072: 210 B for 256.
    # F32: five norms of 256. Q4_K, 144 B for 256: the embedding, 98 304; of both layers q and o
    # 65 536 each, k and v 32 768 each, gate and up 131 072 each; and the other down-projection.
    sixes = (98_304 + 131_072) // 256 * 210
    fours = (98_304 + 2 * (2 * 65_536 + 2 * 32_768 + 2 * 131_072) + 131_072) // 256 * 144
    assert dict(model.stored.bytes_by_format) == {"Q4_K": fours, "Q6_K": sixes, "F32": 5 * 1024}
    assert answer.footprint.weights == fours + sixes + 5 * 1024
    assert answer.conventions["weights"] == "Q4_K, Q6_K, F32"
    assert answer.conventions["kv_cache"] == "fp16"
    # Half of the layers' down-projections in each format: 131 072 weights at the mean of 177 B.
    down = next(op for op in answer.ops if op.name.endswith("down_proj"))
    assert down.traffic["weight"] == 2 * 131_072 // 256 * 177


def test_a_named_format_is_for_every_weight(tmp_path: Path) -> None:
    path = write(tmp_path, gguf(GGUF_METADATA, gguf_tensors()))
    named = mw.analyze(path, on="h100-sxm", weights="int8")
    assert named.footprint.weights == named.parameters
    assert not any("The files hold" in note for note in named.notes)


def test_without_output_the_head_is_tied(tmp_path: Path) -> None:
    tensors = [tensor for tensor in gguf_tensors() if tensor[0] != "output.weight"]
    answer = mw.analyze(write(tmp_path, gguf(GGUF_METADATA, tensors)), on="h100-sxm")
    assert answer.parameters == mw.model({**LLAMA, "tie_word_embeddings": True}).parameters
    assert answer.scenario.model.stored is not None
    assert answer.footprint.weights == answer.scenario.model.stored.nbytes


def test_any_file_of_a_split_model_is_the_model(tmp_path: Path) -> None:
    tensors = gguf_tensors()
    parts = [tensors[:4], tensors[4:9], tensors[9:]]
    for number, part in enumerate(parts, start=1):
        metadata = GGUF_METADATA if number == 1 else {"split.no": number - 1}
        path = write(tmp_path, gguf(metadata, part), f"toy-{number:05}-of-00003.gguf")
    whole = write(tmp_path, gguf(GGUF_METADATA, tensors))
    model = mw.model(path)
    assert model.stored is not None
    assert model.stored.files == 3
    assert model.stored.bytes_by_format == mw.model(whole).stored.bytes_by_format  # type: ignore[union-attr]
    path.unlink()
    with pytest.raises(mw.MemoryWallError, match=r"toy-00003-of-00003\.gguf: there is no such"):
        mw.model(tmp_path / "toy-00001-of-00003.gguf")


# Bits a weight as llama.cpp's own tables and papers print them, to what they round.
PRINTED = {
    "F32": 32, "F16": 16, "BF16": 16, "F64": 64, "I8": 8, "I16": 16, "I32": 32, "I64": 64,
    "Q4_0": 4.5, "Q4_1": 5.0, "Q5_0": 5.5, "Q5_1": 6.0, "Q8_0": 8.5, "Q8_1": 9.0, "Q2_K": 2.625,
    "Q3_K": 3.4375, "Q4_K": 4.5, "Q5_K": 5.5, "Q6_K": 6.5625, "Q8_K": 9.125, "IQ2_XXS": 2.0625,
    "IQ2_XS": 2.3125, "IQ2_S": 2.5625, "IQ3_XXS": 3.0625, "IQ3_S": 3.4375, "IQ1_S": 1.5625,
    "IQ1_M": 1.75, "IQ4_NL": 4.5, "IQ4_XS": 4.25, "TQ1_0": 1.6875, "TQ2_0": 2.0625, "MXFP4": 4.25,
    "NVFP4": 4.5, "Q1_0": 1.125, "Q2_0": 2.25,
}  # fmt: skip


def test_bits_of_every_block_format() -> None:
    assert {name: 8 * nbytes / size for name, size, nbytes in BLOCKS.values()} == PRINTED


@pytest.mark.parametrize("number", BLOCKS)
def test_every_block_format_is_read(tmp_path: Path, number: int) -> None:
    name, size, nbytes = BLOCKS[number]
    tensors: list[GgufTensor] = [("a", (3, 2 * size), (number, size, nbytes))]
    (tensor,) = read_gguf(write(tmp_path, gguf({}, tensors))).tensors
    assert (tensor.shape, tensor.format, tensor.nbytes) == ((3, 2 * size), name, 6 * nbytes)


def other(architecture: str, **changes: Any) -> dict[str, object]:
    """Return the metadata of another architecture with the same sizes."""
    renamed = {key.replace("llama.", f"{architecture}."): v for key, v in GGUF_METADATA.items()}
    return renamed | {"general.architecture": architecture} | {
        f"{architecture}.{key.replace('__', '.')}": value for key, value in changes.items()
    }  # fmt: skip


@pytest.mark.parametrize(
    ("metadata", "tensors", "config"),
    [
        (other("qwen2"), [], {"model_type": "qwen2"}),
        (other("qwen3", attention__key_length=128), [], {"model_type": "qwen3", "head_dim": 128}),
        (GGUF_METADATA, [("blk.0.attn_q.bias", (256,), F32)], {"attention_bias": True}),
        (other("phi3", attention__sliding_window=16), [],
         {"model_type": "phi3", "sliding_window": 16}),
        (other("olmo2"), [], {"model_type": "olmo2"}),
    ],
)  # fmt: skip
def test_configs_from_metadata(
    tmp_path: Path, metadata: dict[str, object], tensors: list[GgufTensor], config: dict[str, Any]
) -> None:
    model = mw.model(write(tmp_path, gguf(metadata, gguf_tensors() + tensors)))
    expected = {key: value for key, value in LLAMA.items() if key != "architectures"} | config
    assert model.architecture == mw.model(expected).architecture


def test_gpt2_keeps_its_fused_weights(tmp_path: Path) -> None:
    # D 256, F 1024, L 1, N 4, V 300, P 32: matrices in Q4_K, the rest in F32 or F16.
    metadata = {
        "general.architecture": "gpt2", "gpt2.block_count": 1, "gpt2.embedding_length": 256,
        "gpt2.feed_forward_length": 1024, "gpt2.attention.head_count": 4, "gpt2.context_length": 32,
    }  # fmt: skip
    tensors: list[GgufTensor] = [
        ("token_embd.weight", (300, 256), Q6_K), ("position_embd.weight", (32, 256), F32),
        ("output_norm.weight", (256,), F32), ("output_norm.bias", (256,), F32),
    ]  # fmt: skip
    for name, out, inner in [
        ("attn_qkv", 768, 256), ("attn_output", 256, 256), ("ffn_up", 1024, 256),
        ("ffn_down", 256, 1024),
    ]:  # fmt: skip
        tensors.append((f"blk.0.{name}.weight", (out, inner), Q4_K))
        tensors.append((f"blk.0.{name}.bias", (out,), F32))
    for norm in ("attn_norm", "ffn_norm"):
        tensors += [(f"blk.0.{norm}.{part}", (256,), F32) for part in ("weight", "bias")]
    answer = mw.analyze(write(tmp_path, gguf(metadata, tensors)), on="h100-sxm")
    stored = answer.scenario.model.stored
    assert stored is not None
    assert answer.parameters == stored.elements
    assert answer.footprint.weights == stored.nbytes


@pytest.mark.parametrize(
    ("metadata", "tensors", "said"),
    [
        (GGUF_METADATA | {"general.architecture": 3}, None, "must be a text, got 3"),
        ({}, None, "general.architecture must be a text, got None"),
        (GGUF_METADATA | {"general.type": "mmproj"}, None, "is the image or audio encoder"),
        (GGUF_METADATA | {"general.type": "adapter"}, None, "is an adapter (LoRA)"),
        ({"general.architecture": "clip"}, None, "Pass the GGUF of the text model"),
        (GGUF_METADATA, [], "a vocabulary alone"),
        ({k: v for k, v in GGUF_METADATA.items() if "block_count" not in k}, None,
         "the metadata has no llama.block_count"),
        (GGUF_METADATA | {"llama.block_count": "two"}, None, "block_count must be a number of"),
        (GGUF_METADATA | {"llama.block_count": 1 << 31}, None, "block_count must be a number of"),
        (GGUF_METADATA | {"llama.attention.key_length": "x"}, None, "key_length must be a length"),
        (GGUF_METADATA, [("output.weight", (4, 256), F16)], "the tensor 'token_embd.weight'"),
    ],
)  # fmt: skip
def test_what_is_refused(
    tmp_path: Path, metadata: dict[str, object], tensors: list[GgufTensor] | None, said: str
) -> None:
    path = write(tmp_path, gguf(metadata, gguf_tensors() if tensors is None else tensors))
    with pytest.raises(mw.MemoryWallError) as error:
        mw.model(path)
    assert said in str(error.value)
    assert "toy.gguf" in error.value.message


def test_a_published_model_of_8b(tmp_path: Path) -> None:
    """Llama 3.1 8B as llama.cpp makes a Q4_K_M of it, which is published as a file of 4.92 GB.

    Q6_K: the head; values and down-projections of the first and last eighth of the layers, and of
    every third between: 16 of 32.
    """
    metadata = {
        "general.architecture": "llama", "llama.block_count": 32, "llama.embedding_length": 4096,
        "llama.feed_forward_length": 14336, "llama.attention.head_count": 32,
        "llama.attention.head_count_kv": 8, "llama.context_length": 131_072,
    }  # fmt: skip
    shapes = {
        "attn_q": (4096, 4096), "attn_k": (1024, 4096), "attn_v": (1024, 4096),
        "attn_output": (4096, 4096), "ffn_gate": (14336, 4096), "ffn_up": (14336, 4096),
        "ffn_down": (4096, 14336),
    }  # fmt: skip
    tensors: list[GgufTensor] = [
        ("token_embd.weight", (128_256, 4096), Q4_K), ("output.weight", (128_256, 4096), Q6_K),
        ("output_norm.weight", (4096,), F32), ("rope_freqs.weight", (64,), F32),
    ]  # fmt: skip
    for layer in range(32):
        norms = ("attn_norm", "ffn_norm")
        tensors += [(f"blk.{layer}.{norm}.weight", (4096,), F32) for norm in norms]
        more_bits = layer < 4 or layer >= 28 or (layer - 4) % 3 == 2
        for name, shape in shapes.items():
            better = more_bits and name in ("attn_v", "ffn_down")
            tensors.append((f"blk.{layer}.{name}.weight", shape, Q6_K if better else Q4_K))
    start, nbytes = gguf_header(metadata, tensors)
    path = write(tmp_path, start)
    with path.open("ab") as file:
        file.truncate(len(start) + nbytes)  # nothing but holes: only the header is read
    answer = mw.analyze(path, on="rtx-4090")
    assert answer.parameters == mw.model("llama-3.1-8b").parameters
    # Embedding and head 525 336 576 weights each, 144 and 210 B for 256. A layer 218 103 808, of
    # which 62 914 560 are values and down-projection, in 16 layers at 210 B. 65 norms of 16 384 B.
    counted = (
        525_336_576 * (144 + 210) + 32 * 218_103_808 * 144 + 16 * 62_914_560 * (210 - 144)
    ) // 256 + 65 * 16_384
    assert answer.footprint.weights == counted
    # The frequencies of the rotation, 64 of 4 B, are not weights; the published file also has some
    # 8 MB of vocabulary.
    assert any("256 B more than is counted" in note for note in answer.notes)
    assert 4.91e9 < nbytes < 4.92e9


def header(tensors: int, keys: int, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + rest


def named(kind: int, rest: bytes) -> bytes:
    return struct.pack("<Q", 1) + b"k" + struct.pack("<I", kind) + rest


def tensor(name: bytes, shape: tuple[int, ...], number: int, offset: int) -> bytes:
    axes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return struct.pack("<Q", len(name)) + name + axes + struct.pack("<IQ", number, offset)


HUGE = 2**63
SPOILT = {
    "empty": (b"", "does not begin"),
    "another file": (b"GGML" + bytes(60), "does not begin"),
    "version 1": (header(0, 0, version=1), "version 1 is not supported"),
    "big-endian": (header(0, 0, version=3 << 24), "big-endian"),
    "tensors": (header(HUGE, 0), "more than any model has"),
    "keys": (header(0, HUGE), "more than any model has"),
    "cut off": (header(0, 1), "8 bytes are required, and 0 are left"),
    "a long key": (header(0, 1, struct.pack("<Q", HUGE)), "past the end"),
    "a long text": (header(0, 1, named(8, struct.pack("<Q", HUGE))), "past the end"),
    "a long array": (header(0, 1, named(9, struct.pack("<IQ", 4, HUGE))), "past the end"),
    "an array of texts": (header(0, 1, named(9, struct.pack("<IQ", 8, HUGE))), "longer than any"),
    "arrays of arrays": (
        header(0, 1, named(9, struct.pack("<IQ", 9, 1) * 90)), "9, 4 deep, which is not known",
    ),
    "many arrays of arrays": (
        header(0, 1, named(9, struct.pack("<IQ", 9, HUGE))), "longer than any",
    ),
    "a kind": (header(0, 1, named(99, bytes(8))), "kind 99"),
    "not UTF-8": (header(0, 1, named(8, struct.pack("<Q", 2) + b"\xff\xfe")), "is not UTF-8"),
    "a key twice": (header(0, 2, named(7, b"\0") * 2), "occurs twice"),
    "axes": (header(1, 0, tensor(b"a", (1,) * 9, 0, 0)), "9 axes"),
    "a type": (header(1, 0, tensor(b"a", (1,), 4, 0)), "of type 4, which is not known"),
    "half a block": (header(1, 0, tensor(b"a", (100,), 12, 0)), "does not consist of Q4_K"),
    "too many elements": (header(1, 0, tensor(b"a", (2**62, 2**62), 0, 0)), "does not consist"),
    "no elements": (header(1, 0, tensor(b"a", (0,), 0, 0)), "does not consist"),
    "past the end": (header(1, 0, tensor(b"a", (64,), 0, 0)), "past the end"),
    "an offset": (header(1, 0, tensor(b"a", (1,), 0, 2**64 - 32)), "past the end"),
    "not aligned": (header(1, 0, tensor(b"a", (1,), 0, 4) + bytes(99)), "not aligned"),
    "one over another": (
        header(2, 0, tensor(b"a", (9,), 0, 0) + tensor(b"b", (9,), 0, 32) + bytes(200)), "over",
    ),
    "a tensor twice": (
        header(2, 0, tensor(b"a", (1,), 0, 0) + tensor(b"a", (1,), 0, 32) + bytes(200)), "twice",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_spoilt_headers(tmp_path: Path, name: str) -> None:
    data, said = SPOILT[name]
    with pytest.raises(mw.MemoryWallError) as error:
        read_gguf(write(tmp_path, data))
    assert said in error.value.message
    assert "toy.gguf" in error.value.message
    assert error.value.hint

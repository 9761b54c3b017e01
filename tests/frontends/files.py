"""Writers of small checkpoints: safetensors by its library, GGUF by hand from its specification."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

# A llama of two layers whose matrices have rows of whole blocks of 256 and of 128.
# D 256, F 512, L 2, N 4, K 2, H 64, V 384.
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 384,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "torch_dtype": "float16",
}
# Its linear layers, [out, in].
LINEAR = {
    "self_attn.q_proj": (256, 256),
    "self_attn.k_proj": (128, 256),
    "self_attn.v_proj": (128, 256),
    "self_attn.o_proj": (256, 256),
    "mlp.gate_proj": (512, 256),
    "mlp.up_proj": (512, 256),
    "mlp.down_proj": (256, 512),
}

Arrays = dict[str, np.ndarray[Any, Any]]


def rest(dtype: Any = np.float16) -> Arrays:
    """Return what no method quantises: embedding, head and norms."""
    arrays: Arrays = {
        "model.embed_tokens.weight": np.zeros((384, 256), dtype),
        "lm_head.weight": np.zeros((384, 256), dtype),
        "model.norm.weight": np.zeros(256, dtype),
    }
    for layer in range(2):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            arrays[f"model.layers.{layer}.{norm}.weight"] = np.zeros(256, dtype)
    return arrays


def linear_paths() -> list[tuple[str, int, int]]:
    """Return (path, out, in) of every linear layer in every layer."""
    return [
        (f"model.layers.{layer}.{name}", *shape)
        for layer in range(2)
        for name, shape in LINEAR.items()
    ]


def plain(dtype: Any = np.float16) -> Arrays:
    """Return the whole model, nothing quantised."""
    linear = {f"{path}.weight": np.zeros((o, i), dtype) for path, o, i in linear_paths()}
    return {**rest(dtype), **linear}


def save(folder: Path, config: Mapping[str, Any], *shards: Arrays) -> Path:
    """Write a model's folder: config, one file or several with their index."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if len(shards) == 1:
        save_file(shards[0], folder / "model.safetensors")
        return folder
    where: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file(shard, folder / name)
        where |= dict.fromkeys(shard, name)
    index = {"metadata": {"total_size": 0}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


# ggml's numbers of types, weights of a block and its bytes.
F32, F16, Q4_K, Q6_K, Q8_0 = (0, 1, 4), (1, 1, 2), (12, 256, 144), (14, 256, 210), (8, 32, 34)
GgufTensor = tuple[str, tuple[int, ...], tuple[int, int, int]]


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def metadata_value(value: object) -> bytes:
    """Return a value with its kind in front: a text, float, whole number, truth or list."""
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    assert isinstance(value, list)
    items = [metadata_value(item) for item in value]
    kind = items[0][:4] if items else struct.pack("<I", 4)
    return (
        struct.pack("<I", 9) + kind + struct.pack("<Q", len(items)) + b"".join(i[4:] for i in items)
    )


def gguf(
    metadata: Mapping[str, object],
    tensors: list[GgufTensor],
    version: int = 3,
    alignment: int = 32,
) -> bytes:
    """Return a GGUF file; shapes are given the slowest axis first, and stored the other way."""
    header, nbytes = gguf_header(metadata, tensors, version, alignment)
    return header + bytes(nbytes)


def gguf_header(
    metadata: Mapping[str, object],
    tensors: list[GgufTensor],
    version: int = 3,
    alignment: int = 32,
) -> tuple[bytes, int]:
    """Return the header of a GGUF file, and how many bytes of tensors follow it."""
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    out += b"".join(text(key) + metadata_value(value) for key, value in metadata.items())
    at = 0
    for name, shape, (number, size, nbytes) in tensors:
        out += text(name) + struct.pack("<I", len(shape))
        out += b"".join(struct.pack("<Q", length) for length in reversed(shape))
        out += struct.pack("<IQ", number, at)
        at += int(np.prod(shape)) // size * nbytes
        at += -at % alignment
    return out + bytes(-len(out) % alignment), at


GGUF_METADATA: dict[str, object] = {
    "general.architecture": "llama",
    "general.name": "toy",
    "llama.block_count": 2,
    "llama.embedding_length": 256,
    "llama.feed_forward_length": 512,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.context_length": 64,
    "tokenizer.ggml.tokens": [f"t{n}" for n in range(384)],
}
_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}  # fmt: skip


def gguf_tensors() -> list[GgufTensor]:
    """Return the tensors of the same llama as a Q4_K_M: some matrices of some layers in Q6_K."""
    found: list[GgufTensor] = [
        ("token_embd.weight", (384, 256), Q4_K),
        ("output.weight", (384, 256), Q6_K),
        ("output_norm.weight", (256,), F32),
    ]
    for layer in range(2):
        norms = ("attn_norm", "ffn_norm")
        found += [(f"blk.{layer}.{norm}.weight", (256,), F32) for norm in norms]
        for name, shape in LINEAR.items():
            better = name == "mlp.down_proj" and layer == 0
            found.append((f"blk.{layer}.{_NAMES[name]}.weight", shape, Q6_K if better else Q4_K))
    return found

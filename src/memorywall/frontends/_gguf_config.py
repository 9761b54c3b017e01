"""From the metadata of a GGUF file to a config as transformers writes it.

The names of metadata are those of the GGUF specification: ``general.architecture``, then
``<architecture>.block_count`` and so on. The shapes of the tensors give the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memorywall.core.errors import InvalidInputError, UnsupportedError, near_names, shown
from memorywall.frontends._tensors import StoredTensor
from memorywall.frontends.gguf import Gguf

_SIZES = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "context_length": "max_position_embeddings",
}
_WINDOW = {"attention.sliding_window": "sliding_window"}
_GPT2 = {
    "block_count": "n_layer",
    "embedding_length": "n_embd",
    "feed_forward_length": "n_inner",
    "attention.head_count": "n_head",
    "context_length": "n_positions",
}
_MIXTRAL = {"expert_count": "num_local_experts", "expert_used_count": "num_experts_per_tok"}
_QWEN_MOE = {
    "expert_count": "num_experts",
    "expert_used_count": "num_experts_per_tok",
    "expert_feed_forward_length": "moe_intermediate_size",
}
_SHARED = {"expert_shared_feed_forward_length": "shared_expert_intermediate_size"}

# By general.architecture: transformers' model_type, and the names of its keys.
_ARCHITECTURES: dict[str, tuple[str, dict[str, str]]] = {
    "llama": ("llama", _SIZES),
    "qwen2": ("qwen2", _SIZES),
    "qwen3": ("qwen3", _SIZES),
    "phi3": ("phi3", _SIZES | _WINDOW),
    "olmo2": ("olmo2", _SIZES),
    "gemma": ("gemma", _SIZES),
    "gemma2": ("gemma2", _SIZES | _WINDOW),
    "gemma3": ("gemma3_text", _SIZES | _WINDOW),
    "qwen2moe": ("qwen2_moe", _SIZES | _QWEN_MOE | _SHARED),
    "qwen3moe": ("qwen3_moe", _SIZES | _QWEN_MOE),
    "gpt2": ("gpt2", _GPT2),
}
_NEEDED = ("block_count", "embedding_length", "attention.head_count")


def gguf_config(header: Gguf, where: str) -> dict[str, Any]:
    """Return the config of a GGUF file's model.

    Raises:
        UnsupportedError: the architecture is not mapped, or sizes differ by layer.
        InvalidInputError: a key that every model has is missing.
    """
    architecture = header.metadata.get("general.architecture")
    known = _ARCHITECTURES.get(architecture) if isinstance(architecture, str) else None
    if known is None:
        near = near_names(str(architecture), _ARCHITECTURES)
        offer = f"Near names: {', '.join(near)}. " if near else ""
        raise UnsupportedError(
            f"{where}: the architecture {shown(architecture)} is not known as a GGUF.",
            f"{offer}Known: {', '.join(_ARCHITECTURES)}. Its config.json may be supported.",
        )
    model_type, keys = known
    metadata = {
        key.removeprefix(f"{architecture}."): value for key, value in header.metadata.items()
    }
    missing = [f"{architecture}.{key}" for key in _NEEDED if metadata.get(key) is None]
    if missing:
        raise InvalidInputError(
            f"{where}: the metadata has no {', '.join(missing)}.",
            "Convert the model again.",
        )
    if model_type == "llama" and metadata.get("expert_count"):
        model_type, keys = "mixtral", keys | _MIXTRAL
    config = {keys[key]: _same(metadata[key], key, where) for key in keys if key in metadata}
    return {"model_type": model_type, **config, **_from_tensors(header, model_type, where)}


def _same(value: object, key: str, where: str) -> object:
    """Return a size that is the same in all layers."""
    if not isinstance(value, list):
        return value
    if len(set(value)) == 1:
        return value[0]
    raise UnsupportedError(f"{where}: {key!r} differs by layer, which is not supported.")


def _from_tensors(header: Gguf, model_type: str, where: str) -> Mapping[str, Any]:
    """Return the values that the tensors give: vocabulary, whether the head is tied, and biases.

    llama.cpp computes and caches in fp16 by default, so that is the dtype.
    """
    tensors: dict[str, StoredTensor] = {tensor.name: tensor for tensor in header.tensors}
    words = tensors.get("token_embd.weight")
    if words is None or len(words.shape) != 2:
        raise InvalidInputError(
            f"{where}: the tensor 'token_embd.weight' of two axes is missing.",
            "For a split model, put all files in one folder and pass the first.",
        )
    found: dict[str, Any] = {
        "vocab_size": words.shape[0],
        "tie_word_embeddings": "output.weight" not in tensors,
        "torch_dtype": "float16",
    }
    if model_type in ("llama", "qwen3", "olmo2") and "blk.0.attn_q.bias" in tensors:
        found["attention_bias"] = True
    return found

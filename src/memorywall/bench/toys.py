"""Models with almost no work (hidden size 64), so that their time is the framework's."""

from __future__ import annotations

from typing import Any

CLASSES = {"gpt2": "GPT2LMHeadModel", "bert": "BertModel", "llama": "LlamaForCausalLM"}

_TOYS: dict[str, dict[str, Any]] = {
    "gpt2": {"model_type": "gpt2", "n_embd": 64, "n_head": 1, "vocab_size": 64, "n_positions": 64},
    "bert": {
        "model_type": "bert", "hidden_size": 64, "num_attention_heads": 1, "vocab_size": 64,
        "intermediate_size": 256, "architectures": ["BertModel"],
    },
    "llama": {
        "model_type": "llama", "hidden_size": 64, "num_attention_heads": 1, "vocab_size": 64,
        "intermediate_size": 256, "num_key_value_heads": 1,
    },
}  # fmt: skip


def toy_config(model_type: str, layers: int) -> dict[str, Any]:
    """Return a toy's config."""
    key = "n_layer" if model_type == "gpt2" else "num_hidden_layers"
    return {**_TOYS[model_type], key: layers}

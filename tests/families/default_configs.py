"""Configs of model types that the catalogue has no model of: transformers' own defaults."""

from __future__ import annotations

import functools
from typing import Any

import transformers

transformers.logging.set_verbosity_error()

# Keys without a default in transformers, or without one that fits.
_REQUIRED: dict[str, dict[str, Any]] = {
    "dots1": {"n_routed_experts": 128, "num_experts_per_tok": 6, "n_shared_experts": 2},
    # Their defaults are a tower of another width than the decoder.
    "qwen3_5": {"vision_config": {"out_hidden_size": 4096}},
    "qwen3_5_moe": {"vision_config": {"out_hidden_size": 2048}},
}
# Types of checkpoints with custom code, of which transformers has no config.
_BERT: dict[str, Any] = {
    "vocab_size": 1024, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
    "intermediate_size": 128, "max_position_embeddings": 512, "torch_dtype": "bfloat16",
}  # fmt: skip
_OWN_CODE: dict[str, dict[str, Any]] = {
    "mosaic_bert": _BERT,
    "jina_bert": {**_BERT, "position_embedding_type": "alibi", "feed_forward_type": "geglu"},
    "jina_bert_qk_norm": {**_BERT, "position_embedding_type": "alibi"},
    "gte": _BERT,
    "baichuan": {key: value for key, value in _BERT.items() if key != "max_position_embeddings"},
}


@functools.cache
def default_config(model_type: str) -> dict[str, Any]:
    """Return the config of a model type as transformers fills it when no key is given."""
    if model_type in _OWN_CODE:
        return {**_OWN_CODE[model_type], "model_type": model_type}
    config = transformers.AutoConfig.for_model(model_type, **_REQUIRED.get(model_type, {}))
    values = {key: value for key, value in config.to_dict().items() if value is not None}
    return {**values, "model_type": model_type}

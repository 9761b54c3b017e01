"""Caches of traced classes: what transformers' Cache keeps, by hand and by a law over every class.

The law: a prefill of S positions leaves the cache and state that a decode step at S holds.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from huggingface_hub.errors import StrictDataclassError
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

import memorywall as mw
from memorywall.core.errors import MemoryWallError, UnsupportedError
from memorywall.core.model import Model
from memorywall.families import family_of
from memorywall.frontends.traced_class import TRACED_CLASS, read_traced
from tests.families.default_configs import default_config

_WINDOW = 8
_WINDOWS = ("sliding_window", "attention_chunk_size")
_TABLES = (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)  # fmt: skip
UNREAD = [
    name
    for name in CONFIG_MAPPING_NAMES
    if family_of(name) is None and any(name in table for table in _TABLES)
]
# Classes whose step takes all words again, which no step of one word gives them.
_WHOLE_PROMPTS = {"cpmant"}
# Reasons of transformers and of the trace for which a default config is refused as a whole.
_REFUSALS = ("transformers", "The trace stopped", "timm", "The cache of", "no family")


def traced(config: dict[str, Any]) -> Model:
    """Return the traced class of a config, whether a family reads it or not."""
    architecture = read_traced(config, "config")
    assert architecture is not None
    return Model("config", TRACED_CLASS, architecture, config)


def kept(model: Model, phase: str, positions: int) -> tuple[int, int]:
    """Return the bytes of cache and of state after a pass, without images."""
    words: dict[str, Any] = {"on": "h100-sxm", "phase": phase, "seq_len": positions}
    traits = model.traits
    if traits.images is not None and traits.reads_text and phase == "prefill":
        words["images"] = 0
    if traits.source is not None:
        words["source_len"] = traits.source.fixed or positions
    answer = mw.analyze(model, **words)
    return int(answer.footprint.kv_cache), int(answer.footprint.state)


def in_a_short_window(config: Any) -> Any:
    """Return a config whose windows are eight positions, in nested configs as well."""
    if not isinstance(config, dict):
        return config
    return {
        key: _WINDOW if key in _WINDOWS and value else in_a_short_window(value)
        for key, value in config.items()
    }


@pytest.mark.sampled(every=90)
@pytest.mark.parametrize("model_type", UNREAD)
def test_a_prefill_leaves_what_a_decode_step_holds(model_type: str) -> None:
    """Within the window and past it; or the class is refused, with the reason."""
    model, refusal = None, "transformers refuses its own default"
    with suppress(ValueError, StrictDataclassError):
        config = in_a_short_window(default_config(model_type))
        try:
            model = mw.model(config)
        except MemoryWallError as error:
            refusal = error.message
    if model is None:
        assert any(reason in refusal for reason in _REFUSALS)
    elif model_type in _WHOLE_PROMPTS:
        with pytest.raises(UnsupportedError, match="The trace stopped"):
            kept(model, "decode", 5)
    elif model.traits.causal:
        for positions in (5, 24):
            assert kept(model, "prefill", positions) == kept(model, "decode", positions)


_SMALL: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "vocab_size": 100,
    "dtype": "bfloat16",
}  # fmt: skip
_SLIDING = ["full_attention", "sliding_attention", "sliding_attention"] * 2
# A model, and the bytes that it keeps after 24 positions, windows of 8, in bf16.
_BY_HAND: dict[str, tuple[dict[str, Any], int, int]] = {
    # Layers with a window between layers without, alike in all but what they keep: 2 KV heads of 8.
    "windows": (
        _SMALL | {"model_type": "granite_swa", "num_hidden_layers": 6, "num_key_value_heads": 2,
                  "sliding_window": 8, "layer_types": _SLIDING,
                  "layer_rope_theta": [10_000.0] * 6},
        2 * (2 * 24 + 4 * 8) * 2 * 8 * 2, 0,
    ),
    # Layers of shared keys and values keep none: 4 of 6 layers own 1 KV head, of 8 elements in the
    # 3 with a window and of 16 in the full one.
    "shared keys and values": (
        _SMALL | {"model_type": "gemma4_text", "num_hidden_layers": 6, "num_key_value_heads": 1,
                  "head_dim": 8, "global_head_dim": 16, "sliding_window": 8,
                  "hidden_size_per_layer_input": 4, "num_kv_shared_layers": 2,
                  "layer_types": ["sliding_attention"] * 3 + ["full_attention"]
                  + ["sliding_attention", "full_attention"]},
        2 * (3 * 8 * 8 + 24 * 16) * 2, 0,
    ),
    # Keys of the index beside the latent: 24 positions x (16 + 8 + 12) elements in 2 layers.
    "index": (
        _SMALL | {"model_type": "deepseek_v32", "num_hidden_layers": 2, "num_key_value_heads": 4,
                  "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8,
                  "qk_nope_head_dim": 8, "v_head_dim": 8, "index_head_dim": 12,
                  "index_n_heads": 2, "index_topk": 4, "first_k_dense_replace": 2},
        2 * 24 * (16 + 8 + 12) * 2, 0,
    ),
    # Encoder and decoder: 2 layers keep 24 positions and 24 of the source, of 4 heads of 8.
    "encoder and decoder": (
        {"model_type": "fsmt", "langs": ["en", "de"], "src_vocab_size": 100, "tgt_vocab_size": 100,
         "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 64,
         "decoder_ffn_dim": 64, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
         "dtype": "bfloat16"},
        2 * 2 * (24 + 24) * 32 * 2, 0,
    ),
    # One layer of state and one of keys and values: a window of 4 inputs of the convolution, bf16,
    # of (2 + 2 x 2) x 8 channels, and a state of 2 heads x 8 x 8 in fp32; 2 KV heads of 8.
    "state beside a cache": (
        _SMALL | {"model_type": "qwen3_next", "num_hidden_layers": 2, "num_key_value_heads": 2,
                  "head_dim": 8, "linear_num_value_heads": 2, "linear_num_key_heads": 2,
                  "linear_key_head_dim": 8, "linear_value_head_dim": 8,
                  "linear_conv_kernel_dim": 4, "decoder_sparse_step": 1,
                  "mlp_only_layers": [0, 1],
                  "layer_types": ["linear_attention", "full_attention"]},
        2 * 24 * 2 * 8 * 2, 6 * 8 * 4 * 2 + 2 * 8 * 8 * 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", _BY_HAND)
def test_caches_by_hand(case: str) -> None:
    config, cache, state = _BY_HAND[case]
    model = traced(config)
    assert kept(model, "prefill", 24) == kept(model, "decode", 24) == (cache, state)


def test_what_a_cache_keeps_beyond_keys_and_values_is_refused_by_name() -> None:
    """DeepSeek-V4's layers keep compressed entries, and inputs that are not compressed yet."""
    with pytest.raises(UnsupportedError, match=r"keeps buffer_kv, buffer_gate.*not counted"):
        traced({"model_type": "deepseek_v4"})

"""BLOOM and MPT: positions as a bias on the scores (ALiBi), layer norms, a plain feed-forward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.decoder import Decoder, lower
from memorywall.reading.config_values import Config
from memorywall.reading.dialects import Dialect, read_decoder

# Neither has a key for the width of the feed-forward.
_ALIBI: dict[str, Any] = {
    "gated": False, "expansion": 4, "width": ("", None), "reads_kv_heads": False,
    "reads_head_dim": False, "rotary": None, "on_scores": "alibi", "tied": True,
}  # fmt: skip
_POST = "apply_residual_connection_post_layernorm"
DIALECTS = {
    # Its own gelu is spelled out as gelu_new is.
    "bloom": Dialect(
        "Bloom",
        names={
            "hidden_size": "n_embed", "num_attention_heads": "n_head",
            "num_hidden_layers": "n_layer",
        },
        qkv_bias=True, out_bias=True, mlp_bias=True, activation=("", "gelu_new"), norm="layernorm",
        refused=(
            (_POST, (True,), "normed residuals are not supported"),
            ("slow_but_exact", (True,), "products in slices are not supported"),
        ),
        **_ALIBI,
    ),
    "mpt": Dialect(
        "Mpt",
        names={
            "hidden_size": "d_model", "num_attention_heads": "n_heads",
            "num_hidden_layers": "n_layers", "max_position_embeddings": "max_seq_len",
        },
        activation=("", "gelu"), norm="layernorm_unbiased",
        refused=(("no_bias", (False,), "transformers' class has no biases"),),
        **_ALIBI,
    ),
}  # fmt: skip
# What MPT's own code can do and transformers' class cannot.
_MPT_REFUSED = (
    ("attn_type", ("multiquery_attention",), "transformers' class has no shared heads"),
    ("qk_ln", (True,), "transformers' class has no norms of queries and keys"),
    ("alibi", (False,), "transformers' class always adds ALiBi"),
    ("prefix_lm", (True,), "transformers' class has no prefixes"),
)


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config with ``model_type`` bloom or mpt."""
    dialect = DIALECTS[str(data["model_type"])]
    config = Config(data, where, dialect.names)
    decoder = read_decoder(config, dialect)
    config.check()
    if data["model_type"] == "bloom":
        return replace(decoder, max_positions=None, embedding_norm=True)
    return decoder.with_attention(clip=_clips(config))


def _clips(config: Config) -> bool:
    """Return whether MPT clamps queries, keys and values; refuse what is not supported."""
    config.refuse("expansion_ratio", [n for n in range(1, 65) if n != 4], "the class expands by 4")
    attention = config.data.get("attn_config")
    inner = Config(attention if isinstance(attention, dict) else {}, f"{config.where}, attn_config")
    for key, values, reason in _MPT_REFUSED:
        inner.refuse(key, values, reason)
    return bool(inner.data.get("clip_qkv"))


FAMILY = Family("bloom", tuple(DIALECTS), read, lower)

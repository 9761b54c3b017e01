"""Mixtral and the decoders like it: grouped attention, then experts in place of a feed-forward.

``_dialects.py`` lists in what the model types differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from memorywall.core.model import Family
from memorywall.families._blocks import Attention, FeedForward
from memorywall.families._config import Config
from memorywall.families._dialects import DIALECTS, Dialect
from memorywall.families._experts import Experts
from memorywall.families._heads import Head, decoder_classes, decoder_head
from memorywall.families._sparse import AnyMlp, SparseDecoder, grouped, lower, note_predictors

_MULTIPLIERS = {
    "embeddings": "embedding_multiplier",
    "halves": "residual_multiplier",
    "logits": "logits_scaling",
}


def read(data: Mapping[str, Any], where: str) -> SparseDecoder:
    """Read a config of one of the model types in ``DIALECTS``."""
    config = Config(data, where)
    dialect = DIALECTS[str(data["model_type"])]
    causal = f"{dialect.prefix}ForCausalLM"
    class_name = config.class_name(causal, decoder_classes(dialect.prefix, causal, dialect.heads))
    layers = config.size("num_hidden_layers")
    attention, mlps = _read_attention(config, dialect), _read_mlps(config, dialect, layers)
    windows = _read_windows(config, dialect, layers)
    note_predictors(config)
    architecture = SparseDecoder(
        class_name=class_name,
        head=_read_head(config, dialect, class_name),
        dtype=config.dtype(),
        vocab_size=config.size("vocab_size"),
        hidden_size=config.size("hidden_size"),
        max_positions=config.size("max_position_embeddings", dialect.positions),
        layers=grouped(
            (attention if window is None else replace(attention, window=window), mlp)
            for window, mlp in zip(windows, mlps, strict=True)
        ),
        norm=dialect.norm,
        norm_after=dialect.norm_after,
        scaled=_read_multipliers(config) if dialect.scaled else (),
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _read_head(config: Config, dialect: Dialect, class_name: str) -> Head | None:
    head = decoder_head(config, class_name, tied=config.flag("tie_word_embeddings", dialect.tied))
    biased = (dialect.head_bias and config.flag("lm_head_bias", False)) or (
        dialect.bias_on == "everything" and _biased(config, dialect)
    )
    return replace(head, bias=True) if biased and head and head.name == "lm_head" else head


def _biased(config: Config, dialect: Dialect) -> bool:
    return dialect.biases is not None and config.flag(*dialect.biases)


def _read_attention(config: Config, dialect: Dialect) -> Attention:
    hidden, heads = config.size("hidden_size"), config.size("num_attention_heads")
    kv_heads = config.size("num_key_value_heads", dialect.kv_heads or heads)
    if config.data.get("num_key_value_heads", 0) is None:
        kv_heads = heads
    config.divides("num_key_value_heads", kv_heads, "num_attention_heads", heads)
    head_dim = config.optional_size("head_dim") or dialect.head_dim
    if head_dim is None:
        config.divides("num_attention_heads", heads, "hidden_size", hidden, unless="head_dim")
        head_dim = max(1, hidden // heads)
    flagged = dialect.qk_norm == "flag"
    qk_norm = "head" if flagged and config.flag("use_qk_norm", False) else dialect.qk_norm
    biased = _biased(config, dialect)
    return Attention(
        heads,
        kv_heads,
        head_dim,
        qkv_bias=biased,
        out_bias=biased and dialect.bias_on != "qkv",
        rotary=_read_rotary(config, dialect, head_dim),
        qk_norm="" if qk_norm == "flag" else qk_norm,
        clip=dialect.clip and config.bound("clip_qkv") is not None,
    )


def _read_rotary(config: Config, dialect: Dialect, head_dim: int) -> int:
    """Return how many elements of a head are rotated."""
    elements = config.optional_size(dialect.rotary_key) if dialect.rotary_key else None
    if elements is not None:
        return min(elements, head_dim)
    rope = config.data.get("rope_parameters")
    said = rope if isinstance(rope, dict) else config.data
    if "partial_rotary_factor" not in {**said, **config.data}:
        return max(1, int(head_dim * dialect.rotary_share))
    return max(1, int(head_dim * config.rotary_share()))


def _read_windows(config: Config, dialect: Dialect, layers: int) -> list[int | None]:
    """Return how far each layer looks back."""
    window = dialect.window
    if "sliding_window" in config.data:
        window = config.optional_size("sliding_window")
    flagged = dialect.windows in ("flag", "alternate")
    if (
        dialect.windows == "none"
        or window is None
        or (flagged and not config.flag("use_sliding_window", False))
    ):
        return [None] * layers
    if dialect.windows in ("all", "flag"):
        return [window] * layers
    kinds = config.layer_types(layers, ("full_attention", "sliding_attention"))
    if kinds is not None:
        return [window if kind == "sliding_attention" else None for kind in kinds]
    limit = config.count("max_window_layers", dialect.window_layers)
    if dialect.windows == "last":
        return [window if layer >= limit else None for layer in range(layers)]
    return [window if layer % 2 == 0 and layer < limit else None for layer in range(layers)]


def _read_mlps(config: Config, dialect: Dialect, layers: int) -> list[AnyMlp]:
    """Return each layer's feed-forward or experts."""
    sparse = _sparse_layers(config, dialect, layers)
    dense = None
    if not all(sparse):
        dense = FeedForward(
            config.size("intermediate_size"),
            config.activation("hidden_act", "silu"),
            gated=True,
            bias=dialect.bias_on == "everything" and _biased(config, dialect),
        )
    experts = _read_experts(config, dialect) if any(sparse) else None
    return [mlp for has in sparse if (mlp := experts if has else dense) is not None]


def _sparse_layers(config: Config, dialect: Dialect, layers: int) -> list[bool]:
    """Tell which layers have experts."""
    if dialect.dense == "first":
        first = config.count("first_k_dense_replace", dialect.first_dense)
        return [layer >= first for layer in range(layers)]
    if dialect.dense == "steps":
        step = config.size("decoder_sparse_step", 1)
        plain = config.layer_list("mlp_only_layers", layers)
        if config.data.get(dialect.experts[0]) == 0:
            return [False] * layers
        return [layer not in plain and (layer + 1) % step == 0 for layer in range(layers)]
    if dialect.dense == "interval":
        first = config.count("moe_layer_start_index", 1)
        last = config.data.get("moe_layer_end_index", -1)
        end = layers - 1 if last in (-1, None) else config.count("moe_layer_end_index", 0)
        every = config.size("moe_layer_interval", 1)
        return [first <= layer <= end and (layer + 1) % every == 0 for layer in range(layers)]
    return [True] * layers


def _read_experts(config: Config, dialect: Dialect) -> Experts:
    count = config.same_size(*dialect.experts)
    width = config.same_size(*dialect.width)
    bias = dialect.bias_on == "everything" and _biased(config, dialect)
    return Experts(
        count,
        config.same_size(*dialect.chosen, most=max(1, count)),
        FeedForward(width, config.activation("hidden_act", "silu"), gated=True),
        shared=_read_shared(config, dialect, width),
        shared_bias=bias,
        shared_gate=dialect.shared_gate,
        scoring=dialect.scoring,
        correction=dialect.correction,
    )


def _read_shared(config: Config, dialect: Dialect, width: int) -> int:
    """Return the width of what every token goes through."""
    if dialect.shared is None:
        return 0
    key, default, meaning = dialect.shared
    if meaning == "dense":
        return config.size("intermediate_size")
    if meaning == "width":
        return config.size(key, default)
    return width * (0 if config.data.get(key) == 0 else config.size(key, default))


def _read_multipliers(config: Config) -> tuple[str, ...]:
    """Return what is multiplied by a constant other than one."""
    return tuple(what for what, key in _MULTIPLIERS.items() if config.data.get(key, 1) != 1)


FAMILY = Family("moe", tuple(DIALECTS), read, lower)

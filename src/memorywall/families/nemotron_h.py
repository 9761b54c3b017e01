"""Nemotron-H: every layer is one of a scan, attention, a feed-forward, or experts.

Attention has no positions. Feed-forward and experts are not gated. State is kept as
``mamba_ssm_cache_dtype`` says. The layers that predict several tokens at once are not part of the
class, and not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from memorywall.core.errors import MemoryWallError, shown
from memorywall.core.formats import find_format
from memorywall.core.model import Family
from memorywall.layers.decoder import Decoder, Halves, grouped, lower
from memorywall.layers.experts import Experts
from memorywall.layers.tape import Attention, FeedForward
from memorywall.reading.config_values import LARGEST_DEPTH, Config
from memorywall.reading.heads import decoder_classes, decoder_head
from memorywall.reading.predictors import note_predictors
from memorywall.reading.recurrent_mixers import Keys, read_mamba2

# Letters of a pattern, and what lists call the same layers.
_LETTERS = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}
_NAMES = {"linear_attention": "mamba", "full_attention": "attention"} | {
    name: name for name in _LETTERS.values()
}
# Its own names for keys that it shares with Mamba-2, of which older configs have Bamba's.
_OLD = {
    "n_groups": "mamba_n_groups",
    "conv_kernel": "mamba_d_conv",
    "use_conv_bias": "mamba_conv_bias",
    "chunk_size": "mamba_chunk_size",
    "head_dim": "attention_head_dim",
}


_KEYS = Keys(
    heads=("mamba_num_heads", 128),
    head_dim=("mamba_head_dim", 64),
    states=("ssm_state_size", 128),
    groups=("n_groups", 8),
    kernel=("conv_kernel", 4),
    chunk=("chunk_size", 128),
    bias="use_bias",
    out_bias="use_bias",
    activation="mamba_hidden_act",
)


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config with ``model_type`` nemotron_h."""
    config = Config(data, where, _OLD)
    if config.optional_size("sliding_window") is not None and not config.faults:
        config.refuse("sliding_window", (data["sliding_window"],), "its class has no windows")
    config.refuse("attention_bias", (True,), "its class has no biases in attention")
    config.refuse("tie_word_embeddings", (True,), "its class ties no weights")
    generating = "NemotronHForCausalLM"
    class_name = config.class_name(generating, decoder_classes("NemotronH", generating, ()))
    kinds = _read_kinds(config)
    note_predictors(config)
    halves = {kind: _READERS[kind](config) for kind in dict.fromkeys(kinds)}
    architecture = Decoder(
        class_name=class_name,
        head=decoder_head(config, class_name, tied=False),
        dtype=config.dtype(),
        vocab_size=config.size("vocab_size"),
        hidden_size=config.size("hidden_size"),
        max_positions=config.size("max_position_embeddings", 4096),
        layers=grouped(halves[kind] for kind in kinds),
        state_dtype=_read_state_dtype(config),
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _read_kinds(config: Config) -> list[str]:
    """Return what each layer is, from a list or from a pattern of letters."""
    for key in ("layers_block_type", "layer_types"):
        listed = config.data.get(key)
        if listed is None:
            continue
        known = isinstance(listed, list) and 0 < len(listed) <= LARGEST_DEPTH
        if known and all(isinstance(name, str) and name in _NAMES for name in listed):
            return [_NAMES[name] for name in listed]
        config.fault(
            key, f"{key!r} must list layers, each one of {', '.join(_NAMES)}, got {shown(listed)}"
        )
        return ["mamba"]
    key = "hybrid_override_pattern"
    pattern = config.word(key, "ME*-")
    if not 0 < len(pattern) <= LARGEST_DEPTH or any(one not in _LETTERS for one in pattern):
        config.fault(key, f"{key!r} must be letters of {''.join(_LETTERS)}, got {shown(pattern)}")
        return ["mamba"]
    return [_LETTERS[one] for one in pattern]


def _read_state_dtype(config: Config) -> str:
    key = "mamba_ssm_cache_dtype"
    name = config.word(key, "float32")
    try:
        return find_format(name).name
    except MemoryWallError as error:
        config.fault(key, f"{key!r}: {error.message}")
        return "fp32"


def _read_scan(config: Config) -> Halves:
    heads, head_dim = config.size(*_KEYS.heads), config.size("mamba_head_dim", 64)
    keys = replace(_KEYS, conv_bias=config.key("use_conv_bias"))
    return read_mamba2(config, keys, channels=heads * head_dim), None


def _read_attention(config: Config) -> Halves:
    heads = config.size("num_attention_heads", 32)
    kv_heads = heads
    if config.data.get("num_key_value_heads", 0) is not None:
        kv_heads = config.size("num_key_value_heads", 8)
    config.divides("num_key_value_heads", kv_heads, "num_attention_heads", heads)
    return Attention(heads, kv_heads, config.size("head_dim", 128)), None


def _read_feed_forward(config: Config) -> Halves:
    width, bias = config.size("intermediate_size", 21_504), config.flag("mlp_bias", False)
    return None, FeedForward(width, config.activation("mlp_hidden_act", "relu2"), bias=bias)


def _read_experts(config: Config) -> Halves:
    count, bias = config.size("n_routed_experts", 8), config.flag("mlp_bias", False)
    width = config.size("moe_intermediate_size", 7688)
    expert = FeedForward(width, config.activation("mlp_hidden_act", "relu2"))
    return None, Experts(
        count,
        config.size("num_experts_per_tok", 2, most=count),
        expert,
        shared=config.size("moe_shared_expert_intermediate_size", 7688),
        shared_bias=bias,
        scoring="sigmoid",
        latent=config.optional_size("moe_latent_size") or 0,
        latent_bias=bias,
    )


_READERS: dict[str, Callable[[Config], Halves]] = {
    "mamba": _read_scan,
    "attention": _read_attention,
    "mlp": _read_feed_forward,
    "moe": _read_experts,
}

FAMILY = Family("nemotron_h", ("nemotron_h",), read, lower)

"""DBRX: layer norms without biases, clamped queries, keys and values, sixteen experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.decoder import Decoder, grouped, lower
from memorywall.layers.experts import Experts
from memorywall.layers.tape import Attention, FeedForward
from memorywall.reading.config_values import LARGEST_DEPTH, Config
from memorywall.reading.heads import decoder_classes, decoder_head


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config with ``model_type`` dbrx, whose attention and experts have their own parts."""
    config = Config(data, where)
    config.refuse("tie_word_embeddings", (True,), "the class has a separate head")
    class_name = config.class_name(
        "DbrxForCausalLM", decoder_classes("Dbrx", "DbrxForCausalLM", ())
    )
    layer = (_read_attention(config), _read_experts(config))
    architecture = Decoder(
        class_name=class_name,
        head=decoder_head(config, class_name, tied=False),
        dtype=config.dtype(),
        vocab_size=config.size("vocab_size"),
        hidden_size=config.size("d_model"),
        max_positions=config.size("max_seq_len", 2048),
        layers=grouped([layer] * config.size("n_layers", most=LARGEST_DEPTH)),
        norm="layernorm_unbiased",
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _read_attention(config: Config) -> Attention:
    hidden, heads = config.size("d_model"), config.size("n_heads")
    config.divides("n_heads", heads, "d_model", hidden)
    head_dim = max(1, hidden // heads)
    part = _part(config, "attn_config")
    kv_heads = part.size("kv_n_heads", 1)
    part.divides("kv_n_heads", kv_heads, "n_heads", heads)
    clip = part.bound("clip_qkv") is not None
    return Attention(heads, kv_heads, head_dim, rotary=head_dim, clip=clip)


def _read_experts(config: Config) -> Experts:
    part = _part(config, "ffn_config")
    function = _part(part, "ffn_act_fn")
    count = part.size("moe_num_experts", 4)
    expert = FeedForward(
        part.size("ffn_hidden_size", 3584), function.activation("name", "silu"), gated=True
    )
    chosen = part.size("moe_top_k", 1, most=max(1, count))
    return Experts(count, chosen, expert)


def _part(config: Config, key: str) -> Config:
    """Return a config within a config, empty where the key is absent or null."""
    part = config.within(key)
    return Config(config.default(key, {}), config.where) if part is None else part


FAMILY = Family("dbrx", ("dbrx",), read, lower)

"""Llama 4's decoder: experts in every layer or every other, attention in chunks but every fourth.

Layers that look all the way back have no rotary positions. Their queries are scaled by their
position's temperature, which is not counted: one multiplication an element. transformers runs all
experts on all tokens and multiplies by zero; counted are those that tokens are routed to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from memorywall.layers.decoder import AnyMlp, Decoder, grouped
from memorywall.layers.experts import Experts
from memorywall.layers.tape import Attention, FeedForward
from memorywall.reading.config_values import LARGEST_DEPTH, Config
from memorywall.reading.heads import decoder_classes, decoder_head

MODEL_TYPE = "llama4_text"
_KINDS = ("full_attention", "chunked_attention")


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config with ``model_type`` llama4_text; of a whole Llama 4 that is ``text_config``."""
    config = Config(data, where)
    known = decoder_classes("Llama4Text", "Llama4ForCausalLM", ())
    class_name = config.class_name("Llama4ForCausalLM", known)
    layers = config.size("num_hidden_layers", most=LARGEST_DEPTH)
    architecture = Decoder(
        class_name=class_name,
        head=decoder_head(config, class_name, tied=config.flag("tie_word_embeddings", False)),
        dtype=config.dtype(),
        vocab_size=config.size("vocab_size"),
        hidden_size=config.size("hidden_size"),
        max_positions=config.size("max_position_embeddings", 131_072),
        layers=grouped(
            zip(_read_attentions(config, layers), _read_mlps(config, layers), strict=True)
        ),
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _read_attentions(config: Config, layers: int) -> list[Attention]:
    heads = config.size("num_attention_heads")
    kv_heads = config.size("num_key_value_heads", 8)
    if config.data.get("num_key_value_heads", 0) is None:
        kv_heads = heads
    config.divides("num_key_value_heads", kv_heads, "num_attention_heads", heads)
    head_dim, biased = config.size("head_dim", 128), config.flag("attention_bias", False)
    plain = Attention(heads, kv_heads, head_dim, qkv_bias=biased, out_bias=biased)
    normed = "head" if config.flag("use_qk_norm", True) else ""
    turned = replace(plain, rotary=head_dim, qk_norm=normed, qk_norm_kind="rmsnorm_plain")
    rotated = _read_rotated(config, layers)
    kinds = config.layer_types(layers, _KINDS) or [_KINDS[has] for has in rotated]
    chunk = config.size("attention_chunk_size", 8192)
    return [
        replace(turned if has else plain, chunk=chunk if kind == _KINDS[1] else None)
        for has, kind in zip(rotated, kinds, strict=True)
    ]


def _read_rotated(config: Config, layers: int) -> list[bool]:
    """Return which layers have rotary positions; ``no_rope_layers`` says 1 for those that do."""
    listed = config.data.get("no_rope_layers")
    if not listed:
        every = config.size("no_rope_layer_interval", 4)
        return [(layer + 1) % every != 0 for layer in range(layers)]
    good = isinstance(listed, list) and len(listed) == layers
    if good and all(has in (0, 1) for has in listed):
        return [bool(has) for has in listed]
    config.fault("no_rope_layers", f"'no_rope_layers' must be {layers} times 0 or 1")
    return [True] * layers


def _read_mlps(config: Config, layers: int) -> list[AnyMlp]:
    """Return each layer's feed-forward or experts."""
    function = config.activation("hidden_act", "silu")
    step = config.size("interleave_moe_layer_step", 1)
    sparse = config.layer_list("moe_layers", layers)
    if config.data.get("moe_layers") is None:
        sparse = tuple(range(step - 1, layers, step))
    count, width = config.size("num_local_experts", 16), config.size("intermediate_size", 8192)
    experts = Experts(
        count,
        config.size("num_experts_per_tok", 1, most=max(1, count)),
        FeedForward(width, function, gated=True),
        shared=width,
        scoring="sigmoid",
    )
    dense = FeedForward(config.size("intermediate_size_mlp", 16_384), function, gated=True)
    return [experts if layer in sparse else dense for layer in range(layers)]

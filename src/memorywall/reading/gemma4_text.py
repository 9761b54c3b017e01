"""Gemma 4's decoder: layers with a window and full ones, whose heads differ in number and width.

The last layers may read the keys and values of an earlier layer of their kind; the keys of full
layers may serve as values; a layer may have experts in addition to its feed-forward, and separate
inputs for each token (transformers, ``models/gemma4`` and ``models/gemma4_unified``). A prefill is
counted for all tokens in all layers: transformers runs the layers without keys for the last
token alone, where that is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from memorywall.core.errors import shown
from memorywall.layers.decoder import AnyMlp, Decoder, DecoderLayers, PerLayerInputs, grouped
from memorywall.layers.experts import BesideExperts, Experts
from memorywall.layers.output_head import Head
from memorywall.layers.tape import Attention, FeedForward
from memorywall.reading.config_values import LARGEST_DEPTH, Config
from memorywall.reading.heads import decoder_head

_FULL, _SLIDING = _KINDS = ("full_attention", "sliding_attention")
_PERIOD = 6  # one layer in six is full, where the config does not list them
_GLOBAL_HEAD_DIM, _GLOBAL_ROTARY = 512, 0.25


@dataclass(frozen=True, slots=True)
class _Type:
    """The classes of a ``model_type``, and values of absent keys.

    ``larger``: whether it may have experts, and inputs of each layer.
    """

    classes: tuple[str, str]
    window: int
    positions: int
    larger: bool


TYPES = {
    "gemma4_text": _Type(("Gemma4ForCausalLM", "Gemma4TextModel"), 512, 131_072, larger=True),
    "gemma4_unified_text": _Type(
        ("Gemma4UnifiedForCausalLM", "Gemma4UnifiedTextModel"), 1024, 262_144, larger=False
    ),
}


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config with one of the model types in ``TYPES``."""
    config, kind = Config(data, where), TYPES[str(data["model_type"])]
    config.refuse(
        "use_bidirectional_attention", ("all",), "tokens that look ahead are not supported"
    )
    class_name = config.class_name(kind.classes[0], kind.classes)
    kinds = _read_kinds(config)
    owners = len(kinds) - _read_shared(config, kinds)
    attentions = _read_attentions(config, kinds, owners, kind.window)
    mlps = _read_mlps(config, len(kinds), owners, experts=kind.larger)
    cap = config.bound("final_logit_softcapping")
    decoder = Decoder(
        class_name=class_name,
        head=_read_head(config, class_name),
        dtype=config.dtype(),
        vocab_size=config.size("vocab_size", 262_144),
        hidden_size=config.size("hidden_size", 2304),
        max_positions=config.size("max_position_embeddings", kind.positions),
        layers=_sharing(grouped(zip(attentions, mlps, strict=True)), kinds, owners),
        norms="around",
        embedding_scale=True,
        on_logits="" if cap is None else "softcap",
        per_layer=_read_per_layer(config) if kind.larger else None,
        layer_scale=True,
        notes=config.all_notes(),
    )
    config.check()
    return decoder


def _read_head(config: Config, class_name: str) -> Head | None:
    config.size("vocab_size", 262_144)
    tied = config.flag("tie_word_embeddings", True)
    head = decoder_head(config, class_name, tied=tied)
    return None if head is None else replace(head, width=config.size("vocab_size", 262_144))


def _read_kinds(config: Config) -> list[str]:
    """Return the kind of every layer; the last is full in any case."""
    layers = config.size("num_hidden_layers", 30, most=LARGEST_DEPTH)
    kinds = config.layer_types(layers, _KINDS)
    if kinds is None:
        kinds = [_SLIDING if (layer + 1) % _PERIOD else _FULL for layer in range(layers)]
    return [*kinds[:-1], _FULL]


def _read_shared(config: Config, kinds: Sequence[str]) -> int:
    """Return the number of the last layers, which read the keys of earlier ones of their kind."""
    shared = config.count("num_kv_shared_layers", 0)
    owners = set(kinds[: max(0, len(kinds) - shared)])
    if not owners >= set(kinds):
        config.fault(
            "num_kv_shared_layers",
            f"'num_kv_shared_layers' ({shared}) must leave a layer of each kind in 'layer_types'",
        )
        return 0
    return shared


def _read_attentions(
    config: Config, kinds: Sequence[str], owners: int, window: int
) -> list[Attention]:
    """Return the attention of every layer; those past the owners read the keys of a block."""
    heads, bias = config.size("num_attention_heads", 8), config.flag("attention_bias", False)
    head_dim, kv_heads = config.size("head_dim", 256), config.size("num_key_value_heads", 4)
    merged = config.flag("attention_k_eq_v", False)
    plain = Attention(
        heads, kv_heads, head_dim, qkv_bias=bias, out_bias=bias, rotary=head_dim, qk_norm="head",
        value_norm=True,
    )  # fmt: skip
    sliding = replace(plain, window=config.size("sliding_window", window))
    places = [layer for layer, kind in enumerate(kinds) if kind == _FULL]
    full = _read_full(config, replace(plain, key_as_value=merged), places)
    for attention in (sliding, *full.values()):
        config.divides(
            "num_key_value_heads", attention.kv_heads, "num_attention_heads", attention.heads
        )
    found = [full.get(layer, sliding) for layer in range(len(kinds))]
    # The block that is read, instead of its kind, is known once layers are sorted into blocks.
    return [
        attention if layer < owners else replace(attention, cache_of=kinds[layer])
        for layer, attention in enumerate(found)
    ]


def _read_full(config: Config, plain: Attention, places: Sequence[int]) -> dict[int, Attention]:
    """Return the attention of the full layers: ``per_layer_config`` lists what differs in each."""
    rotary = _read_rotary(config)
    listed = _read_listed(config)
    if listed is None:
        head_dim = config.size("global_head_dim", _GLOBAL_HEAD_DIM)
        kv_heads = plain.kv_heads
        if plain.key_as_value and config.has("num_global_key_value_heads"):
            kv_heads = config.size("num_global_key_value_heads")
        one = replace(plain, head_dim=head_dim, kv_heads=kv_heads)
        parts = dict.fromkeys(places, one)
    else:
        parts = {
            layer: replace(
                plain,
                head_dim=listed[layer].size("head_dim", plain.head_dim),
                kv_heads=listed[layer].size("num_key_value_heads", plain.kv_heads),
            )
            if layer in listed
            else plain
            for layer in places
        }
    return {
        layer: replace(one, rotary=max(1, int(one.head_dim * rotary)))
        for layer, one in parts.items()
    }


def _read_listed(config: Config) -> dict[int, Config] | None:
    """Return the parts of ``per_layer_config`` by layer; None if it is absent."""
    listed = config.within("per_layer_config")
    if listed is None:
        return None
    parts = {key: listed.within(key) for key in listed.data}
    good = {int(key): part for key, part in parts.items() if part and key.isdecimal()}
    if len(good) < len(parts):
        config.fault(
            "per_layer_config",
            f"'per_layer_config' must map numbers of layers to mappings, got {shown(list(parts))}",
        )
    return good


def _read_rotary(config: Config) -> float:
    """Return the share of a full layer's head that is rotated."""
    rope = config.within("rope_parameters")
    if rope is None:
        return _GLOBAL_ROTARY
    part = rope.within(_FULL)
    return 1.0 if part is None else part.share("partial_rotary_factor", 1.0)


def _read_mlps(config: Config, layers: int, owners: int, *, experts: bool) -> list[AnyMlp]:
    """Return the feed-forward of every layer; that of layers without keys may be twice as wide."""
    activation = config.activation("hidden_activation", "gelu_pytorch_tanh")
    width = config.size("intermediate_size", 9216)
    wide = 2 * width if config.flag("use_double_wide_mlp", False) else width
    dense = [
        FeedForward(width if layer < owners else wide, activation, gated=True)
        for layer in range(layers)
    ]
    if not (experts and config.flag("enable_moe_block", False)):
        return [*dense]
    count = config.size("num_experts")
    beside = Experts(
        count,
        config.size("top_k_experts", most=max(1, count)),
        FeedForward(config.size("moe_intermediate_size"), activation, gated=True),
        correction=True,  # each expert's output has a learned scale
    )
    return [BesideExperts(one, beside) for one in dense]


def _read_per_layer(config: Config) -> PerLayerInputs | None:
    """Return the inputs of each layer beside the hidden states, if any."""
    width = config.count("hidden_size_per_layer_input", 256)
    rows = config.size("vocab_size_per_layer_input", 262_144)
    activation = config.activation("hidden_activation", "gelu_pytorch_tanh")
    return PerLayerInputs(width, rows, activation) if width else None


def _sharing(
    layers: tuple[DecoderLayers, ...], kinds: Sequence[str], owners: int
) -> tuple[DecoderLayers, ...]:
    """Return layers of which those without keys name the block that they read, and its layers."""
    last = {kind: layer for layer, kind in enumerate(kinds[:owners])}
    block_of = {place: block for block in layers for place in block.places}
    return tuple([_reading(block, block_of[last[kinds[block.places[0]]]]) for block in layers])


def _reading(layers: DecoderLayers, owner: DecoderLayers) -> DecoderLayers:
    """Return layers that read the keys of an owner's block, where they have none."""
    attention = layers.attention
    if not (isinstance(attention, Attention) and attention.cache_of):
        return layers
    read = replace(attention, cache_of=owner.name, cache_layers=owner.count)
    return replace(layers, attention=read)

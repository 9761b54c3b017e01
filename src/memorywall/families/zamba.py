"""Zamba 1 and 2: layers of one scan each, some of which first run a transformer that they share.

A hybrid layer reads its input concatenated with the words' embeddings, twice as wide; attention and
a feed-forward, whose weights all such layers share (in Zamba 2 several sets alternate), and a
separate linear layer compute the addend to the input of its scan. Zamba 2's layers have separate
low-rank adapters to the shared weights. Glorioso et al., arXiv 2405.16712 and 2411.15242.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from memorywall.core.axes import named
from memorywall.core.errors import shown
from memorywall.core.forward import Forward
from memorywall.core.model import Family
from memorywall.core.program import Block, Program
from memorywall.core.tensors import Tensor
from memorywall.core.traits import Traits
from memorywall.layers.decoder import (
    Decoder,
    Mixer,
    by_kind,
    decoder_traits,
    record_embeddings,
    record_layers,
    record_top,
)
from memorywall.layers.shared_transformer import Shared, record_shared
from memorywall.layers.tape import Attention, FeedForward, Tape
from memorywall.reading.config_values import LARGEST_DEPTH, Config
from memorywall.reading.heads import ALL_HEADS, decoder_classes, decoder_head
from memorywall.reading.recurrent_mixers import Keys, read_mamba, read_mamba2

_KEYS = Keys(
    heads=("n_mamba_heads", 8),
    head_dim=("mamba_headdim", None),
    states=("mamba_d_state", 64),
    groups=("mamba_ngroups", 1),
    chunk=("chunk_size", 256),
    bias="add_bias_linear",
    out_bias="add_bias_linear",
    conv_bias="",
    activation="",
)
_ALONE, _HYBRID = ("linear_attention", "mamba"), "hybrid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Zamba(Decoder):
    """A decoder with hybrid layers beside its ``layers``.

    Attributes:
        mixer: the scan of hybrid layers.
        shared: what they share.
        hybrids: positions of the layers that run each set of shared weights.
    """

    mixer: Mixer
    shared: Shared
    hybrids: tuple[tuple[int, ...], ...]

    @property
    def traits(self) -> Traits:
        """A generative model whose shared layers attend."""
        return replace(decoder_traits(self), caches=True, masks=True)


def read(data: Mapping[str, Any], where: str) -> Zamba:
    """Read a config with ``model_type`` zamba or zamba2."""
    config = Config(data, where)
    second = data["model_type"] == "zamba2"
    config.refuse("tie_word_embeddings", (False,), "its class then shares no weights at all")
    prefix = "Zamba2" if second else "Zamba"
    generating = f"{prefix}ForCausalLM"
    class_name = config.class_name(generating, decoder_classes(prefix, generating, ALL_HEADS[:1]))
    kinds = _read_kinds(config, second=second)
    hybrids = tuple(place for place, kind in enumerate(kinds) if kind == _HYBRID)
    sets = config.size("num_mem_blocks", 1, most=LARGEST_DEPTH) if second else 1
    mixer = read_mamba2(config, _KEYS) if second else _read_mamba(config)
    long = second and config.flag("use_long_context", False)
    architecture = Zamba(
        class_name=class_name,
        head=decoder_head(config, class_name, tied=True),
        dtype=config.dtype(),
        vocab_size=config.size("vocab_size"),
        hidden_size=config.size("hidden_size"),
        max_positions=16_384 if long else config.size("max_position_embeddings", 4096),
        layers=by_kind((i, (mixer, None)) for i, kind in enumerate(kinds) if kind != _HYBRID),
        state_dtype="fp32",
        mixer=mixer,
        shared=_read_shared(config, second=second),
        hybrids=tuple(hybrids[first::sets] for first in range(min(sets, len(hybrids)))),
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _read_kinds(config: Config, *, second: bool) -> list[str]:
    """Return what each layer is, as listed or by the class's default."""
    depth = config.size("num_hidden_layers", most=LARGEST_DEPTH)
    key = "layers_block_type"
    listed = config.data.get(key)
    if listed is not None:
        known = isinstance(listed, list) and len(listed) == depth
        if known and all(kind in (*_ALONE, _HYBRID) for kind in listed):
            return list(listed)
        config.fault(key, f"{key!r} must list {depth} layers, got {shown(listed)}")
    elif second:
        config.fault(key, f"{key!r} is missing")
    else:
        every, first = config.size("attn_layer_period", 6), config.count("attn_layer_offset", 4)
        later = [_HYBRID if i % every == first else _ALONE[0] for i in range(depth - 3)]
        return [_ALONE[0], _ALONE[0], _HYBRID, *later][:depth]
    return [_HYBRID]


def _read_mamba(config: Config) -> Mixer:
    mamba = read_mamba(config, activation="hidden_mamba_act")
    heads = config.size("n_mamba_heads", 2)
    config.divides("n_mamba_heads", heads, "mamba_expand", mamba.channels)
    return replace(mamba, heads=heads)


def _read_shared(config: Config, *, second: bool) -> Shared:
    hidden, heads = config.size("hidden_size"), config.size("num_attention_heads")
    config.only("attention_hidden_size", 2 * hidden, "attention reads the input and the embeddings")
    kv_heads = config.size("num_key_value_heads", heads if second else 16)
    config.divides("num_key_value_heads", kv_heads, "num_attention_heads", heads)
    head_dim = config.size("attention_head_dim", max(1, 2 * hidden // heads))
    rotary = head_dim if second and config.flag("use_mem_rope", False) else 0
    mlp = FeedForward(
        config.size("intermediate_size", 4 * hidden if second else 14_848),
        config.activation("hidden_act", "gelu"),
        gated=True,
        bias=second and config.flag("add_bias_linear", False),
    )
    adapts = second and config.flag("use_shared_attention_adapter", False)
    if adapts and not heads * head_dim == kv_heads * head_dim == 2 * hidden:
        config.leave(
            "use_shared_attention_adapter", (True,), "queries, keys and values that differ are"
        )
    return Shared(
        Attention(heads, kv_heads, head_dim, rotary=rotary),
        mlp,
        rank=config.size("adapter_rank", 128) if second else 0,
        adapts_attention=adapts,
    )


def lower(model: Zamba, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    axes = forward.row_axes + named(hidden=model.hidden_size)
    hidden, words = (Tensor(name, axes, forward.activations) for name in ("hidden", "embedded"))
    embeddings = record_embeddings(model, forward, hidden)
    embeddings.ops[-1].writes = (hidden, words)
    blocks = [record_layers(model, forward, hidden, layers) for layers in model.layers]
    for index, places in enumerate(model.hybrids):
        name = "hybrid_layers" if len(model.hybrids) == 1 else f"hybrid_layers_{index}"
        blocks.append(_hybrids(model, Tape(forward, name), hidden, words, places))
    head = record_top(model, forward, hidden, embeddings.ops[0].reads[0])
    return Program((embeddings, *blocks, head))


def _hybrids(
    model: Zamba, tape: Tape, hidden: Tensor, words: Tensor, places: tuple[int, ...]
) -> Block:
    """Note the hybrid layers that run one set of shared weights: [B T, D] in and out."""
    y, adapters = record_shared(tape, hidden, words, model.shared)
    before = len(tape.ops)
    y = tape.linear("linear", y, hidden.row_axes)
    x = tape.add("linear_add", hidden, y)
    x = model.mixer.record(tape, tape.norm("mixer_norm", x, model.norm))
    tape.add("mixer_add", hidden, x, out=hidden)
    later = {t.name for op in tape.ops[before:] for t in op.reads if t.role == "weight"}
    return tape.close(len(places), shared=True, own=adapters | later, layers=places)


FAMILY = Family("zamba", ("zamba", "zamba2"), read, lower)

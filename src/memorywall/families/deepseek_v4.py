"""DeepSeek-V4: attention to a window and to compressed entries, hyper-connections, experts.

Layers differ in what they compress: runs of 4 tokens, of which an indexer selects; runs of 128; or
nothing. The first layers choose experts by a table of words (hash routing): its ids, 6 for each
word, are constants and not parameters, and not counted. Nor is the multi-token prediction layer,
which is not part of transformers' class.

Counted is the algorithm as engines run it: pairs with selected entries alone. ``causal='full'``
counts what transformers computes, pairs with all entries under a mask.
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
from memorywall.core.traits import State, Traits
from memorywall.layers.compressed_attention import CompressedAttention, Compression
from memorywall.layers.decoder import grouped
from memorywall.layers.experts import Experts, record_experts
from memorywall.layers.hyper_connections import HyperConnections, collapse, collapse_last, expand
from memorywall.layers.indexer import Indexer
from memorywall.layers.output_head import Head, record_head
from memorywall.layers.tape import FeedForward, Tape
from memorywall.reading.config_values import LARGEST_DEPTH, Config
from memorywall.reading.heads import decoder_head
from memorywall.reading.predictors import note_predictors

_SLIDING, _SELECTED, _COMPRESSED = (
    "sliding_attention",
    "compressed_sparse_attention",
    "heavily_compressed_attention",
)
_BY_RATIO = {0: _SLIDING, 4: _SELECTED, 128: _COMPRESSED}
_CLASSES = ("DeepseekV4ForCausalLM", "DeepseekV4Model")


@dataclass(frozen=True, slots=True)
class Layers:
    """Layers of one kind: their block's name and positions, and what each is made of."""

    name: str
    places: tuple[int, ...]
    attention: CompressedAttention
    mlp: Experts


@dataclass(frozen=True, slots=True)
class DeepseekV4:
    """A DeepSeek-V4, as its config describes it."""

    class_name: str
    head: Head | None
    dtype: str
    vocab_size: int
    hidden_size: int
    max_positions: int
    layers: tuple[Layers, ...]
    connections: HyperConnections
    window: int
    compressions: tuple[Compression, ...]
    notes: tuple[str, ...] = ()

    @property
    def traits(self) -> Traits:
        """A generative model."""
        # A token selects entries once it has more than it may select before it.
        chosen = tuple(c.ratio * c.selected for c in self.compressions if c.selected)
        return Traits(
            causal=True,
            caches=True,
            masks=True,
            head=self.head is not None,
            experts=True,
            windows=(self.window,),
            selections=chosen,
            runs=tuple(c.ratio for c in self.compressions),
            state=State() if self.compressions else None,
        )


def read(data: Mapping[str, Any], where: str) -> DeepseekV4:
    """Read a config with ``model_type`` deepseek_v4."""
    config = Config(data, where)
    class_name = config.class_name(_CLASSES[0], _CLASSES)
    config.refuse("attention_bias", (True,), "transformers' class has no biases of attention")
    depth = config.size("num_hidden_layers", 43, most=LARGEST_DEPTH)
    attentions, mlps = _read_attentions(config, depth), _read_mlps(config, depth)
    kinds = grouped(zip(attentions, mlps, strict=True))
    firsts = [(kind, kind.places[0]) for kind in kinds]
    compressions = dict.fromkeys(a.compression for a in attentions if a.compression is not None)
    _note(config, tuple(compressions))
    architecture = DeepseekV4(
        class_name=class_name,
        head=decoder_head(config, class_name, tied=config.flag("tie_word_embeddings", False)),
        dtype=config.dtype(),
        vocab_size=config.size("vocab_size", 129_280),
        hidden_size=config.size("hidden_size", 4096),
        max_positions=config.size("max_position_embeddings", 1_048_576),
        layers=tuple(
            Layers(kind.name, kind.places, attentions[first], mlps[first]) for kind, first in firsts
        ),
        connections=HyperConnections(
            config.size("hc_mult", 4, most=64), config.size("hc_sinkhorn_iters", 20)
        ),
        window=attentions[0].window,
        compressions=tuple(compressions),
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _note(config: Config, compressions: tuple[Compression, ...]) -> None:
    note_predictors(config)
    for c in compressions:
        if c.selected is not None:
            config.notes.append(
                f"Sparse attention: each token attends to the {c.selected} entries, of {c.ratio} "
                "tokens each, that an indexer selects, and pairs with others are not counted, "
                "unless causal is full."
            )


def _read_attentions(config: Config, layers: int) -> list[CompressedAttention]:
    """Return the attention of each layer."""
    heads, head_dim = config.size("num_attention_heads", 64), config.size("head_dim", 512)
    config.only("num_key_value_heads", 1, "transformers' class has one head of keys")
    rotary = _read_rotary(config, head_dim)
    groups = config.size("o_groups", 8)
    config.divides("o_groups", groups, "num_attention_heads", heads)
    plain = CompressedAttention(
        heads,
        head_dim,
        rotary,
        config.size("q_lora_rank", 1024),
        config.size("sliding_window", 128),
        groups,
        config.size("o_lora_rank", 1024),
    )
    kinds = _read_kinds(config, layers)
    known = {kind: _read_compression(config, kind, rotary) for kind in dict.fromkeys(kinds)}
    return [replace(plain, compression=known[kind]) for kind in kinds]


def _read_rotary(config: Config, head_dim: int) -> int:
    """Return the rotated elements of a head: a share of it, or by the published key."""
    if not config.has("partial_rotary_factor") and config.has("qk_rope_head_dim"):
        return config.size("qk_rope_head_dim", most=max(1, head_dim))
    return max(1, int(head_dim * config.share("partial_rotary_factor", 64 / 512)))


def _read_compression(config: Config, kind: str, rotary: int) -> Compression | None:
    if kind == _SLIDING:
        return None
    if kind == _COMPRESSED:
        return Compression(_read_ratio(config, kind, "compress_rate_hca", 128))
    index = Indexer(config.size("index_n_heads", 64), config.size("index_head_dim", 128), rotary)
    if rotary > index.head_dim and "index_head_dim" not in config.faults:
        text = f"'index_head_dim' ({index.head_dim}) must be the rotated {rotary} elements or more"
        config.fault("index_head_dim", text)
    ratio = _read_ratio(config, kind, "compress_rate_csa", 4)
    return Compression(ratio, config.size("index_topk", 512), index)


def _read_ratio(config: Config, kind: str, key: str, default: int) -> int:
    """Return the tokens of a run, which a mapping gives by kind of layer, or a separate key."""
    if config.has(key):
        return config.size(key)
    rates = config.within("compress_rates")
    return default if rates is None else rates.size(kind, default)


def _read_kinds(config: Config, layers: int) -> list[str]:
    """Return each layer's kind, from a list of kinds or of ratios (which may go on past the last).

    Without a list the layers after the first two alternate.
    """
    listed = config.layer_types(layers, tuple(_BY_RATIO.values()))
    ratios = config.data.get("compress_ratios")
    if listed is None and ratios is not None:
        good = isinstance(ratios, list) and len(ratios) >= layers
        found = [_BY_RATIO.get(r) if type(r) is int else None for r in ratios] if good else []
        listed = [kind for kind in found[:layers] if kind is not None]
        if len(listed) != layers:
            words = ", ".join(str(ratio) for ratio in _BY_RATIO)
            config.fault(
                "compress_ratios",
                f"'compress_ratios' must list one of {words} for each of {layers} layers, got "
                f"{shown(ratios)}",
            )
            listed = None
    if listed is not None:
        return listed
    return [_SELECTED if layer > 1 and layer % 2 else _COMPRESSED for layer in range(layers)]


def _read_mlps(config: Config, layers: int) -> list[Experts]:
    """Return the experts of each layer; the first layers choose by a table of words."""
    count = config.size("n_routed_experts", 256)
    width = config.size("moe_intermediate_size", 2048)
    config.only("n_shared_experts", 1, "transformers' class has one shared expert")
    function = config.choice("hidden_act", ("silu",), "silu")
    routed = Experts(
        count,
        config.size("num_experts_per_tok", 6, most=max(1, count)),
        FeedForward(width, f"{function}_clamped", gated=True),
        shared=width,
        shared_bias=config.flag("mlp_bias", False),
        scoring=config.choice("scoring_func", ("sqrtsoftplus", "sigmoid"), "sqrtsoftplus"),
    )
    hashed = replace(routed, hashed=True)
    return [hashed if has else routed for has in _read_hashed(config, layers)]


def _read_hashed(config: Config, layers: int) -> list[bool]:
    """Return which layers choose experts by a table of words."""
    kinds = config.data.get("mlp_layer_types")
    if kinds is None:
        first = config.count("num_hash_layers", 3)
        return [layer < first for layer in range(layers)]
    known = ("hash_moe", "moe")
    good = isinstance(kinds, list) and len(kinds) == layers
    if not good or any(kind not in known for kind in kinds):
        text = f"'mlp_layer_types' must list hash_moe or moe for each of {layers} layers"
        config.fault("mlp_layer_types", f"{text}, got {shown(kinds)}")
        return [False] * layers
    return [kind == "hash_moe" for kind in kinds]


def lower(model: DeepseekV4, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    width = named(streams=model.connections.streams, hidden=model.hidden_size)
    hidden = Tensor("hidden", forward.row_axes + width, forward.activations, row=2)
    embeddings = Tape(forward, "embeddings")
    words = embeddings.activation("words", forward.row_axes + width[1:])
    embeddings.embed("words", words, ("words", ("vocab", model.vocab_size), forward.rows))
    embeddings.move("streams", (words,), hidden)
    blocks = [_record_layers(model, forward, hidden, layers) for layers in model.layers]
    head = Tape(forward, "head")
    x = collapse_last(head, hidden, "streams")
    x = head.norm("norm", x, "rmsnorm")
    if model.head is not None:
        record_head(head, x, model.head, forward.head_axes, embeddings.ops[0].reads[0])
    return Program((embeddings.close(), *blocks, head.close()))


def _record_layers(model: DeepseekV4, forward: Forward, hidden: Tensor, layers: Layers) -> Block:
    """Note the layers of one kind: [B T, n, D] in and out."""
    tape = Tape(forward, layers.name)
    middle = tape.activation("middle", hidden.axes, 2)
    x, weights = collapse(tape, hidden, model.connections, "attention_streams")
    y = layers.attention.record(tape, tape.norm("attention_norm", x, "rmsnorm"))
    expand(tape, hidden, y, weights, "attention_streams", middle)
    x, weights = collapse(tape, middle, model.connections, "mlp_streams")
    y = record_experts(tape, tape.norm("mlp_norm", x, "rmsnorm"), layers.mlp)
    expand(tape, middle, y, weights, "mlp_streams", hidden)
    return tape.close(len(layers.places), layers=layers.places)


FAMILY = Family("deepseek_v4", ("deepseek_v4",), read, lower)

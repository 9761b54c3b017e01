"""Llama and the decoders built from the same blocks: rotary positions, RMS norms, a gated MLP.

The model types differ in where biases stand, in the normalisation of queries and keys, in whether
norms stand before or after each half of a layer, and in sliding windows; ``_DIALECTS`` lists that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from memorywall.core.model import Family, Forward
from memorywall.core.program import Block, Program
from memorywall.core.tensors import Tensor
from memorywall.families._blocks import Attention, FeedForward, Tape
from memorywall.families._config import Config
from memorywall.families._heads import (
    ALL_HEADS,
    Head,
    decoder_classes,
    decoder_head,
    record_head,
)


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What sets one model type apart; defaults of keys are those of its transformers config.

    Attributes:
        prefix: of its transformers classes.
        biases: on the projections of attention: ``none``, ``qkv``, or ``config`` where all four
            follow the key ``attention_bias``.
        mlp_bias: whether the key ``mlp_bias`` is read.
        qk_norm: ``head`` normalises each head of query and key, ``all`` the whole row.
        norm_after: whether norms stand after each half of a layer instead of before.
        kv_heads, head_dim: for configs that leave the key out; None: as many as the query heads,
            and the hidden size over the heads.
        window: ``sliding_window`` of configs that leave the key out.
        window_flag: whether windows hold only where ``use_sliding_window`` is set, and then only
            in the layers from ``max_window_layers`` on.
        partial_rotary: whether ``partial_rotary_factor`` is read.
        positions: ``max_position_embeddings`` of configs that leave the key out.
        heads: what transformers has for it beside the causal LM and the bare model.
    """

    prefix: str
    biases: str = "none"
    mlp_bias: bool = False
    qk_norm: str = ""
    norm_after: bool = False
    kv_heads: int | None = None
    head_dim: int | None = None
    window: int | None = None
    window_flag: bool = False
    partial_rotary: bool = False
    positions: int = 2048
    heads: tuple[str, ...] = ALL_HEADS


_DIALECTS = {
    "llama": _Dialect("Llama", biases="config", mlp_bias=True),
    "mistral": _Dialect("Mistral", kv_heads=8, window=4096, positions=131_072),
    "qwen2": _Dialect("Qwen2", "qkv", kv_heads=32, window=4096, window_flag=True, positions=32_768),
    "qwen3": _Dialect(
        "Qwen3",
        "config",
        qk_norm="head",
        kv_heads=32,
        head_dim=128,
        window=4096,
        window_flag=True,
        positions=32_768,
    ),
    "phi3": _Dialect("Phi3", partial_rotary=True, positions=4096, heads=ALL_HEADS[:2]),
    "olmo2": _Dialect("Olmo2", "config", qk_norm="all", norm_after=True, heads=ALL_HEADS[:1]),
}
_WINDOWED = ("mistral", "qwen2", "qwen3", "phi3")


@dataclass(frozen=True, slots=True)
class Llama:
    """A decoder of this family, as its config describes it.

    ``layers`` says how many layers look back how far: (window or None, count).
    """

    class_name: str
    head: Head | None
    dtype: str
    vocab_size: int
    hidden_size: int
    max_positions: int
    layers: tuple[tuple[int | None, int], ...]
    attention: Attention
    mlp: FeedForward
    norm_after: bool
    notes: tuple[str, ...] = ()
    causal: bool = True

    @property
    def windows(self) -> tuple[int, ...]:
        """Lengths past which some layer no longer looks back."""
        return tuple(window for window, _ in self.layers if window is not None)


def read(data: Mapping[str, Any], where: str) -> Llama:
    """Read a config of one of the model types in ``_DIALECTS``."""
    config = Config(data, where)
    dialect = _DIALECTS[str(data["model_type"])]
    class_name = config.class_name(
        f"{dialect.prefix}ForCausalLM",
        decoder_classes(dialect.prefix, f"{dialect.prefix}ForCausalLM", dialect.heads),
    )
    mlp = FeedForward(
        config.size("intermediate_size"),
        config.activation("hidden_act", "silu"),
        gated=True,
        bias=dialect.mlp_bias and config.flag("mlp_bias", False),
    )
    architecture = Llama(
        class_name=class_name,
        head=decoder_head(config, class_name, tied=config.flag("tie_word_embeddings", False)),
        dtype=config.dtype(),
        vocab_size=config.size("vocab_size"),
        hidden_size=config.size("hidden_size"),
        max_positions=config.size("max_position_embeddings", dialect.positions),
        layers=_read_layers(config, dialect),
        attention=_read_attention(config, dialect),
        mlp=mlp,
        norm_after=dialect.norm_after,
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _read_attention(config: Config, dialect: _Dialect) -> Attention:
    hidden, heads = config.size("hidden_size"), config.size("num_attention_heads")
    if config.data.get("num_key_value_heads", 0) is None:
        kv_heads = config.default("num_key_value_heads", heads)
    else:
        kv_heads = config.size("num_key_value_heads", dialect.kv_heads or heads)
    config.divides("num_key_value_heads", kv_heads, "num_attention_heads", heads)
    head_dim = config.optional_size("head_dim") or config.default("head_dim", dialect.head_dim)
    if head_dim is None:
        config.divides("num_attention_heads", heads, "hidden_size", hidden)
        head_dim = config.default("head_dim", max(1, hidden // heads))
    rotary_share = config.rotary_share() if dialect.partial_rotary else 1.0
    follows = dialect.biases == "config" and config.flag("attention_bias", False)
    return Attention(
        heads,
        kv_heads,
        head_dim,
        qkv_bias=follows or dialect.biases == "qkv",
        out_bias=follows,
        rotary=max(1, int(head_dim * rotary_share)),
        qk_norm=dialect.qk_norm,
    )


def _read_layers(config: Config, dialect: _Dialect) -> tuple[tuple[int | None, int], ...]:
    """Return (window, how many layers have it), the layers that look all the way back first."""
    layers = config.size("num_hidden_layers")
    if "sliding_window" in config.data:
        window = config.optional_size("sliding_window")
    else:
        window = config.default("sliding_window", dialect.window)
    if config.data.get("model_type") not in _WINDOWED or window is None:
        return ((None, layers),)
    if not dialect.window_flag:
        return ((window, layers),)
    if not config.flag("use_sliding_window", False):
        return ((None, layers),)
    kinds = config.layer_types(layers, ("full_attention", "sliding_attention"))
    if kinds is None:
        sliding = max(0, layers - config.count("max_window_layers", 28))
    else:
        sliding = kinds.count("sliding_attention")
    return tuple((w, n) for w, n in ((None, layers - sliding), (window, sliding)) if n)


def lower(model: Llama, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    hidden = Tensor("hidden", (forward.rows, model.hidden_size), forward.activations)
    tape = Tape(forward, "embeddings")
    tape.embed("words", hidden, ("words", model.vocab_size, forward.rows))
    blocks = [tape.close()]
    for window, count in model.layers:
        name = "layers" if window is None or len(model.layers) == 1 else "sliding_layers"
        blocks.append(_layer(model, forward, hidden, name, window, count))
    tape = Tape(forward, "head")
    final = tape.norm("norm", hidden, "rmsnorm")
    if model.head is not None:
        record_head(tape, final, model.head, forward.head_rows, blocks[0].ops[0].reads[0])
    return Program((*blocks, tape.close()))


def _layer(
    model: Llama, forward: Forward, hidden: Tensor, name: str, window: int | None, count: int
) -> Block:
    """Note x + attention(norm(x)), then x + mlp(norm(x)); or norms after, as in OLMo 2."""
    tape = Tape(forward, name)
    attention = model.attention if window is None else replace(model.attention, window=window)
    middle = tape.activation("middle", *hidden.shape)
    if model.norm_after:
        x = tape.self_attention(hidden, attention)
        x = tape.norm("attention_norm", x, "rmsnorm")
        tape.add("attention_add", hidden, x, out=middle)
        x = tape.feed_forward(middle, model.mlp)
        x = tape.norm("mlp_norm", x, "rmsnorm")
    else:
        x = tape.norm("attention_norm", hidden, "rmsnorm")
        x = tape.self_attention(x, attention)
        tape.add("attention_add", hidden, x, out=middle)
        x = tape.norm("mlp_norm", middle, "rmsnorm")
        x = tape.feed_forward(x, model.mlp)
    tape.add("mlp_add", middle, x, out=hidden)
    return tape.close(count)


FAMILY = Family("llama", tuple(_DIALECTS), read, lower)

"""RecurrentGemma: gated linear recurrences, and one layer in three of local attention.

De et al., "Griffin", arXiv:2402.19427. A recurrent layer multiplies a branch that passes a short
convolution and an RG-LRU by one that passes an activation. Letters: B batch, T new tokens, D
hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from memorywall.core.axes import named
from memorywall.core.errors import shown
from memorywall.core.geometry import Gemm
from memorywall.core.model import Family
from memorywall.core.tensors import Tensor
from memorywall.layers.decoder import Decoder, grouped, lower
from memorywall.layers.recurrence_flops import rg_lru
from memorywall.layers.recurrent import record_scan, recurrent_state, short_convolution
from memorywall.layers.tape import Attention, FeedForward, Tape
from memorywall.reading.config_values import LARGEST_DEPTH, Config
from memorywall.reading.heads import decoder_classes, decoder_head

_PATTERN = ("recurrent", "recurrent", "attention")


@dataclass(frozen=True, slots=True)
class GatedRecurrence:
    """Shape of a recurrent layer's first half.

    Attributes:
        channels: of the recurrence.
        heads: blocks on the diagonal of its gates' weights.
        kernel: width of the short convolution.
        activation: of the branch beside.
    """

    channels: int
    heads: int
    kernel: int
    activation: str
    name: ClassVar[str] = "recurrent"

    @property
    def attends(self) -> bool:
        """It keeps no keys and values."""
        return False

    @property
    def masks(self) -> bool:
        """Its scan forms no pairs of tokens."""
        return False

    def record(self, tape: Tape, x: Tensor) -> Tensor:
        """Note its operators: [B T, D] in and out."""
        width = named(ssm_heads=self.heads, ssm_head_dim=self.channels // self.heads)
        beside = tape.linear("recurrent.y_proj", x, width, bias=True)
        y = tape.linear("recurrent.x_proj", x, width, bias=True)
        # The newest token is not kept: the window is one shorter than the kernel.
        held = self.kernel - 1
        y = short_convolution(tape, "recurrent.conv", y, self.kernel, width, bias=True, held=held)
        y = self._scan(tape, y)
        y = tape.gate("recurrent.gate", self.activation, beside, y)
        return tape.linear("recurrent.o_proj", y, x.row_axes, bias=True)

    def _scan(self, tape: Tape, x: Tensor) -> Tensor:
        """Note both gates and the recurrence: [B T, C] in and out."""
        gates = [self._diagonal(tape, f"recurrent.{name}_gate", x) for name in ("input", "forget")]
        state = recurrent_state(tape, "recurrent.state", x.row_axes, 2)
        reads = (x, *gates, tape.weight("recurrent.decay", x.row_axes, 2))
        out = tape.like("recurrent.scan", x)
        return record_scan(tape, "recurrent.scan", rg_lru(x.axes), reads, state, out)

    def _diagonal(self, tape: Tape, name: str, x: Tensor) -> Tensor:
        """Multiply every head of x by a separate weight: 2 C FLOPs a head's channel, a row."""
        heads, width = x.row_axes
        weight = tape.weight(f"{name}.weight", (heads, width, width), column=1)
        reads = (x, weight, tape.weight(f"{name}.bias", (heads, width)))
        geometry = Gemm(x.rows_axes, (width,), ((width,),), (heads,), tape.product)
        out = tape.like(name, x)
        tape.op(name, geometry, reads, out)
        return out


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config of the model type ``recurrent_gemma``."""
    config = Config(data, where)
    config.refuse("embeddings_scale_by_sqrt_dim", (False,), "transformers' class always scales")
    generating = "RecurrentGemmaForCausalLM"
    class_name = config.class_name(generating, decoder_classes("RecurrentGemma", generating, ()))
    layers = config.size("num_hidden_layers", 26, most=LARGEST_DEPTH)
    activation = config.activation("hidden_activation", "gelu_pytorch_tanh")
    recurrence, attention = _read_recurrence(config, activation), _read_attention(config)
    # A config names the width of both halves of the gated feed-forward together.
    width = max(1, config.size("intermediate_size", 7680) // 2)
    mlp = FeedForward(width, activation, gated=True, bias=True)
    kinds = _read_pattern(config, layers)
    decoder = Decoder(
        class_name=class_name,
        head=decoder_head(config, class_name, tied=config.flag("tie_word_embeddings", True)),
        dtype=config.dtype(),
        vocab_size=config.size("vocab_size"),
        hidden_size=config.size("hidden_size", 2560),
        max_positions=None,
        layers=grouped((recurrence if k == "recurrent" else attention, mlp) for k in kinds),
        embedding_scale=True,
        on_logits="softcap",
        state_dtype="fp32",
        notes=config.all_notes(),
    )
    config.check()
    return decoder


def _read_recurrence(config: Config, activation: str) -> GatedRecurrence:
    channels = config.size("lru_width", config.size("hidden_size", 2560))
    heads = config.size("num_attention_heads", 10)
    config.divides("num_attention_heads", heads, "lru_width", channels)
    return GatedRecurrence(channels, heads, config.size("conv1d_width", 4), activation)


def _read_attention(config: Config) -> Attention:
    hidden, heads = config.size("hidden_size", 2560), config.size("num_attention_heads", 10)
    kv_heads = config.size("num_key_value_heads", heads)
    config.divides("num_attention_heads", heads, "hidden_size", hidden)
    config.divides("num_key_value_heads", kv_heads, "num_attention_heads", heads)
    head_dim = config.size("head_dim", max(1, hidden // heads))
    return Attention(
        heads,
        kv_heads,
        head_dim,
        qkv_bias=config.flag("attention_bias", False),
        out_bias=True,
        rotary=max(1, int(head_dim * config.rotary_share(0.5))),
        window=config.size("attention_window_size", 2048),
    )


def _read_pattern(config: Config, layers: int) -> list[str]:
    """Return the kind of every layer: a pattern that is repeated, under one of two names."""
    key = "block_types" if config.has("block_types") else "_block_types"
    pattern = config.data.get(key)
    if pattern is None:
        pattern = config.default("block_types", list(_PATTERN))
    if not isinstance(pattern, list) or not pattern or any(k not in _PATTERN for k in pattern):
        text = f"{key!r} must list kinds of layers, recurrent or attention, got {shown(pattern)}"
        config.fault(key, text)
        pattern = list(_PATTERN)
    return [pattern[layer % len(pattern)] for layer in range(layers)]


FAMILY = Family("recurrent_gemma", ("recurrent_gemma",), read, lower)

"""MiniMax-Text-01: lightning attention in most layers, softmax attention in the others, experts.

MiniMax-01 (arXiv:2501.08313, section 2.2). Lightning attention keeps one matrix a head, which
decays by a constant of the head. The residual added to each half's output is its input after the
norm, not before; both are scaled. Letters: B batch, T new tokens, D hidden, N heads, H head dim.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from memorywall.core.axes import named
from memorywall.core.model import Family
from memorywall.core.tensors import Tensor
from memorywall.layers.decoder import Decoder, lower
from memorywall.layers.recurrence_flops import lightning
from memorywall.layers.recurrent import record_scan, recurrent_state
from memorywall.layers.tape import Tape
from memorywall.reading.config_values import Config
from memorywall.reading.dialects import PARTIAL_ROTARY, Dialect, read_decoder
from memorywall.reading.expert_keys import NUM_LOCAL_EXPERTS, Mixture
from memorywall.reading.layer_placement import placed
from memorywall.reading.windows import sliding

_FACTORS = tuple(
    f"{half}_{factor}_factor"
    for half in ("full_attn", "linear_attn", "mlp")
    for factor in ("alpha", "beta")
)


@dataclass(frozen=True, slots=True)
class LightningAttention:
    """Shape of a lightning attention.

    Attributes:
        heads, head_dim: N and H; every head has separate keys and values.
        chunk: tokens of a block, within which a prefill computes pairs.
        activation: of queries, keys and values.
    """

    heads: int
    head_dim: int
    chunk: int
    activation: str
    name: ClassVar[str] = "linear"

    @property
    def attends(self) -> bool:
        """It keeps no keys and values."""
        return False

    @property
    def masks(self) -> bool:
        """Its scan forms masked pairs within a chunk."""
        return True

    def record(self, tape: Tape, x: Tensor) -> Tensor:
        """Note its operators: [B T, D] in and out."""
        width, name = (
            named(ssm_heads=self.heads, ssm_head_dim=self.head_dim),
            "linear_attention.scan",
        )
        mixed = tape.linear("linear_attention.qkv_proj", x, (("parts", 3), *width))
        mixed = tape.apply("linear_attention.activation", self.activation, mixed)
        axes = named(ssm_heads=self.heads, state=self.head_dim, ssm_head_dim=self.head_dim)
        state = recurrent_state(tape, "linear_attention.state", axes)
        out = tape.activation(name, x.rows_axes + width, 2)
        geometry = lightning(tape.forward, self.heads, self.head_dim, self.chunk)
        record_scan(tape, name, geometry, (mixed,), state, out)
        out = tape.norm("linear_attention.norm", out, "rmsnorm")
        gate = tape.linear("linear_attention.gate_proj", x, width)
        out = tape.gate("linear_attention.gate", "sigmoid", gate, out)
        return tape.linear("linear_attention.o_proj", out, x.row_axes)


def _read_lightning(config: Config) -> LightningAttention:
    heads = config.size("num_attention_heads")
    if config.has("head_dim"):
        head_dim = config.size("head_dim")
    else:
        head_dim = max(1, config.size("hidden_size") // heads)
    activation = config.activation("hidden_act", "silu")
    return LightningAttention(heads, head_dim, config.size("block_size", 256), activation)


def _attending(_: Config, layers: int) -> list[bool]:
    """Let every other layer attend, the first among them."""
    return [layer % 2 == 0 for layer in range(layers)]


_DIALECT = Dialect(
    "MiniMax", kv_heads=8, layers=sliding(None), rotary_key=PARTIAL_ROTARY, norms="input",
    mixers=placed("linear_attention", _read_lightning, _attending), state_dtype="fp32",
    positions=131_072,
    refused=(("postnorm", (False,), "transformers' class adds to what was normalised"),),
    experts=Mixture((NUM_LOCAL_EXPERTS, 8), ("num_experts_per_tok", 2)),
)  # fmt: skip


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config of the model type ``minimax``."""
    config = Config(data, where)
    decoder = read_decoder(config, _DIALECT)
    scaled = [config.bound(factor, 1.0) != 1 for factor in _FACTORS]
    shared = config.count("shared_intermediate_size", 0)
    config.check()
    if shared:
        config.refuse("shared_intermediate_size", (shared,), "transformers' class shares no expert")
    return replace(decoder, residual_scale=any(scaled))


FAMILY = Family("minimax", ("minimax",), read, lower)

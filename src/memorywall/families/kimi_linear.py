"""Kimi Linear: delta rules whose every channel decays by itself, latent attention, experts.

Kimi Linear (arXiv:2510.26692). One layer in four has latent attention, without rotation. Letters: B
batch, T new tokens, D hidden, N heads, H head dim.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from memorywall.core.axes import Axes, named
from memorywall.core.geometry import Scan
from memorywall.core.model import Family
from memorywall.core.tensors import Tensor
from memorywall.layers.decoder import Decoder, lower
from memorywall.layers.delta_rule import gated_norm
from memorywall.layers.latent_attention import LatentAttention
from memorywall.layers.recurrence_flops import delta_inputs, delta_rule
from memorywall.layers.recurrent import record_scan, recurrent_state, short_convolution
from memorywall.layers.tape import Tape
from memorywall.reading.config_values import Config
from memorywall.reading.dialects import Dialect, read_decoder
from memorywall.reading.expert_keys import NUM_LOCAL_EXPERTS, Mixture, listed_or_after
from memorywall.reading.layer_placement import placed

# The published configs' own names of keys that others share.
_NAMES = {
    "max_position_embeddings": "model_max_length",
    "num_local_experts": "num_experts",
    "num_experts_per_tok": "num_experts_per_token",
    "n_shared_experts": "num_shared_experts",
}


@dataclass(frozen=True, slots=True)
class DeltaAttention:
    """Shape of a Kimi delta attention: N heads of H, a kernel's width, an activation's name."""

    heads: int
    head_dim: int
    kernel: int
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
        """Note its operators: [B T, D] in and out.

        The class projects queries, keys and values one by one, and convolves them together.
        """
        channels, name = (("parts", 3), *self._width), "linear_attention.conv"
        mixed = tape.linear("linear_attention.qkv_proj", x, channels)
        mixed = short_convolution(tape, name, mixed, self.kernel, channels, bias=False)
        mixed = tape.apply("linear_attention.activation", self.activation, mixed)
        decay = self._through(tape, "linear_attention.decay", x)
        beta = tape.linear("linear_attention.beta_proj", x, named(ssm_heads=self.heads))
        out = self._scan(tape, mixed, beta, decay)
        gate = self._through(tape, "linear_attention.gate", x)
        out = gated_norm(tape, "linear_attention.norm", out, gate, 1, "sigmoid")
        return tape.linear("linear_attention.o_proj", out, x.row_axes)

    @property
    def _width(self) -> Axes:
        return named(ssm_heads=self.heads, ssm_head_dim=self.head_dim)

    def _through(self, tape: Tape, name: str, x: Tensor) -> Tensor:
        """Project x to all channels through one head's."""
        low = tape.linear(f"{name}_a_proj", x, named(rank=self.head_dim))
        return tape.linear(f"{name}_b_proj", low, self._width)

    def _scan(self, tape: Tape, mixed: Tensor, beta: Tensor, decay: Tensor) -> Tensor:
        """Note the recurrence, with what kernels do on the way in: norms and gates."""
        heads, width, rows = self.heads, self.head_dim, mixed.axes[:2]
        work = delta_rule(tape.forward, heads, width, width, channelwise=True)
        work = work + delta_inputs(rows, heads, width, heads, channelwise=True)
        weights = (
            tape.weight("linear_attention.A_log", named(ssm_heads=heads)),
            tape.weight("linear_attention.dt_bias", self._width, 2),
        )
        axes = named(ssm_heads=heads, state=width, ssm_head_dim=width)
        state = recurrent_state(tape, "linear_attention.state", axes)
        out = tape.activation("linear_attention.scan", rows + self._width, 2)
        reads, name = (mixed, beta, decay, *weights), "linear_attention.scan"
        return record_scan(tape, name, Scan(work, "kimi_delta"), reads, state, out)


def _read_delta(config: Config) -> DeltaAttention:
    """Read the shape, which published configs keep in a nested mapping."""
    nested = config.within("linear_attn_config")
    activation = config.activation("hidden_act", "silu")
    if nested is None:
        heads, width = config.size("linear_num_heads", 32), config.size("linear_head_dim", 128)
        return DeltaAttention(heads, width, config.size("linear_conv_kernel_dim", 4), activation)
    heads, width = nested.size("num_heads", 32), nested.size("head_dim", 128)
    return DeltaAttention(heads, width, nested.size("short_conv_kernel_size", 4), activation)


def _attending(config: Config, layers: int) -> list[bool]:
    """Read the layers that attend, listed from 1; one in four, the fifth first, without a list."""
    nested = config.within("linear_attn_config")
    if nested is None or not nested.has("full_attn_layers"):
        return [layer > 0 and layer % 4 == 0 for layer in range(layers)]
    listed = nested.layer_list("full_attn_layers", layers + 1)
    others = nested.layer_list("kda_layers", layers + 1)
    if sorted((*listed, *others)) != list(range(1, layers + 1)):
        text = "'full_attn_layers' and 'kda_layers' must list each layer once, from 1"
        config.fault("linear_attn_config", text)
    return [layer + 1 in listed for layer in range(layers)]


def _read_attention(config: Config) -> LatentAttention:
    heads = config.size("num_attention_heads")
    if config.size("num_key_value_heads", heads) != heads:
        config.fault(
            "num_key_value_heads",
            "'num_key_value_heads' must be 'num_attention_heads': latents are projected to keys "
            "and values of every head",
        )
    return LatentAttention(
        heads,
        config.optional_size("q_lora_rank"),
        config.size("kv_lora_rank", 512),
        config.size("qk_nope_head_dim", 128),
        config.size("qk_rope_head_dim", 64),
        config.size("v_head_dim", 128),
        bias=config.flag("attention_bias", False),
        rotated=False,
    )


_REFUSED = (
    ("tie_word_embeddings", (True,), "transformers' class never ties its head"),
    ("mla_use_nope", (False,), "transformers' class rotates nothing"),
    ("moe_router_activation_func", ("softmax",), "transformers' class has sigmoids"),
)
_DIALECT = Dialect(
    "KimiLinear", attention=_read_attention, positions=1_048_576, heads=(),
    refused=_REFUSED,
    mixers=placed("linear_attention", _read_delta, _attending), state_dtype="fp32",
    experts=Mixture(
        (NUM_LOCAL_EXPERTS, 256), ("num_experts_per_tok", 8), ("moe_intermediate_size", 1024),
        shared_number=("n_shared_experts", 1), scoring="sigmoid", layers=listed_or_after(1),
    ),
)  # fmt: skip


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config of the model type ``kimi_linear``."""
    config = Config(data, where, _NAMES)
    decoder = read_decoder(config, _DIALECT)
    config.check()
    return decoder


FAMILY = Family("kimi_linear", ("kimi_linear",), read, lower)

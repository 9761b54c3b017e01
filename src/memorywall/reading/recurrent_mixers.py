"""Reading the shapes of recurrent mixers: gated delta rule, Mamba, Mamba-2."""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.layers.delta_rule import GatedDelta
from memorywall.layers.mamba2_mixer import Mamba2
from memorywall.layers.mamba_mixer import Mamba
from memorywall.reading.config_values import Config


def read_gated_delta(config: Config) -> GatedDelta:
    """Read the shape by Qwen's keys."""
    key_heads = config.size("linear_num_key_heads", 16)
    value_heads = config.size("linear_num_value_heads", 32)
    config.divides("linear_num_key_heads", key_heads, "linear_num_value_heads", value_heads)
    return GatedDelta(
        key_heads,
        config.size("linear_key_head_dim", 128),
        value_heads,
        config.size("linear_value_head_dim", 128),
        kernel=config.size("linear_conv_kernel_dim", 4),
        activation=config.activation("hidden_act", "silu"),
    )


def read_rank(config: Config, key: str) -> int:
    """Return the rank of the time step: a number, or ``auto`` for a sixteenth of the hidden size.

    The sixteenth is rounded up.
    """
    if config.data.get(key, "auto") in (None, "auto"):
        config.default(key, "auto")
        return -(-config.size("hidden_size") // 16)
    return config.size(key)


def read_mamba(config: Config, *, activation: str = "hidden_act", norm: str = "") -> Mamba:
    """Read a mixer from the keys of a hybrid: ``mamba_d_state`` and similar keys.

    ``activation`` is the key of the function after the convolution.
    """
    return Mamba(
        config.size("mamba_expand", 2) * config.size("hidden_size"),
        config.size("mamba_d_state", 16),
        read_rank(config, "mamba_dt_rank"),
        config.size("mamba_d_conv", 4),
        bias=config.flag("mamba_proj_bias", False),
        conv_bias=config.flag("mamba_conv_bias", True),
        activation=config.activation(activation, "silu"),
        norm=norm,
    )


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of the parts of the mixer, each with its default.

    Attributes:
        conv_bias, activation: None if the config has no such key: there is a bias, and it is silu.
        head_dim: may be ``auto``, the channels over the heads; the channels are then the hidden
            size times ``expand``, as they must be if both are given.
    """

    heads: tuple[str, int] = ("mamba_n_heads", 128)
    head_dim: tuple[str, int | None] = ("mamba_d_head", None)
    states: tuple[str, int] = ("mamba_d_state", 256)
    groups: tuple[str, int] = ("mamba_n_groups", 1)
    kernel: tuple[str, int] = ("mamba_d_conv", 4)
    chunk: tuple[str, int] = ("mamba_chunk_size", 256)
    expand: tuple[str, int] = ("mamba_expand", 2)
    bias: str = "mamba_proj_bias"
    out_bias: str = "mamba_proj_bias"
    conv_bias: str = "mamba_conv_bias"
    activation: str = "hidden_act"


def read_mamba2(config: Config, keys: Keys, *, channels: int | None = None) -> Mamba2:
    """Read a mixer; ``channels`` is C if it is not the hidden size times ``expand``."""
    if channels is None:
        channels = config.size(*keys.expand) * config.size("hidden_size")
    heads = config.size(*keys.heads)
    groups = config.size(*keys.groups)
    config.divides(keys.groups[0], groups, keys.heads[0], heads)
    return Mamba2(
        heads,
        _read_head_dim(config, keys, channels, heads),
        config.size(*keys.states),
        groups,
        config.size(*keys.kernel),
        config.size(*keys.chunk),
        bias=config.flag(keys.bias, False),
        out_bias=config.flag(keys.out_bias, False),
        conv_bias=not keys.conv_bias or config.flag(keys.conv_bias, True),
        activation=config.activation(keys.activation, "silu") if keys.activation else "silu",
    )


def _read_head_dim(config: Config, keys: Keys, channels: int, heads: int) -> int:
    key, default = keys.head_dim
    automatic = config.data.get(key) in (None, "auto") and default is None
    found = max(1, channels // heads) if automatic else config.size(key, default)
    if heads * found != channels:
        config.fault(
            keys.heads[0],
            f"{keys.heads[0]!r} ({heads}) times the heads' size ({found}) must be the mixer's "
            f"{channels} channels",
        )
    return found

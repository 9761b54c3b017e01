"""Mamba, Falcon Mamba and Mamba-2: layers of one mixer each, no attention and no cache.

State takes a fixed number of bytes at any length. It is kept in fp32, as transformers keeps it;
engines that keep it in the weights' format are asked about by ``state``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.decoder import Decoder, Mixer, grouped, lower
from memorywall.layers.mamba_mixer import Mamba
from memorywall.reading.config_values import LARGEST_DEPTH, Config
from memorywall.reading.heads import decoder_classes, decoder_head
from memorywall.reading.recurrent_mixers import Keys, read_mamba2, read_rank

_KEYS = Keys(
    heads=("num_heads", 128),
    head_dim=("head_dim", 64),
    states=("state_size", 128),
    groups=("n_groups", 8),
    kernel=("conv_kernel", 4),
    chunk=("chunk_size", 256),
    expand=("expand", 2),
    bias="use_bias",
    out_bias="use_bias",
    conv_bias="use_conv_bias",
)


def _read_mamba(config: Config, norm: str = "") -> Mixer:
    channels = config.size("expand", 2) * config.size("hidden_size")
    return Mamba(
        config.size("intermediate_size", channels),
        config.size("state_size", 16),
        read_rank(config, "time_step_rank"),
        config.size("conv_kernel", 4),
        bias=config.flag("use_bias", False),
        conv_bias=config.flag("use_conv_bias", True),
        activation=config.activation("hidden_act", "silu"),
        norm=norm,
    )


def _read_falcon_mamba(config: Config) -> Mixer:
    """Read a mixer whose time step, B and C are normalised, without gains."""
    return _read_mamba(config, "rmsnorm_plain")


def _read_mamba2(config: Config) -> Mixer:
    return read_mamba2(config, _KEYS)


# Prefix of the classes, whether the head is tied by default, and reader of the mixer.
_KINDS: dict[str, tuple[str, bool, Callable[[Config], Mixer]]] = {
    "mamba": ("Mamba", True, _read_mamba),
    "falcon_mamba": ("FalconMamba", True, _read_falcon_mamba),
    "mamba2": ("Mamba2", False, _read_mamba2),
}


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config of one of the model types in ``_KINDS``."""
    config = Config(data, where)
    prefix, tied, read_mixer = _KINDS[str(data["model_type"])]
    generating = f"{prefix}ForCausalLM"
    class_name = config.class_name(generating, decoder_classes(prefix, generating, ()))
    depth = config.size("num_hidden_layers", most=LARGEST_DEPTH)
    architecture = Decoder(
        class_name=class_name,
        head=decoder_head(config, class_name, tied=config.flag("tie_word_embeddings", tied)),
        dtype=config.dtype(),
        vocab_size=config.size("vocab_size"),
        hidden_size=config.size("hidden_size"),
        max_positions=None,
        layers=grouped([(read_mixer(config), None)] * depth),
        state_dtype="fp32",
        notes=config.all_notes(),
    )
    config.check()
    return architecture


FAMILY = Family("mamba", tuple(_KINDS), read, lower)

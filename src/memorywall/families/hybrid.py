"""Decoders of which some layers have attention and others scans, or every layer has both.

Jamba, Bamba, Granite 4 and Falcon-H1. Falcon-H1's constant multipliers within a layer stand next to
linear layers, as epilogues of which they run, and are not counted. State is kept in fp32, as
transformers keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from memorywall.core.model import Family
from memorywall.core.tensors import Tensor
from memorywall.layers.decoder import AnyAttention, Decoder, Mixer, lower, record_attention
from memorywall.layers.mamba2_mixer import Mamba2
from memorywall.layers.tape import Tape
from memorywall.reading.config_values import Config
from memorywall.reading.dialects import (
    ATTENTION_BIAS,
    MLP_BIAS,
    Dialect,
    read_attention,
    read_dialect,
)
from memorywall.reading.expert_keys import NUM_EXPERTS, NUM_LOCAL_EXPERTS, Mixture
from memorywall.reading.heads import ALL_HEADS
from memorywall.reading.recurrent_mixers import Keys, read_mamba, read_mamba2
from memorywall.reading.windows import Look

_CHOSEN = "num_experts_per_tok"
# Names of layers in Granite's configs, old and new; the first two have attention.
_KINDS = ("attention", "full_attention", "mamba", "linear_attention")


@dataclass(frozen=True, slots=True)
class ScanBesideAttention:
    """A scan and attention that read the same input, and whose outputs are added."""

    attention: AnyAttention
    scan: Mamba2
    name: str = "hybrid"

    @property
    def attends(self) -> bool:
        """It keeps keys and values."""
        return True

    @property
    def masks(self) -> bool:
        """Its scan forms masked pairs within a chunk."""
        return True

    def record(self, tape: Tape, x: Tensor) -> Tensor:
        """Note the operators of both: [B T, D] in and out."""
        scanned = self.scan.record(tape, x)
        return tape.add("mixers_add", scanned, record_attention(tape, x, self.attention))


def _one_in(config: Config, layers: int, name: str, period: int, offset: int) -> list[bool]:
    """Return the layers that a period and an offset select."""
    every = config.size(f"{name}_period", period)
    first = config.count(f"{name}_offset", offset)
    if first >= every:
        config.fault(f"{name}_offset", f"'{name}_offset' ({first}) must be below the period")
    return [layer % every == first for layer in range(layers)]


def _jamba_experts(config: Config, layers: int) -> list[bool]:
    placed = _one_in(config, layers, "expert_layer", 2, 1)
    return [has and config.size(NUM_EXPERTS, 16) > 1 for has in placed]


def _jamba_mixers(config: Config, layers: int) -> list[Mixer | None]:
    mamba = read_mamba(config, norm="rmsnorm")
    attends = _one_in(config, layers, "attn_layer", 8, 4)
    return [None if has else mamba for has in attends]


def _bamba_mixers(config: Config, layers: int) -> list[Mixer | None]:
    mamba = read_mamba2(config, Keys())
    attends = config.layer_list("attn_layer_indices", layers)
    return [None if layer in attends else mamba for layer in range(layers)]


def _granite_mixers(config: Config, layers: int) -> list[Mixer | None]:
    kinds = config.layer_types(layers, _KINDS) or [_KINDS[-1]] * layers
    if all(kind in _KINDS[:2] for kind in kinds):
        return [None] * layers
    mamba = read_mamba2(config, Keys())
    return [None if kind in _KINDS[:2] else mamba for kind in kinds]


def _granite_looks(config: Config, layers: int) -> list[Look]:
    rotated = config.word("position_embedding_type", "none") == "rope"
    return [(None, rotated)] * layers


def _granite_experts(config: Config, layers: int) -> list[bool]:
    return [config.count(NUM_LOCAL_EXPERTS, 8) > 0] * layers


_FALCON_H1 = Dialect(
    "FalconH1", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, mlp_bias=MLP_BIAS, kv_heads=8,
    positions=8192, embedding_scale=True, on_logits="scale", state_dtype="fp32", heads=(),
)  # fmt: skip


def _falcon_h1_mixers(config: Config, layers: int) -> list[Mixer | None]:
    if "mamba_d_ssm" in config.data and not config.has("mamba_d_ssm"):
        channels = config.size("mamba_expand", 2) * config.size("hidden_size")
    else:
        channels = config.size("mamba_d_ssm", 1024)
    scan = read_mamba2(config, Keys(out_bias="projectors_bias"), channels=channels)
    scan = replace(scan, norm=config.flag("mamba_rms_norm", False))
    return [ScanBesideAttention(read_attention(config, _FALCON_H1), scan)] * layers


DIALECTS = {
    "jamba": Dialect(
        "Jamba", kv_heads=8, rotary=None, positions=262_144, mixers=_jamba_mixers,
        state_dtype="fp32", heads=ALL_HEADS[:1],
        experts=Mixture((NUM_EXPERTS, 16), (_CHOSEN, 2), layers=_jamba_experts),
    ),
    "bamba": Dialect(
        "Bamba", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, mlp_bias=MLP_BIAS, kv_heads=8,
        rotary=0.5, positions=262_144, mixers=_bamba_mixers, state_dtype="fp32", heads=(),
    ),
    "granitemoehybrid": Dialect(
        "GraniteMoeHybrid", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS,
        width=("shared_intermediate_size", 1024), layers=_granite_looks, mixers=_granite_mixers,
        state_dtype="fp32", embedding_scale=True, residual_scale=True, on_logits="scale", heads=(),
        experts=Mixture(
            (NUM_LOCAL_EXPERTS, 8), (_CHOSEN, 2), layers=_granite_experts,
            shared_width=("shared_intermediate_size", 1024),
        ),
    ),
    "falcon_h1": replace(_FALCON_H1, mixers=_falcon_h1_mixers),
}  # fmt: skip


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config of one of the model types in ``DIALECTS``."""
    return read_dialect(data, where, DIALECTS)


FAMILY = Family("hybrid", tuple(DIALECTS), read, lower)

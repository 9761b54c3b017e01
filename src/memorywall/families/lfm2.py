"""LFM2: short convolutions between two gates in most layers, grouped attention in the others.

Liquid AI's LFM2 (arXiv:2511.23404, section 2): a token is projected to two gates and an input; the
first gate multiplies the input before the convolution, the second what comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from memorywall.core.axes import Axes, named
from memorywall.core.geometry import Elementwise, Space
from memorywall.core.model import Family
from memorywall.core.tensors import Tensor
from memorywall.layers.decoder import AnyMlp, Decoder, DecoderLayers, lower
from memorywall.layers.element_costs import FLOPS_PER_ELEMENT
from memorywall.layers.recurrent import short_convolution
from memorywall.layers.tape import FeedForward, Tape
from memorywall.reading.config_values import Config
from memorywall.reading.dialects import Dialect, read_decoder
from memorywall.reading.expert_keys import NUM_EXPERTS, Mixture
from memorywall.reading.layer_placement import placed


@dataclass(frozen=True, slots=True)
class GatedConvolution:
    """Shape of a gated short convolution over the hidden states; ``bias`` is that of all parts."""

    kernel: int
    bias: bool
    name: ClassVar[str] = "convolution"

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
        rows, width = x.rows_axes, named(ssm_heads=x.width)
        gates = tape.linear("convolution.in_proj", x, (("parts", 3), *width), self.bias)
        first, second = (gates.part(rows + named(parts=n) + width) for n in (2, 1))
        y = _times(tape, "convolution.first_gate", first, rows + width)
        y = short_convolution(tape, "convolution.conv", y, self.kernel, width, bias=self.bias)
        y = _times(tape, "convolution.second_gate", second, rows + width, y)
        return tape.linear("convolution.out_proj", y, x.row_axes, self.bias)


def _times(tape: Tape, name: str, gate: Tensor, axes: Axes, *others: Tensor) -> Tensor:
    """Multiply a gate by what lies beside it, or by another array."""
    out = tape.activation(name, axes)
    geometry = Elementwise((Space(FLOPS_PER_ELEMENT["gated"], axes),), "gated")
    tape.op(name, geometry, (gate, *others), out)
    return out


def _read_convolution(config: Config) -> GatedConvolution:
    return GatedConvolution(config.size("conv_L_cache", 3), config.flag("conv_bias", False))


def _attending(config: Config, layers: int) -> list[bool]:
    """Read the layers that attend by their numbers; all of them where none are listed."""
    if not config.has("full_attn_idxs"):
        config.default("full_attn_idxs", None)
        return [True] * layers
    listed = config.layer_list("full_attn_idxs", layers)
    return [layer in listed for layer in range(layers)]


def _listed(config: Config, layers: int) -> list[bool]:
    """Name the fault of a config that does not say which layers attend."""
    config.fault("layer_types", "'layer_types' is missing")
    return [True] * layers


def _after_dense(config: Config, layers: int) -> list[bool]:
    """Put experts into all layers but the first few."""
    dense = config.count("num_dense_layers", 2)
    return [layer >= dense for layer in range(layers)]


DIALECTS = {
    "lfm2": Dialect(
        "Lfm2", activation=("", "silu"), width=("intermediate_size", 12_288), qk_norm="head",
        kv_heads=8, mixers=placed("conv", _read_convolution, _attending), positions=128_000,
        tied=True, heads=(),
        refused=(("block_use_swiglu", (False,), "transformers' class is always gated"),),
    ),
    "lfm2_moe": Dialect(
        "Lfm2Moe", activation=("", "silu"), width=("intermediate_size", 7168), qk_norm="head",
        kv_heads=8, mixers=placed("conv", _read_convolution, _listed), positions=128_000,
        tied=True, heads=(),
        experts=Mixture(
            (NUM_EXPERTS, 32), ("num_experts_per_tok", 4), ("moe_intermediate_size", 1792),
            scoring="sigmoid", layers=_after_dense,
        ),
    ),
}  # fmt: skip


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config of one of the model types in ``DIALECTS``."""
    model_type = str(data["model_type"])
    names = {"intermediate_size": "block_ff_dim"} if model_type == "lfm2" else {}
    config = Config(data, where, names)
    decoder = read_decoder(config, DIALECTS[model_type])
    if decoder.head is not None:  # older configs have another name for it
        tied = config.flag("tie_embedding", decoder.head.tied)
        decoder = replace(decoder, head=replace(decoder.head, tied=tied))
    if model_type == "lfm2":
        layers = [_adjusted(config, kind) for kind in decoder.layers]
        decoder = replace(decoder, layers=tuple(layers))
    config.check()
    return decoder


def _adjusted(config: Config, layers: DecoderLayers) -> DecoderLayers:
    """Return layers whose feed-forward is as wide as the class makes it of what the config says."""
    mlp: AnyMlp | None = layers.mlp
    if not isinstance(mlp, FeedForward) or not config.flag("block_auto_adjust_ff_dim", True):
        return layers
    width = int(2 * mlp.width / 3)
    times = config.bound("block_ffn_dim_multiplier", 1.0)
    if times is not None:
        multiple = config.size("block_multiple_of", 256)
        width = -(-int(times * width) // multiple) * multiple
    return replace(layers, mlp=replace(mlp, width=max(1, width)))


FAMILY = Family("lfm2", tuple(DIALECTS), read, lower)

"""Mamba-2's mixer: a short convolution and a scan by heads (SSD) between two projections.

Dao and Gu, "Transformers are SSMs", arXiv 2405.21060, section 7. Letters: H heads of P channels
with N numbers of state each, G groups of heads that share B and C, C = H P channels, W width of
the convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.axes import Axes, named
from memorywall.core.tensors import Tensor
from memorywall.layers.delta_rule import gated_norm
from memorywall.layers.recurrent import (
    record_scan,
    recurrent_state,
    short_convolution,
    ssd_chunked,
    ssd_step,
)
from memorywall.layers.tape import Tape


@dataclass(frozen=True, slots=True)
class Mamba2:
    """Shape of a mixer with Mamba-2's scan.

    Attributes:
        heads, head_dim, states, groups, kernel: H, P, N, G, W.
        chunk: tokens that a prefill takes at a time.
        bias, out_bias, conv_bias: on the projections in and out, and on the convolution.
        activation: after the convolution.
        norm: whether what leaves the scan is gated, then normalised, or gated alone.
    """

    heads: int
    head_dim: int
    states: int
    groups: int
    kernel: int
    chunk: int
    bias: bool = False
    out_bias: bool = False
    conv_bias: bool = True
    activation: str = "silu"
    norm: bool = True
    name: str = "mamba"

    @property
    def _channels(self) -> Axes:
        return named(ssm_heads=self.heads, ssm_head_dim=self.head_dim)

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
        rows, channels, heads = x.rows_axes, self._channels, named(ssm_heads=self.heads)
        shared = named(groups=self.groups, state=self.states)
        convolved = (channels, shared, shared)
        made = tape.linear_parts("mamba.in_proj", x, (channels, *convolved, heads), self.bias)
        u = short_convolution(
            tape, "mamba.conv", made, self.kernel, *convolved, bias=self.conv_bias
        )
        u = tape.apply("mamba.activation", self.activation, u)
        y = self._scan(tape, u, made.part(rows + heads))
        gate = made.part(rows + channels)
        if self.norm:  # one kernel gates and normalises, by groups, which changes no FLOPs
            y = gated_norm(tape, "mamba.norm", y, gate, 2, "silu")
        else:
            y = tape.gate("mamba.gate", "silu", gate, y)
        return tape.linear("mamba.out_proj", y, x.row_axes, self.out_bias)

    def _scan(self, tape: Tape, u: Tensor, step: Tensor) -> Tensor:
        forward, h, p, n = tape.forward, self.heads, self.head_dim, self.states
        if forward.step:
            geometry = ssd_step(forward.row_axes, h, p, n)
        else:
            geometry = ssd_chunked(forward, h, p, n, self.groups, self.chunk)
        names = ("dt_bias", "A_log", "D")
        weights = tuple([tape.weight(f"mamba.{name}", named(ssm_heads=h)) for name in names])
        return record_scan(
            tape,
            "mamba.scan",
            geometry,
            (u, step, *weights),
            recurrent_state(tape, "mamba.state", self._channels + named(state=n)),
            tape.activation("mamba.scan", forward.row_axes + self._channels, 2),
        )

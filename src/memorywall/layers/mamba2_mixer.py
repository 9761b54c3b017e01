"""Mamba-2's mixer: a short convolution and a scan by heads (SSD) between two projections.

Dao and Gu, "Transformers are SSMs", arXiv 2405.21060, section 7. Letters: H heads of P channels
with N numbers of state each, G groups of heads that share B and C, C = H P channels, W width of
the convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.tensors import Tensor
from memorywall.layers.delta_rule import gated_norm
from memorywall.layers.element_costs import ACTIVATION_FLOPS, FLOPS_PER_ELEMENT
from memorywall.layers.recurrent import (
    part,
    record_scan,
    recurrent_state,
    short_convolution,
    ssd_chunked_flops,
    ssd_step_flops,
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
    def channels(self) -> int:
        """C, all heads together."""
        return self.heads * self.head_dim

    def record(self, tape: Tape, x: Tensor) -> Tensor:
        """Note its operators: [B T, D] in and out."""
        rows, channels, shared = x.shape[0], self.channels, 2 * self.groups * self.states
        made = tape.linear("mamba.in_proj", x, 2 * channels + shared + self.heads, self.bias)
        u = part(made, rows, channels + shared)
        u = short_convolution(tape, "mamba.conv", u, self.kernel, bias=self.conv_bias)
        u = tape.apply("mamba.activation", self.activation, u)
        y = self._scan(tape, u, part(made, rows, self.heads))
        gate = part(made, rows, channels)
        if self.norm:  # one kernel gates and normalises, by groups, which changes no FLOPs
            y = gated_norm(tape, "mamba.norm", y, gate, channels, "silu")
        else:
            y = self._gate(tape, y, gate)
        return tape.linear("mamba.out_proj", y, int(x.shape[-1]), self.out_bias)

    def _scan(self, tape: Tape, u: Tensor, step: Tensor) -> Tensor:
        forward, h, p, n = tape.forward, self.heads, self.head_dim, self.states
        if forward.step:
            flops = ssd_step_flops(forward.rows, h, p, n)
        else:
            flops = ssd_chunked_flops(forward, h, p, n, self.groups, self.chunk)
        weights = tuple([tape.weight(f"mamba.{name}", h) for name in ("dt_bias", "A_log", "D")])
        return record_scan(
            tape,
            "mamba.scan",
            "ssd",
            flops,
            (u, step, *weights),
            recurrent_state(tape, "mamba.state", forward.batch, h, p, n),
            tape.activation("mamba.scan", forward.rows, self.channels),
        )

    def _gate(self, tape: Tape, y: Tensor, gate: Tensor) -> Tensor:
        """Multiply by silu(gate), whatever the activation after the convolution."""
        out = tape.activation("mamba.gate", *y.shape)
        flops = (ACTIVATION_FLOPS["silu"] + FLOPS_PER_ELEMENT["gated"]) * y.elements
        tape.op("mamba.gate", "elementwise", flops, (gate, y), out, function="silu gated")
        return out

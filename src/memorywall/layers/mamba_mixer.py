"""Mamba's mixer: a short convolution and a selective scan between two projections.

Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", arXiv 2312.00752,
section 3.4. Letters: C channels, N numbers of state a channel, R rank of the time step, W width of
the convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import FLOPS_PER_ELEMENT, NORM_WEIGHTS
from memorywall.layers.recurrent import (
    part,
    record_scan,
    recurrent_state,
    selective_scan_flops,
    short_convolution,
)
from memorywall.layers.tape import Tape


@dataclass(frozen=True, slots=True)
class Mamba:
    """Shape of a mixer with a selective scan.

    Attributes:
        channels, states, rank, kernel: C, N, R, W.
        heads: parts of the channels that have time steps, B and C of their own (Zamba's two).
        bias, conv_bias: whether the projections in and out, and the convolution, have one.
        activation: after the convolution.
        norm: the kind of norm on time step, B and C; nothing for none.
    """

    channels: int
    states: int
    rank: int
    kernel: int
    heads: int = 1
    bias: bool = False
    conv_bias: bool = True
    activation: str = "silu"
    norm: str = ""
    name: str = "mamba"

    def record(self, tape: Tape, x: Tensor) -> Tensor:
        """Note its operators: [B T, D] in and out."""
        rows, channels = x.shape[0], self.channels
        both = tape.linear("mamba.in_proj", x, 2 * channels, self.bias)
        u = part(both, rows, channels)
        u = short_convolution(tape, "mamba.conv", u, self.kernel, bias=self.conv_bias)
        u = tape.apply("mamba.activation", self.activation, u)
        step, b_and_c = self._selection(tape, u)
        gate = part(both, rows, channels)
        y = self._scan(tape, u, step, b_and_c, gate)
        return tape.linear("mamba.out_proj", y, int(x.shape[-1]), self.bias)

    def _selection(self, tape: Tape, u: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the time steps, [B T, C] before bias and softplus, and B and C of the tokens."""
        rows, h, n, r, channels = u.shape[0], self.heads, self.states, self.rank, self.channels
        made = tape.activation("mamba.x_proj", rows, h * (r + 2 * n))
        weight = tape.weight("mamba.x_proj.weight", h * (r + 2 * n), channels // h)
        flops = 2 * (r + 2 * n) * channels * rows
        tape.op("mamba.x_proj", "gemm", flops, (u, weight), made, function="linear")
        low = part(made, rows, h * r)
        b_and_c: tuple[Tensor, ...] = (part(made, rows, 2 * h * n),)
        if self.norm:
            low = self._normed(tape, "dt", low)
            b_and_c = tuple([self._normed(tape, c, part(made, rows, h * n)) for c in "bc"])
        step = tape.activation("mamba.dt_proj", rows, channels)
        weight = tape.weight("mamba.dt_proj.weight", channels, r)
        tape.op("mamba.dt_proj", "gemm", 2 * r * channels * rows, (low, weight), step,
                function="linear")  # fmt: skip
        return step, b_and_c

    def _normed(self, tape: Tape, name: str, x: Tensor) -> Tensor:
        rows, width = x.touched or x.shape
        out = tape.activation(f"mamba.{name}_norm", rows, width)
        weights = [
            tape.weight(f"mamba.{name}_norm.{one}", width) for one in NORM_WEIGHTS[self.norm]
        ]
        flops = FLOPS_PER_ELEMENT[self.norm] * out.elements
        function = self.norm.partition("_")[0]
        tape.op(f"mamba.{name}_norm", "norm", flops, (x, *weights), out, function=function)
        return out

    def _scan(
        self, tape: Tape, u: Tensor, step: Tensor, b_and_c: tuple[Tensor, ...], gate: Tensor
    ) -> Tensor:
        channels, states = self.channels, self.states
        weights = (
            tape.weight("mamba.dt_proj.bias", channels),
            tape.weight("mamba.A_log", channels, states),
            tape.weight("mamba.D", channels),
        )
        return record_scan(
            tape,
            "mamba.scan",
            "selective_scan",
            selective_scan_flops(u.shape[0], channels, states),
            (u, step, *b_and_c, gate, *weights),
            recurrent_state(tape, "mamba.state", tape.forward.batch, channels, states),
            tape.activation("mamba.scan", *u.shape),
        )

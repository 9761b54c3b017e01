"""Mamba's mixer: a short convolution and a selective scan between two projections.

Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", arXiv 2312.00752,
section 3.4. Letters: C channels, N numbers of state a channel, R rank of the time step, W width of
the convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.axes import named
from memorywall.core.geometry import Gemm
from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import NORM_WEIGHTS
from memorywall.layers.recurrent import (
    record_scan,
    recurrent_state,
    selective_scan,
    short_convolution,
)
from memorywall.layers.tape import Tape, join, normalised


@dataclass(frozen=True, slots=True)
class Mamba:
    """Shape of a mixer with a selective scan.

    Attributes:
        channels, states, rank, kernel: C, N, R, W.
        heads: parts of the channels with separate time steps, B and C (Zamba's two).
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
        channels = named(ssm_heads=self.channels)
        both = tape.linear("mamba.in_proj", x, (("parts", 2), *channels), self.bias)
        u = both.part(x.rows_axes + channels)
        u = short_convolution(tape, "mamba.conv", u, self.kernel, channels, bias=self.conv_bias)
        u = tape.apply("mamba.activation", self.activation, u)
        step, b_and_c = self._selection(tape, u)
        gate = both.part(x.rows_axes + channels)
        y = self._scan(tape, u, step, b_and_c, gate)
        return tape.linear("mamba.out_proj", y, x.row_axes, self.bias)

    def _selection(self, tape: Tape, u: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the time steps, [B T, C] before bias and softplus, and B and C of the tokens."""
        rows, heads, channels = u.rows_axes, ("parts", self.heads), u.row_axes
        rank, state = named(rank=self.rank), ("state", self.states)
        inner = named(ssm_heads=self.channels // self.heads)
        parts = (rank, (state,), (state,))
        width = (heads, *join(parts))
        made = tape.activation("mamba.x_proj", rows + width, 2, parts=parts)
        weight = tape.weight("mamba.x_proj.weight", width + inner, parts=parts)
        tape.op("mamba.x_proj", Gemm(rows, inner, parts, (heads,)), (u, weight), made)
        low = made.part((*rows, heads, *rank))
        b_and_c: tuple[Tensor, ...] = (made.part((*rows, ("parts", 2 * self.heads), state)),)
        if self.norm:
            low = self._normed(tape, "dt", low)
            one = made.part((*rows, heads, state))
            b_and_c = tuple([self._normed(tape, name, one) for name in "bc"])
        step = tape.activation("mamba.dt_proj", rows + channels)
        weight = tape.weight("mamba.dt_proj.weight", (heads, *inner, *rank))
        tape.op("mamba.dt_proj", Gemm(rows, rank, (inner,), (heads,)), (low, weight), step)
        return step, b_and_c

    def _normed(self, tape: Tape, name: str, x: Tensor) -> Tensor:
        axes = x.touched or x.axes
        name, width = f"mamba.{name}_norm", axes[2:]
        out = tape.activation(name, axes, 2)
        weights = [tape.weight(f"{name}.{one}", width, 2) for one in NORM_WEIGHTS[self.norm]]
        tape.op(name, normalised(self.norm, axes, width), (x, *weights), out)
        return out

    def _scan(
        self, tape: Tape, u: Tensor, step: Tensor, b_and_c: tuple[Tensor, ...], gate: Tensor
    ) -> Tensor:
        channels, states = u.row_axes, named(state=self.states)
        weights = (
            tape.weight("mamba.dt_proj.bias", channels),
            tape.weight("mamba.A_log", channels + states),
            tape.weight("mamba.D", channels),
        )
        return record_scan(
            tape,
            "mamba.scan",
            selective_scan(u.rows_axes, channels, self.states),
            (u, step, *b_and_c, gate, *weights),
            recurrent_state(tape, "mamba.state", channels + states),
            tape.like("mamba.scan", u),
        )

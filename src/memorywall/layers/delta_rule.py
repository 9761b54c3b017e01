"""The gated delta rule in attention's place, as Qwen3-Next, Qwen3.5 and OLMo Hybrid have it.

Yang, Kautz and Hatamizadeh, "Gated Delta Networks", arXiv:2412.06464. Queries, keys and values pass
a short convolution; each head keeps a matrix of keys by values, which a step decays, corrects by
what it holds for the new key, and asks. Letters: B batch, T new tokens, D hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memorywall.core.axes import Axes, named, names
from memorywall.core.geometry import Norm, Scan, Space
from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import ACTIVATION_FLOPS, FLOPS_PER_ELEMENT
from memorywall.layers.recurrence_flops import delta_inputs, delta_rule
from memorywall.layers.recurrent import record_scan, recurrent_state, short_convolution
from memorywall.layers.tape import Tape


@dataclass(frozen=True, slots=True)
class GatedDelta:
    """Shape of a gated delta rule.

    Attributes:
        key_heads, key_dim: of queries and keys; several heads of values may share one.
        value_heads, value_dim: of values, of the gate and of what comes out.
        kernel: width of the short convolution.
        activation: what follows the convolution; the gate is silu's always.
    """

    key_heads: int
    key_dim: int
    value_heads: int
    value_dim: int
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

        Classes differ in which of the projections are one product; what they do in all is the same.
        """
        keys = named(groups=self.key_heads, state=self.key_dim)
        heads, parts = named(ssm_heads=self.value_heads), (keys, keys, self._values)
        mixed = tape.linear_parts("linear_attention.qkv_proj", x, parts)
        gate = tape.linear("linear_attention.gate_proj", x, self._values)
        beta = tape.linear("linear_attention.beta_proj", x, heads)
        decay = tape.linear("linear_attention.decay_proj", x, heads)
        name = "linear_attention.conv"
        mixed = short_convolution(tape, name, mixed, self.kernel, *parts, bias=False)
        mixed = tape.apply("linear_attention.activation", self.activation, mixed)
        out = self._scan(tape, mixed, beta, decay)
        out = gated_norm(tape, "linear_attention.norm", out, gate, 1, "silu")
        return tape.linear("linear_attention.o_proj", out, x.row_axes)

    @property
    def _values(self) -> Axes:
        return named(ssm_heads=self.value_heads, ssm_head_dim=self.value_dim)

    def _scan(self, tape: Tape, mixed: Tensor, beta: Tensor, decay: Tensor) -> Tensor:
        """Note the recurrence, with what kernels do on the way in: norms and gates."""
        heads, rows, name = self.value_heads, mixed.rows_axes, "linear_attention.scan"
        work = delta_rule(tape.forward, heads, self.key_dim, self.value_dim)
        work = work + delta_inputs(rows, self.key_heads, self.key_dim, heads)
        head = named(ssm_heads=heads)
        weights = [tape.weight(f"linear_attention.{one}", head) for one in ("A_log", "dt_bias")]
        axes = named(ssm_heads=heads, state=self.key_dim, ssm_head_dim=self.value_dim)
        state = recurrent_state(tape, "linear_attention.state", axes)
        out = tape.activation(name, rows + self._values, 2)
        reads = (mixed, beta, decay, *weights)
        return record_scan(tape, name, Scan(work, "gated_delta"), reads, state, out)


def gated_norm(tape: Tape, name: str, x: Tensor, gate: Tensor, run: int, function: str) -> Tensor:
    """Normalise x along its last ``run`` axes, and multiply by a function of the gate."""
    out, gain = tape.like(name, x), x.axes[-run:]
    cost = FLOPS_PER_ELEMENT["rmsnorm"] + ACTIVATION_FLOPS[function] + FLOPS_PER_ELEMENT["gated"]
    reads = (x, gate, tape.weight(f"{name}.weight", gain, run))
    tape.op(name, Norm((Space(cost, x.axes),), "rmsnorm", names(gain)), reads, out)
    return out

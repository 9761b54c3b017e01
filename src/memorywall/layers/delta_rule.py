"""The gated delta rule in attention's place, as Qwen3-Next, Qwen3.5 and OLMo Hybrid have it.

Yang, Kautz and Hatamizadeh, "Gated Delta Networks", arXiv:2412.06464. Queries, keys and values pass
a short convolution; each head keeps a matrix of keys by values, which a step decays, corrects by
what it holds for the new key, and asks. Letters: B batch, T new tokens, D hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import ACTIVATION_FLOPS, FLOPS_PER_ELEMENT
from memorywall.layers.recurrence_flops import delta_inputs_flops, delta_rule_flops
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

    def record(self, tape: Tape, x: Tensor) -> Tensor:
        """Note its operators: [B T, D] in and out.

        Classes differ in which of the projections are one product; what they do in all is the same.
        """
        keys, values = self.key_heads * self.key_dim, self.value_heads * self.value_dim
        mixed = tape.linear("linear_attention.qkv_proj", x, 2 * keys + values)
        gate = tape.linear("linear_attention.gate_proj", x, values)
        beta = tape.linear("linear_attention.beta_proj", x, self.value_heads)
        decay = tape.linear("linear_attention.decay_proj", x, self.value_heads)
        mixed = short_convolution(tape, "linear_attention.conv", mixed, self.kernel, bias=False)
        mixed = tape.apply("linear_attention.activation", self.activation, mixed)
        out = self._scan(tape, mixed, beta, decay)
        out = gated_norm(tape, "linear_attention.norm", out, gate, self.value_dim, "silu")
        return tape.linear("linear_attention.o_proj", out, int(x.shape[-1]))

    def _scan(self, tape: Tape, mixed: Tensor, beta: Tensor, decay: Tensor) -> Tensor:
        """Note the recurrence, with what kernels do on the way in: norms and gates."""
        heads, rows = self.value_heads, mixed.shape[0]
        flops = delta_rule_flops(tape.forward, heads, self.key_dim, self.value_dim)
        flops = flops + delta_inputs_flops(rows, self.key_heads, self.key_dim, heads)
        weights = [tape.weight(f"linear_attention.{name}", heads) for name in ("A_log", "dt_bias")]
        shape = (tape.forward.batch, heads, self.key_dim, self.value_dim)
        state = recurrent_state(tape, "linear_attention.state", *shape)
        out = tape.activation("linear_attention.scan", rows, heads * self.value_dim)
        reads = (mixed, beta, decay, *weights)
        name = "linear_attention.scan"
        return record_scan(tape, name, "gated_delta", flops, reads, state, out)


def gated_norm(tape: Tape, name: str, x: Tensor, gate: Tensor, gain: int, function: str) -> Tensor:
    """Normalise every head of x, ``gain`` wide, and multiply by a function of the gate."""
    out = tape.activation(name, *x.shape)
    cost = FLOPS_PER_ELEMENT["rmsnorm"] + ACTIVATION_FLOPS[function] + FLOPS_PER_ELEMENT["gated"]
    reads = (x, gate, tape.weight(f"{name}.weight", gain))
    tape.op(name, "norm", cost * x.elements, reads, out, function="rmsnorm")
    return out

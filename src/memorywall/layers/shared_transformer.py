"""The transformer that Zamba's hybrid layers share, with the adapters that each has of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import ACTIVATION_FLOPS, FLOPS_PER_ELEMENT
from memorywall.layers.tape import Attention, FeedForward, Tape

# What stands in the names of operators whose weights are a layer's own.
ADAPTER = "adapter"


@dataclass(frozen=True, slots=True)
class Shared:
    """What hybrid layers run before their scan.

    Attributes:
        attention, mlp: of the transformer.
        rank: of the adapters; 0 for none.
        adapts_attention: whether queries, keys and values have them, beside the feed-forward.
    """

    attention: Attention
    mlp: FeedForward
    rank: int = 0
    adapts_attention: bool = False


def record_shared(tape: Tape, hidden: Tensor, words: Tensor, s: Shared, width: int) -> Tensor:
    """Run the shared transformer on the input beside the embeddings; no sum goes around it."""
    rows = hidden.shape[0]
    both = tape.activation("attention_norm", rows, 2 * width)
    gain = tape.weight("attention_norm.weight", 2 * width)
    flops = FLOPS_PER_ELEMENT["rmsnorm"] * both.elements
    tape.op("attention_norm", "norm", flops, (hidden, words, gain), both, function="rmsnorm")
    adapted = partial(_adapted, tape, s.rank) if s.adapts_attention else None
    y = tape.self_attention(both, s.attention, width=width, project=adapted)
    y = tape.norm("mlp_norm", y, "rmsnorm")
    both = _adapted(tape, s.rank, "mlp.gate_up_proj", y, 2 * s.mlp.width, s.mlp.bias)
    inner = tape.activation("mlp.activation", rows, s.mlp.width)
    cost = ACTIVATION_FLOPS[s.mlp.activation] + FLOPS_PER_ELEMENT["gated"]
    tape.op(
        "mlp.activation", "elementwise", cost * inner.elements, (both,), inner,
        function=f"{s.mlp.activation} gated",
    )  # fmt: skip
    return tape.linear("mlp.down_proj", inner, width, s.mlp.bias)


def _adapted(
    tape: Tape, rank: int, name: str, x: Tensor, width: int, bias: bool = False,
    *, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Note a linear layer, and the adapter beside it whose output is added."""
    if not rank:
        return tape.linear(name, x, width, bias, out=out)
    plain = tape.linear(name, x, width, bias)
    low = tape.linear(f"{name}_{ADAPTER}.down", x, rank)
    high = tape.linear(f"{name}_{ADAPTER}.up", low, width)
    return tape.add(f"{name}_{ADAPTER}.add", plain, high, out=out)

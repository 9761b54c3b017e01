"""The transformer that Zamba's hybrid layers share, with the separate adapters of each."""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.axes import Axes, named
from memorywall.core.geometry import Elementwise, Space
from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import ACTIVATION_FLOPS, FLOPS_PER_ELEMENT
from memorywall.layers.tape import Attention, FeedForward, Tape, normalised


@dataclass(frozen=True, slots=True)
class Shared:
    """The part of hybrid layers before their scan.

    Attributes:
        attention, mlp: of the transformer.
        rank: of the adapters; 0 for none.
        adapts_attention: whether queries, keys and values have them, beside the feed-forward.
    """

    attention: Attention
    mlp: FeedForward
    rank: int = 0
    adapts_attention: bool = False


def record_shared(
    tape: Tape, hidden: Tensor, words: Tensor, s: Shared
) -> tuple[Tensor, frozenset[str]]:
    """Run the shared transformer on the input beside the embeddings; no sum goes around it.

    Returns the output, and the names of the adapters' weights, which are separate per layer.
    """
    rows, width = hidden.rows_axes, hidden.row_axes
    wide = (("parts", 2), *width)
    both = tape.activation("attention_norm", rows + wide, 2)
    gain = tape.weight("attention_norm.weight", wide, 2)
    geometry = normalised("rmsnorm", both.axes, wide)
    tape.op("attention_norm", geometry, (hidden, words, gain), both)
    adapter = _Adapter(tape, s.rank)
    adapted = adapter.linear if s.adapts_attention else None
    y = tape.self_attention(both, s.attention, width=width, project=adapted)
    y = tape.norm("mlp_norm", y, "rmsnorm")
    inner = named(ffn=s.mlp.width)
    both = adapter.linear("mlp.gate_up_proj", y, (("gate_up", 2), *inner), s.mlp.bias)
    active = tape.activation("mlp.activation", rows + inner)
    cost = ACTIVATION_FLOPS[s.mlp.activation] + FLOPS_PER_ELEMENT["gated"]
    gated = Elementwise((Space(cost, active.axes),), s.mlp.activation, gated=True)
    tape.op("mlp.activation", gated, (both,), active)
    return tape.linear("mlp.down_proj", active, width, s.mlp.bias), frozenset(adapter.own)


class _Adapter:
    """Notes linear layers, and the adapter beside each whose output is added.

    Attributes:
        own: names of the adapters' weights so far.
    """

    def __init__(self, tape: Tape, rank: int) -> None:
        self._tape, self._rank = tape, rank
        self.own: set[str] = set()

    def linear(
        self, name: str, x: Tensor, width: Axes, bias: bool = False, *, out: Tensor | None = None
    ) -> Tensor:
        """Note a linear layer, with its adapter where there are any."""
        tape = self._tape
        if not self._rank:
            return tape.linear(name, x, width, bias, out=out)
        plain = tape.linear(name, x, width, bias)
        before = len(tape.ops)
        low = tape.linear(f"{name}_adapter.down", x, named(rank=self._rank))
        high = tape.linear(f"{name}_adapter.up", low, width)
        reads = [tensor for op in tape.ops[before:] for tensor in op.reads]
        self.own |= {tensor.name for tensor in reads if tensor.role == "weight"}
        return tape.add(f"{name}_adapter.add", plain, high, out=out)

"""The head of a decoder: the language model's head, a classifier, or none."""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.axes import Axes
from memorywall.core.geometry import Gemm
from memorywall.core.tensors import Tensor
from memorywall.layers.tape import Tape


@dataclass(frozen=True, slots=True)
class Head:
    """A linear layer on the last hidden states.

    Attributes:
        name: its path.
        width: outputs of a row; the vocabulary or the labels.
        bias: whether it has one.
        tied: whether its weight is the word embedding.
        axis: what its outputs are: ``vocab``, ``labels``, or ``hidden`` for a layer in between.
    """

    name: str
    width: int
    bias: bool = False
    tied: bool = False
    axis: str = "hidden"


def record_head(tape: Tape, x: Tensor, head: Head, rows: Axes, embedding: Tensor) -> Tensor:
    """Note the head on ``rows`` of x [B T, D], and return what comes out.

    Without rows its weights are resident still.
    """
    inner, width = x.row_axes, ((head.axis, head.width),)
    weight = (
        embedding.part(None)
        if head.tied
        else tape.weight(f"{head.name}.weight", width + inner, x.row)
    )
    weights = (weight, tape.weight(f"{head.name}.bias", width)) if head.bias else (weight,)
    logits = tape.activation(head.name, rows + width)
    tape.op(head.name, Gemm(rows, inner, (width,)), (x.part(rows + inner), *weights), logits)
    return logits

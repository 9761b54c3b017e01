"""What stands on top of a decoder: the language model's head, a classifier, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.numbers import Number
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
    """

    name: str
    width: int
    bias: bool = False
    tied: bool = False


def record_head(tape: Tape, x: Tensor, head: Head, rows: Number, embedding: Tensor) -> Tensor:
    """Note the head on ``rows`` of x [B T, D], and return what comes out.

    Without rows its weights are resident still.
    """
    width = x.shape[-1]
    chosen = Tensor(x.name, x.shape, x.format, x.role, touched=(rows, width))
    weight = (
        Tensor(embedding.name, embedding.shape, embedding.format, "weight")
        if head.tied
        else tape.weight(f"{head.name}.weight", head.width, width)
    )
    weights = (weight, tape.weight(f"{head.name}.bias", head.width)) if head.bias else (weight,)
    logits = tape.activation(head.name, rows, head.width)
    tape.op(
        head.name,
        "gemm",
        2 * width * head.width * rows,
        (chosen, *weights),
        logits,
        function="linear",
    )
    return logits

"""What stands on top of a decoder: the language model's head, a classifier, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.axes import Axes
from memorywall.core.geometry import Gemm
from memorywall.core.tensors import Tensor
from memorywall.families._blocks import Tape
from memorywall.families._config import Config


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


ALL_HEADS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")


def decoder_classes(
    prefix: str, generating: str, heads: tuple[str, ...] = ALL_HEADS
) -> tuple[str, ...]:
    """Return the transformers classes covered for a decoder; ``generating`` is its causal LM."""
    return (generating, f"{prefix}Model", *(prefix + head for head in heads))


def decoder_head(config: Config, class_name: str, *, tied: bool) -> Head | None:
    """Return the head that a class puts on a decoder, or None for the bare model."""
    if class_name.endswith("ForSequenceClassification"):
        return Head("score", config.labels(), axis="labels")
    if class_name.endswith("ForTokenClassification"):
        return Head("score", config.labels(), bias=True, axis="labels")
    if class_name.endswith("ForQuestionAnswering"):
        return Head("qa_outputs", 2, bias=True, axis="labels")
    if class_name.endswith("Model") and not class_name.endswith("LMHeadModel"):
        return None
    return Head("lm_head", config.size("vocab_size"), tied=tied, axis="vocab")


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

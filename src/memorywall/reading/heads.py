"""Reading what stands on a decoder: the classes covered, and the head that each has."""

from __future__ import annotations

from memorywall.layers.output_head import Head
from memorywall.reading.config_values import Config

ALL_HEADS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")


def decoder_classes(
    prefix: str, generating: str, heads: tuple[str, ...] = ALL_HEADS
) -> tuple[str, ...]:
    """Return the transformers classes covered for a decoder; ``generating`` is its causal LM."""
    return (generating, f"{prefix}Model", *(prefix + head for head in heads))


def decoder_head(config: Config, class_name: str, *, tied: bool) -> Head | None:
    """Return the head that a class puts on a decoder, or None for the bare model."""
    if class_name.endswith("ForSequenceClassification"):
        return Head("score", config.labels())
    if class_name.endswith("ForTokenClassification"):
        return Head("score", config.labels(), bias=True)
    if class_name.endswith("ForQuestionAnswering"):
        return Head("qa_outputs", 2, bias=True)
    if class_name.endswith("Model") and not class_name.endswith("LMHeadModel"):
        return None
    return Head("lm_head", config.size("vocab_size"), tied=tied)

"""Read the head of a decoder: the supported classes, and the head of each."""

from __future__ import annotations

from memorywall.layers.output_head import Head
from memorywall.reading.config_values import Config

ALL_HEADS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")


def decoder_classes(
    prefix: str, generating: str, heads: tuple[str, ...] = ALL_HEADS
) -> tuple[str, ...]:
    """Return the supported transformers classes of a decoder; ``generating`` is its causal LM."""
    return (generating, f"{prefix}Model", *(prefix + head for head in heads))


def decoder_head(config: Config, class_name: str, *, tied: bool) -> Head | None:
    """Return the head of a decoder class, or None for the bare model."""
    if class_name.endswith("ForSequenceClassification"):
        return Head("score", config.labels(), axis="labels")
    if class_name.endswith("ForTokenClassification"):
        return Head("score", config.labels(), bias=True, axis="labels")
    if class_name.endswith("ForQuestionAnswering"):
        return Head("qa_outputs", 2, bias=True, axis="labels")
    if class_name.endswith("Model") and not class_name.endswith("LMHeadModel"):
        return None
    return Head("lm_head", config.size("vocab_size"), tied=tied, axis="vocab")

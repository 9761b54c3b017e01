"""Prefill: one pass over a prompt, which gives the first token."""

from __future__ import annotations

from memorywall.core.model import Model
from memorywall.core.phase import Lengths, Pass, Phase, Rate
from memorywall.core.question import Question
from memorywall.core.traits import Traits
from memorywall.core.units import render_count
from memorywall.core.workload import Workload
from memorywall.phases._lengths import (
    refuse_denoiser,
    source_length,
    text_length,
    with_images,
)
from memorywall.phases._sentences import beside_images, beside_source
from memorywall.phases._words import WHOLE_PASS


def _resolve(model: Model) -> str:
    refuse_denoiser(model, "prefill")
    return "prefill" if model.traits.causal else "encode"


def _words(traits: Traits) -> frozenset[str]:  # noqa: ARG001 - the common signature
    return WHOLE_PASS


def settle_prompt(model: Model, asked: Workload) -> Lengths:
    """Return the lengths of a pass over a prompt."""
    seq_len = text_length(model, asked)
    source_len = source_length(model, asked, seq_len)
    if source_len is not None:
        return Lengths(seq_len, source_len)
    return with_images(model, asked, seq_len)


def _passes(question: Question) -> tuple[Pass, ...]:
    return (Pass(question.seq_len, emits=1),)


def _rates(question: Question) -> tuple[Rate, ...]:
    """Count the tokens read: those of a source, and those that its decoder begins with."""
    read = question.seq_len
    if question.source_len is not None:
        read = read + question.source_len
    return (Rate("tokens", question.batch_size * read),)


def _sentence(question: Question) -> str:
    sentence = f"prefill of {render_count(int(question.seq_len), 'token')}"
    return beside_source(beside_images(sentence, question), question)


PHASE = Phase(
    "prefill",
    "One pass over seq_len tokens, which gives the first new token.",
    _resolve,
    _words,
    settle_prompt,
    _passes,
    _rates,
    _sentence,
)

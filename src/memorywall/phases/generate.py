"""Generate: a prefill, which gives the first token, and a decode step for every further one."""

from __future__ import annotations

from dataclasses import replace

from memorywall.core.model import Model
from memorywall.core.numbers import maximum
from memorywall.core.phase import Lengths, Pass, Phase, Rate
from memorywall.core.question import Question
from memorywall.core.traits import Traits
from memorywall.core.units import render_count
from memorywall.core.workload import Workload
from memorywall.phases._lengths import (
    source_length,
    text_length,
    with_images,
)
from memorywall.phases._sentences import beside_images, beside_source
from memorywall.phases._words import WHOLE_PASS
from memorywall.phases.decode import refuse_encoder

DEFAULT_NEW_TOKENS = 128


def _resolve(model: Model) -> str:
    refuse_encoder(model, "generate")
    return "generate"


def _words(traits: Traits) -> frozenset[str]:  # noqa: ARG001 - the common signature
    return WHOLE_PASS | {"new_tokens"}


def _lengths(model: Model, asked: Workload) -> Lengths:
    made = DEFAULT_NEW_TOKENS if asked.new_tokens is None else asked.new_tokens
    if model.traits.source is None:
        seq_len = text_length(model, asked, least=0)
        return replace(with_images(model, asked, seq_len), new_tokens=made)
    # Without a prompt, the decoder begins with a lone start token.
    seq_len = 0 if asked.seq_len is None else asked.seq_len
    fallback = text_length(model, asked) if asked.seq_len is None else asked.seq_len
    return Lengths(seq_len, source_length(model, asked, fallback), new_tokens=made)


def _passes(question: Question) -> tuple[Pass, ...]:
    """Prefill the prompt, or a lone start token, which costs as much as a prompt of one."""
    start = maximum(question.seq_len, 1)
    prefill = Pass(start, emits=1)
    steps = (question.new_tokens or 1) - 1
    if not steps:
        return (prefill,)
    return (prefill, Pass(start + 1, steps, step=True, grows=True, stacks="decoder", emits=1))


def _rates(question: Question) -> tuple[Rate, ...]:
    return (Rate("tokens", question.batch_size * (question.new_tokens or 1)),)


def _sentence(question: Question) -> str:
    made = render_count(question.new_tokens or 1, "token")
    sentence = f"generating {made} after {int(question.seq_len)}"
    return beside_source(beside_images(sentence, question), question)


PHASE = Phase(
    "generate",
    "A prefill of seq_len tokens gives the first new token, decode steps the others.",
    _resolve,
    _words,
    _lengths,
    _passes,
    _rates,
    _sentence,
)

"""Decode: one step, a token that attends to all positions before it."""

from __future__ import annotations

from memorywall.core.errors import UnsupportedError
from memorywall.core.model import Model
from memorywall.core.phase import Lengths, Pass, Phase, Rate
from memorywall.core.question import Question
from memorywall.core.traits import Traits
from memorywall.core.units import render_count
from memorywall.core.workload import Workload
from memorywall.phases._lengths import refuse_denoiser, source_length, text_length
from memorywall.phases._sentences import beside_source
from memorywall.phases._words import of_a_step


def _resolve(model: Model) -> str:
    refuse_encoder(model, "decode")
    return "decode"


def refuse_encoder(model: Model, phase: str) -> None:
    """Refuse a phase that makes tokens to a model that makes none.

    Raises:
        UnsupportedError: the model is an encoder, or makes images of noise.
    """
    refuse_denoiser(model, phase)
    if not model.traits.causal:
        raise UnsupportedError(
            f"phase {phase} requires a generative model; {model.name} is an encoder.",
            "Use phase 'encode'.",
        )


def _words(traits: Traits) -> frozenset[str]:
    return of_a_step(traits)


def _lengths(model: Model, asked: Workload) -> Lengths:
    seq_len = text_length(model, asked)
    seen = model.traits.images  # its towers do not run and stay resident
    return Lengths(
        seq_len,
        source_length(model, asked, seq_len),
        image_size=None if seen is None else seen.size,
    )


def _passes(question: Question) -> tuple[Pass, ...]:
    return (Pass(question.seq_len, step=True, stacks="decoder", emits=1),)


def _rates(question: Question) -> tuple[Rate, ...]:
    return (Rate("tokens", question.batch_size),)


def _sentence(question: Question) -> str:
    at = render_count(int(question.seq_len), "position")
    return beside_source(f"one decode step at {at}", question)


PHASE = Phase(
    "decode",
    "One token for each sequence, which attends to seq_len positions, itself the last.",
    _resolve,
    _words,
    _lengths,
    _passes,
    _rates,
    _sentence,
)

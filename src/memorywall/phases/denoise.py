"""Denoise: the steps in which a diffusion transformer generates an image from noise."""

from __future__ import annotations

from memorywall.core.errors import UnsupportedError
from memorywall.core.model import Model
from memorywall.core.phase import Lengths, Pass, Phase, Rate
from memorywall.core.question import Question
from memorywall.core.traits import Traits
from memorywall.core.units import render_count
from memorywall.core.workload import Workload
from memorywall.phases._lengths import image_size_of
from memorywall.phases._sentences import images_in_words
from memorywall.phases._words import ALWAYS, ROUNDS


def _resolve(model: Model) -> str:
    if model.traits.denoising is None:
        raise UnsupportedError(
            f"phase denoise requires a diffusion model, got {model.name}.",
            "Remove phase, or use a diffusion transformer such as facebook/DiT-XL-2-256.",
        )
    return "denoise"


def _words(traits: Traits) -> frozenset[str]:  # noqa: ARG001 - the common signature
    return ALWAYS | ROUNDS | {"image_size"}


def _lengths(model: Model, asked: Workload) -> Lengths:
    denoising, seen = model.traits.denoising, model.traits.images
    if denoising is None or seen is None:
        raise UnsupportedError(f"phase denoise requires a diffusion model, got {model.name}.")
    size = image_size_of(seen, asked)
    usual = "on" if denoising.guided else "off"
    return Lengths(
        seen.tokens(*size),
        image_size=size,
        steps=denoising.steps if asked.steps is None else asked.steps,
        guidance=usual if asked.guidance is None else asked.guidance,
    )


def _passes(question: Question) -> tuple[Pass, ...]:
    return (Pass(question.seq_len, question.steps or 1),)


def _rates(question: Question) -> tuple[Rate, ...]:
    return (Rate("images", question.batch_size),)


def _sentence(question: Question) -> str:
    steps = render_count(question.steps or 1, "denoising step")
    return f"{steps} of {images_in_words(question)}, guidance {question.guidance}"


PHASE = Phase(
    "denoise",
    "The denoising steps in which a diffusion transformer generates an image from noise.",
    _resolve,
    _words,
    _lengths,
    _passes,
    _rates,
    _sentence,
)

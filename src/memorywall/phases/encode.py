"""Encode: one pass of an encoder, alone or before the decoder that it belongs to."""

from __future__ import annotations

from memorywall.core.errors import InvalidInputError, shown
from memorywall.core.model import Model
from memorywall.core.numbers import plain
from memorywall.core.phase import Lengths, Pass, Phase, Rate
from memorywall.core.question import Question
from memorywall.core.traits import Traits
from memorywall.core.units import render_count
from memorywall.core.workload import Workload
from memorywall.phases._lengths import (
    image_size_of,
    refuse_denoiser,
    source_length,
    text_length,
    with_images,
)
from memorywall.phases._sentences import beside_images, images_in_words
from memorywall.phases._words import ALWAYS, CACHE, LAYOUT, SIGHT, SOURCE, WHOLE_PASS


def _resolve(model: Model) -> str:
    refuse_denoiser(model, "encode")
    traits = model.traits
    return "prefill" if traits.causal and not traits.encoder_apart else "encode"


def _words(traits: Traits) -> frozenset[str]:
    if traits.source is not None:
        own = SOURCE if traits.source.fixed is not None else SOURCE | {"seq_len"}
        return ALWAYS | own
    if traits.encoder_apart:
        return ALWAYS | SIGHT
    return WHOLE_PASS - CACHE - LAYOUT


def _lengths(model: Model, asked: Workload) -> Lengths:
    traits = model.traits
    if traits.source is not None:
        return _of_a_source(model, asked)
    if traits.images is not None and traits.causal:
        return _of_images(model, asked)
    return with_images(model, asked, text_length(model, asked))


def _of_a_source(model: Model, asked: Workload) -> Lengths:
    """Return the lengths of an encoder whose source may be given by either name."""
    if asked.seq_len is not None and asked.source_len is not None:
        raise InvalidInputError(
            f"seq_len conflicts with source_len in phase encode, which runs the encoder alone; got "
            f"{shown(plain(asked.seq_len))} and {shown(plain(asked.source_len))}.",
            "Leave seq_len out.",
        )
    source = source_length(model, asked, text_length(model, asked))
    return Lengths(1 if source is None else source, source)


def _of_images(model: Model, asked: Workload) -> Lengths:
    """Return the lengths of towers that run without the decoder that they belong to."""
    seen = model.traits.images
    if seen is None or (isinstance(asked.images, int) and asked.images == 0):
        raise InvalidInputError(
            "images must be 1 or more in phase encode, which runs the towers alone, got 0.",
            "Ask for one image or more.",
        )
    size = image_size_of(seen, asked)
    images = 1 if asked.images is None else asked.images
    return Lengths(images * seen.tokens(*size), image_size=size, images=images)


def _passes(question: Question) -> tuple[Pass, ...]:
    return (Pass(question.seq_len, stacks="encoder"),)


def _rates(question: Question) -> tuple[Rate, ...]:
    tokens = Rate("tokens", question.batch_size * question.seq_len)
    if question.image_size is None:
        return (tokens,)
    each = 1 if question.images is None else question.images
    return (Rate("images", question.batch_size * each), tokens)


def _sentence(question: Question) -> str:
    traits, seen = question.model.traits, images_in_words(question)
    if seen and (traits.causal or question.images is None):
        return f"encoding {seen}"
    # The source of speech does not consist of tokens.
    speech = traits.source is not None and traits.source.fixed is not None
    read = render_count(int(question.seq_len), "position" if speech else "token")
    return beside_images(f"encoding {read}", question)


PHASE = Phase(
    "encode",
    "One pass of an encoder over seq_len tokens; with a decoder, of the encoder alone.",
    _resolve,
    _words,
    _lengths,
    _passes,
    _rates,
    _sentence,
)

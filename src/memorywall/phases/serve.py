"""Serve: an engine answers requests that are in flight at once.

Its work is that of all requests in flight: their prompts, and a decode step for every further
token. Their times are an engine's: prompts ride in the decode steps of other requests.
"""

from __future__ import annotations

from memorywall.core.errors import UnsupportedError
from memorywall.core.model import Model
from memorywall.core.phase import Lengths, Load, Pass, Phase, Rate
from memorywall.core.question import Question
from memorywall.core.traits import Traits
from memorywall.core.units import render_count
from memorywall.core.workload import Workload
from memorywall.phases._words import WHOLE_PASS
from memorywall.phases.decode import refuse_encoder

DEFAULT_LENGTH = 1024
DEFAULT_ENGINE = "vllm"
# Requests in flight at most where they arrive by themselves: as engines are set up by default.
DEFAULT_MOST = 256
_OWN = frozenset(("input_len", "output_len", "concurrency", "request_rate", "engine"))
_NOT = frozenset(
    ("batch_size", "seq_len", "source_len", "image_size", "images", "logits", "launch", "ceilings")
)


def _resolve(model: Model) -> str:
    refuse_encoder(model, "serve")
    if model.traits.source is not None or model.traits.traced:
        raise UnsupportedError(
            f"phase serve requires a decoder alone that is not traced, got {model.name}.",
            "Use phase 'generate'.",
        )
    return "serve"


def _words(traits: Traits) -> frozenset[str]:  # noqa: ARG001 - the common signature
    return (WHOLE_PASS | _OWN) - _NOT


def _lengths(model: Model, asked: Workload) -> Lengths:
    """Return the lengths of requests of text alone."""
    read = DEFAULT_LENGTH if asked.input_len is None else asked.input_len
    made = DEFAULT_LENGTH if asked.output_len is None else asked.output_len
    most = 1 if asked.request_rate is None else DEFAULT_MOST
    flight = most if asked.concurrency is None else asked.concurrency
    load = Load(flight, asked.request_rate, asked.engine or DEFAULT_ENGINE)
    seen = model.traits.images
    return Lengths(
        read,
        image_size=None if seen is None else seen.size,
        images=None if seen is None else 0,
        new_tokens=made,
        batch_size=flight,
        load=load,
    )


def _passes(question: Question) -> tuple[Pass, ...]:
    prompt = Pass(question.seq_len, emits=1)
    steps = (question.new_tokens or 1) - 1
    if not steps:
        return (prompt,)
    return (
        prompt,
        Pass(question.seq_len + 1, steps, step=True, grows=True, stacks="decoder", emits=1),
    )


def _rates(question: Question) -> tuple[Rate, ...]:
    return (Rate("tokens", question.batch_size * (question.new_tokens or 1)),)


def _sentence(question: Question) -> str:
    load = question.load
    assert load is not None
    text = (
        f"serving requests of {int(question.seq_len):,} + "
        f"{render_count(question.new_tokens or 1, 'token')} by {load.engine}"
    )
    if load.request_rate is not None:
        text += f", {load.request_rate:g} requests/s"
        return f"{text}, at most {load.concurrency:,} in flight"
    return f"{text}, {load.concurrency:,} in flight"


PHASE = Phase(
    "serve",
    "An engine answers requests of input_len + output_len tokens, concurrency of them in flight.",
    _resolve,
    _words,
    _lengths,
    _passes,
    _rates,
    _sentence,
)

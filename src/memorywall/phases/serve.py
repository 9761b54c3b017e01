"""Serve: requests in flight, each a prompt and the tokens that it generates."""

from __future__ import annotations

from memorywall.core.errors import UnsupportedError
from memorywall.core.model import Model
from memorywall.core.phase import Lengths, Pass, Phase, Rate
from memorywall.core.question import Question
from memorywall.core.traits import Traits
from memorywall.core.units import render_count
from memorywall.core.workload import Workload
from memorywall.phases._words import CACHE, DEVICES
from memorywall.phases.decode import refuse_encoder

DEFAULT_LEN = 1024
_SERVING = frozenset(("input_len", "output_len", "concurrency", "request_rate", "engine"))


def _resolve(model: Model) -> str:
    refuse_encoder(model, "serve")
    if model.traits.source is not None or model.traits.traced:
        raise UnsupportedError(
            f"phase serve requires a decoder with a built-in family; {model.name} is not one.",
            "Use phase generate.",
        )
    return "serve"


def _words(traits: Traits) -> frozenset[str]:  # noqa: ARG001 - the common signature
    formats = frozenset(("weights", "activations"))
    return formats | CACHE | DEVICES | _SERVING | {"state", "mla"}


def _lengths(model: Model, asked: Workload) -> Lengths:
    made = DEFAULT_LEN if asked.output_len is None else asked.output_len
    seen = model.traits.images  # requests are of text: towers are resident and do not run
    return Lengths(
        DEFAULT_LEN if asked.input_len is None else asked.input_len,
        image_size=None if seen is None else seen.size,
        images=None if seen is None else 0,
        new_tokens=made,
    )


def _passes(question: Question) -> tuple[Pass, ...]:
    prefill = Pass(question.seq_len, emits=1)
    steps = (question.new_tokens or 1) - 1
    if not steps:
        return (prefill,)
    first = question.seq_len + 1
    return (prefill, Pass(first, steps, step=True, grows=True, stacks="decoder", emits=1))


def _rates(question: Question) -> tuple[Rate, ...]:
    return (Rate("tokens", question.batch_size * (question.new_tokens or 1)),)


def _sentence(question: Question) -> str:
    requests = render_count(int(question.batch_size), "request")
    lengths = f"{int(question.seq_len)} tokens in and {question.new_tokens} out"
    devices = render_count(question.layout.devices, "device")
    rate = question.request_rate
    many = requests if rate is None else f"{rate:g} requests/s, up to {requests} at once,"
    return f"serving {many} of {lengths} with {question.counting.engine}, {devices}"


PHASE = Phase(
    "serve",
    "Requests of input_len and output_len tokens in flight in a serving engine.",
    _resolve,
    _words,
    _lengths,
    _passes,
    _rates,
    _sentence,
    serves=True,
)

"""Train: one training step of a traced module; forward, backward, optimizer."""

from __future__ import annotations

from memorywall.core.errors import UnsupportedError
from memorywall.core.model import Model
from memorywall.core.phase import Lengths, Pass, Phase, Rate
from memorywall.core.question import Question
from memorywall.core.traits import Traits
from memorywall.core.units import render_count
from memorywall.core.workload import Workload


def _resolve(model: Model) -> str:
    raise UnsupportedError(
        f"phase train requires a traced module; training is not supported from a config, got "
        f"{model.name}.",
        "Trace its module: memorywall trace FILE.py:make --train.",
    )


def _words(traits: Traits) -> frozenset[str]:  # noqa: ARG001 - the common signature
    return frozenset(("traffic", "ceilings"))


def _lengths(model: Model, asked: Workload) -> Lengths:  # noqa: ARG001 - the common signature
    return Lengths(1)


def _passes(question: Question) -> tuple[Pass, ...]:
    return (Pass(question.seq_len),)


def _rates(question: Question) -> tuple[Rate, ...]:
    return (Rate("tokens", question.batch_size * question.seq_len),)


def _sentence(question: Question) -> str:
    return f"one training step on {render_count(int(question.seq_len), 'token')}"


PHASE = Phase(
    "train",
    "One training step of a traced module: forward, backward and the optimizer.",
    _resolve,
    _words,
    _lengths,
    _passes,
    _rates,
    _sentence,
)

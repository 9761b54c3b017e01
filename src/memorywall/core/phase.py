"""Phases as plans: the forward passes of a question, and the parameters that apply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from memorywall.core.model import Model
from memorywall.core.numbers import Number
from memorywall.core.traits import Traits
from memorywall.core.workload import Workload

if TYPE_CHECKING:
    from memorywall.core.question import Question

Stacks: TypeAlias = Literal["both", "encoder", "decoder"]


@dataclass(frozen=True, slots=True)
class Pass:
    """Executions of a forward pass, one after the other.

    Attributes:
        positions: length of a sequence at the first execution, new tokens included.
        count: executions.
        step: each execution takes one new token, with all others cached; else all are new.
        grows: each execution is one position longer than the one before; else all are identical.
        stacks: the halves that run of an encoder with a decoder, or of towers with a decoder.
        emits: tokens that one execution gives each sequence.
    """

    positions: Number
    count: int = 1
    step: bool = False
    grows: bool = False
    stacks: Stacks = "both"
    emits: int = 0

    @property
    def last(self) -> Number:
        """Length of a sequence at the last execution."""
        return self.positions + self.count - 1 if self.grows else self.positions


@dataclass(frozen=True, slots=True)
class Rate:
    """Units that a question processes: ``count`` of them in its time."""

    unit: str
    count: Number


@dataclass(frozen=True, slots=True)
class Load:
    """The load of a serving engine.

    Attributes:
        concurrency: the most requests in flight, over all devices.
        request_rate: requests per second that arrive, at random; None where a finished request is
            replaced at once.
        engine: the name of the engine.
    """

    concurrency: int
    request_rate: float | None
    engine: str


@dataclass(frozen=True, slots=True)
class Lengths:
    """The settled parameters of a workload except phase; None if not applicable.

    ``batch_size`` is that of the workload where it is None.
    """

    seq_len: Number
    source_len: Number | None = None
    image_size: tuple[int, int] | None = None
    images: Number | None = None
    new_tokens: int | None = None
    steps: int | None = None
    guidance: str | None = None
    batch_size: Number | None = None
    load: Load | None = None


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase: one file of ``memorywall/phases`` each.

    Attributes:
        name: the name of its file.
        help: its work, in one sentence.
        resolve: a model in, the name of the phase that it runs instead of this one out (for
            prefill, an encoder encodes). Raises UnsupportedError if it has neither.
        words: the parameters with an effect on a model of these traits, in addition to the phase.
        lengths: a model and the asked workload in, the settled lengths out. Raises
            InvalidInputError for lengths that conflict.
        passes: a question in, its forward passes out, in order.
        rates: a question in, the units that it processes out, the one of the headline first.
        sentence: a question without arrays in, the text of its work in the headline out.
    """

    name: str
    help: str
    resolve: Callable[[Model], str]
    words: Callable[[Traits], frozenset[str]]
    lengths: Callable[[Model, Workload], Lengths]
    passes: Callable[[Question], tuple[Pass, ...]]
    rates: Callable[[Question], tuple[Rate, ...]]
    sentence: Callable[[Question], str]

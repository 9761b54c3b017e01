"""The pipe between the process that asks and the one that measures: orders in, lines out.

Both ends hold types; JSON is on the pipe alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from memorywall.bench.timing import Measurement
from memorywall.core.records import from_record, to_record


@dataclass(frozen=True, slots=True)
class Case:
    """One call to measure.

    Attributes:
        kind: what the worker runs: ``stream``, ``sweep``, ``chase``, ``kernel``, ``toy``,
            ``model``, ``collective``, ``numpy`` or ``numpy_gpt2``.
        budget_s: seconds of samples.
        parameters: what the call is made with, plain values by name.
    """

    kind: str
    budget_s: float
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        words = {"case": self.kind, **self.parameters}
        return ", ".join(f"{key} {value}" for key, value in words.items())


@dataclass(frozen=True, slots=True)
class Order:
    """Cases for one process, or for the ranks of a group, with the backend and the threads."""

    device: str
    cases: tuple[Case, ...]
    threads: int = 1
    ranks: int = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a case.

    Attributes:
        measurement: every sample; None where it did not run.
        error: why it did not run.
        page_size: bytes of the pages behind a stream's arrays; None where it was not asked.
        by_class: seconds by class of operators, of a model.
        library: the library that did the arithmetic, where several may have.
    """

    measurement: Measurement | None = None
    error: str = ""
    page_size: int | None = None
    by_class: Mapping[str, float] = field(default_factory=dict)
    library: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """The stage that a case enters, between the answers."""

    stage: str


def write_order(order: Order, pipe: IO[str]) -> None:
    """Write an order, and close the pipe."""
    json.dump(to_record(order), pipe)
    pipe.close()


def read_order(pipe: IO[str]) -> Order:
    """Read the order that is on a pipe."""
    return from_record(Order, json.load(pipe), "order")


def say(line: Answer | Stage) -> None:
    """Write an answer or a stage as a line on standard output."""
    sys.stdout.write(json.dumps(to_record(line)) + "\n")
    sys.stdout.flush()


def hear(lines: Iterable[str]) -> Iterator[Answer | Stage]:
    """Yield the answers and stages that lines hold."""
    for line in lines:
        values = json.loads(line)
        if "stage" in values:
            yield from_record(Stage, values, "stage")
        else:
            yield from_record(Answer, values, "answer")

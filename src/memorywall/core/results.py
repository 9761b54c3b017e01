"""Answers: the cost of a program on a device, by operator and in total."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from memorywall.core.numbers import Array, Number, plain

# The bounds of an operator's time; a bound is an index into this, so that a million points need no
# million strings until they are read.
BOUNDS = ("compute_bound", "memory_bound")


def bound_of(compute_s: Number, memory_s: Number) -> Number:
    """Return which of two times binds, as an index into ``BOUNDS``; memory on a tie."""
    if isinstance(compute_s, np.ndarray) or isinstance(memory_s, np.ndarray):
        return np.asarray(memory_s >= compute_s).astype(np.int8)
    return int(memory_s >= compute_s)


def bound_words(code: Number) -> str | Array:
    """Convert an index into ``BOUNDS``, or an array of them, to names."""
    if isinstance(code, np.ndarray):
        return np.asarray(BOUNDS)[code]
    return BOUNDS[int(code)]


@dataclass(frozen=True, slots=True)
class Cost:
    """FLOPs, bytes and times of a run of operators, one after the other; adds like a number.

    Attributes:
        flops, moved_bytes: FLOP and byte.
        compute_s, memory_s: the seconds of arithmetic and of traffic, each alone.
        latency_s: the sum over operators of the larger of the two.
        overlapped_s: the larger of the two sums, as if all operators overlapped; summed over
            passes that wait for each other.
        waiting_s: the part of ``latency_s`` in operators that are memory-bound.
    """

    flops: Number = 0
    moved_bytes: Number = 0
    compute_s: Number = 0.0
    memory_s: Number = 0.0
    latency_s: Number = 0.0
    overlapped_s: Number = 0.0
    waiting_s: Number = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Cost)))

    def map(self, change: Callable[[Number], Number]) -> Cost:
        """Return a copy with every number passed through ``change``."""
        return Cost(*(change(getattr(self, f.name)) for f in fields(Cost)))

    @property
    def serial_s(self) -> Number:
        """The time if arithmetic never overlapped with traffic."""
        return self.compute_s + self.memory_s

    @property
    def bound_code(self) -> Number:
        """The bound of most of the time, as an index into ``BOUNDS``."""
        return bound_of(self.latency_s - self.waiting_s, self.waiting_s)


@dataclass(frozen=True, slots=True)
class OpCost:
    """One operator's cost, over all of its executions.

    Attributes:
        name: its path, such as ``layers.attention.q_proj``.
        kind: its class.
        count: its executions. cost: their sum.
        traffic: its moved bytes by the role of the tensors.
        waits: the seconds that it is memory-bound, by the role of the tensors that it waits for.
    """

    name: str
    kind: str
    count: int
    cost: Cost
    traffic: dict[str, Number]
    waits: dict[str, Number]

    @property
    def flops(self) -> Number:
        """FLOPs of all executions."""
        return self.cost.flops

    @property
    def moved_bytes(self) -> Number:
        """Bytes that all executions move."""
        return self.cost.moved_bytes

    @property
    def latency_s(self) -> Number:
        """Seconds of all executions."""
        return self.cost.latency_s

    @property
    def bound(self) -> str | Array:
        """The bound of most of its time, by name."""
        return bound_words(self.cost.bound_code)

    def to_dict(self) -> dict[str, Any]:
        """Return its record."""
        names = ("name", "kind", "count", "flops", "moved_bytes", "latency_s", "bound")
        return {name: plain(getattr(self, name)) for name in names}

    def map(self, change: Callable[[Number], Number], executions: int = 1) -> OpCost:
        """Return a copy with every number passed through ``change``, times a number of runs."""
        traffic = {role: change(moved) for role, moved in self.traffic.items()}
        waits = {role: change(seconds) for role, seconds in self.waits.items()}
        cost = self.cost.map(change)
        return OpCost(self.name, self.kind, self.count * executions, cost, traffic, waits)

    def __add__(self, other: OpCost) -> OpCost:
        traffic, waits = _added(self.traffic, other.traffic), _added(self.waits, other.waits)
        count, cost = self.count + other.count, self.cost + other.cost
        return OpCost(self.name, self.kind, count, cost, traffic, waits)


def _added(some: dict[str, Number], others: dict[str, Number]) -> dict[str, Number]:
    """Add numbers up by their names."""
    return {name: some.get(name, 0) + others.get(name, 0) for name in {**some, **others}}


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes that must be resident at once; ``capacity`` is the main memory's, if known.

    ``activations`` is the peak of live activations over operators, by liveness of named tensors.
    ``state`` is the constant-size memory of recurrent layers. For a training step all parts are
    those at the moment of the peak.
    """

    weights: Number
    kv_cache: Number
    activations: Number
    capacity: Number | None = None
    state: Number = 0
    gradients: Number = 0
    optimizer_states: Number = 0

    @property
    def total(self) -> Number:
        """The total."""
        kept = self.weights + self.kv_cache + self.state + self.gradients + self.optimizer_states
        return kept + self.activations

    @property
    def fits(self) -> bool | Array:
        """Whether the total is within the capacity; true if that is not known."""
        if self.capacity is None:
            return True
        fits = self.total <= self.capacity
        return fits if isinstance(fits, np.ndarray) else bool(fits)

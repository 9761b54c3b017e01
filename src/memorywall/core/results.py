"""Answers: the cost of a program on a device, by operator and in total."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import add, attrgetter
from typing import Any

from memorywall.core.numbers import Array, Number, is_array, maximum
from memorywall.core.quantities import record_of

# The resources that take time, and the name of each bound. A bound is an index into ``BOUNDS``: the
# words of a million points are made when they are read.
RESOURCES = ("compute", "memory", "network", "overhead")
BOUNDS = (*(f"{resource}_bound" for resource in RESOURCES), "capacity_bound")
_CAPACITY = BOUNDS.index("capacity_bound")


def bound_words(code: Number) -> str | Array:
    """Turn an index into ``BOUNDS``, or an array of them, into words."""
    if is_array(code):
        import numpy as np  # noqa: PLC0415 - answers of scalars need no NumPy

        return np.asarray(BOUNDS)[code]
    return BOUNDS[int(code)]


@dataclass(frozen=True, slots=True)
class Cost:
    """FLOPs, bytes and times of a run of operators, one after the other; adds like a number.

    Attributes:
        flops, moved_bytes: FLOP and byte.
        compute_s, memory_s: seconds of arithmetic and of traffic, each alone.
        latency_s: the sum over operators of the largest of the four resources' times.
        overlapped_s: the larger of the two sums, as if all operators overlapped; summed over
            passes that wait for each other.
        waiting_s: the part of ``latency_s`` in operators that are memory-bound.
        network_s, overhead_s: seconds of collectives, and of the framework and launches, each
            alone.
        network_bound_s, overhead_bound_s: the parts of ``latency_s`` that these two bind.
    """

    flops: Number = 0
    moved_bytes: Number = 0
    compute_s: Number = 0.0
    memory_s: Number = 0.0
    latency_s: Number = 0.0
    overlapped_s: Number = 0.0
    waiting_s: Number = 0.0
    network_s: Number = 0.0
    overhead_s: Number = 0.0
    network_bound_s: Number = 0.0
    overhead_bound_s: Number = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*map(add, _numbers(self), _numbers(other)))

    def map(self, change: Callable[[Number], Number]) -> Cost:
        """Return a copy with every number passed through ``change``."""
        return Cost(*map(change, _numbers(self)))

    def predicted(self, times: Cost) -> Cost:
        """Return the same work with the seconds of a prediction."""
        return Cost(
            self.flops, self.moved_bytes, self.compute_s, self.memory_s, times.latency_s,
            self.overlapped_s, times.waiting_s, times.network_s, times.overhead_s,
            times.network_bound_s, times.overhead_bound_s,
        )  # fmt: skip

    @property
    def serial_s(self) -> Number:
        """The time if no resource were ever used while another one is."""
        return self.compute_s + self.memory_s + self.network_s + self.overhead_s

    @property
    def memory_bound_s(self) -> Number:
        """The part of ``latency_s`` in operators that are memory-bound: ``waiting_s``."""
        return self.waiting_s

    @property
    def compute_bound_s(self) -> Number:
        """The part of ``latency_s`` in operators that are compute-bound."""
        return self.latency_s - self.waiting_s - self.network_bound_s - self.overhead_bound_s

    @property
    def bound_code(self) -> Number:
        """The resource that binds most of the time, as an index into ``BOUNDS``.

        On a tie the later one of ``RESOURCES`` binds.
        """
        code: Number = 0
        most = self.compute_bound_s
        rest = (self.waiting_s, self.network_bound_s, self.overhead_bound_s)
        for index, seconds in enumerate(rest, start=1):
            if type(seconds) is float and seconds == 0.0 and index > 1:
                continue  # nothing of it anywhere
            code = _where(seconds >= most, index, code)
            most = maximum(most, seconds)
        return code


class SplitCost(Cost):
    """Times of a prediction: the latency at once, its split by resource when it is first read."""

    def __init__(self, latency_s: Number, split: Callable[[], Cost]) -> None:
        object.__setattr__(self, "latency_s", latency_s)
        object.__setattr__(self, "_split", split)

    _split: Callable[[], Cost]

    def __getattr__(self, name: str) -> Any:
        # A slot that is empty: all others are filled at the first of them.
        if name.startswith("_"):
            raise AttributeError(name)
        found = self._split()
        for field in fields(Cost):
            if field.name != "latency_s":
                object.__setattr__(self, field.name, getattr(found, field.name))
        return getattr(self, name)

    def __add__(self, other: Cost) -> Cost:
        def both() -> Cost:
            return Cost(*map(add, _numbers(self), _numbers(other)))

        return SplitCost(self.latency_s + other.latency_s, both)


def of_overhead(seconds: Number) -> Cost:
    """Return seconds of overhead as a cost."""
    return Cost(latency_s=seconds, overhead_s=seconds, overhead_bound_s=seconds)


_numbers = attrgetter(*(f.name for f in fields(Cost)))


def capacity_code(fits: bool | Array, code: Number) -> Number:
    """Return the index of ``capacity_bound`` where a footprint does not fit, else ``code``."""
    return _where(fits, code, _CAPACITY)


def _where(holds: object, then: Number, otherwise: Number) -> Number:
    if is_array(holds):
        import numpy as np  # noqa: PLC0415 - answers of scalars need no NumPy

        return np.where(holds, then, otherwise).astype(np.int8)
    return then if holds else otherwise


@dataclass(frozen=True, slots=True)
class OpCost:
    """One operator's cost, over all of its executions.

    Attributes:
        name: its path, such as ``layers.attention.q_proj``.
        kind: its class.
        count: its executions.
        cost: their sum.
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
        """The resource that binds most of its time, as text."""
        return bound_words(self.cost.bound_code)

    def to_dict(self) -> dict[str, Any]:
        """Return its record, the quantities of the group ``operator``."""
        return record_of("operator", self)

    def map(self, change: Callable[[Number], Number], executions: int = 1) -> OpCost:
        """Return a copy with every number passed through ``change``, and more ``executions``."""
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
    """Bytes that must be resident at once.

    ``capacity`` is the usable part of the device's main memory, if known.
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
        return fits if is_array(fits) else bool(fits)

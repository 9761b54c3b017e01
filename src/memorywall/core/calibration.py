"""A machine's calibration from micro-benchmarks: the speed of each class of operator by size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import accumulate

from memorywall.core.errors import InvalidInputError
from memorywall.core.numbers import Number, is_array
from memorywall.core.results import Cost


@dataclass(frozen=True, slots=True)
class Curve:
    """Time for a unit of work of one class of operators in one dtype, over their size.

    A call has work in proportion to its size or more, and one of a smaller size can be run as one
    of the next: where a measurement says that the larger took less time, the smaller was measured
    while the machine was slow, and takes the time of the larger. So no curve falls faster than the
    work grows, and no longer sequence takes less time.

    Attributes:
        operator: such as ``linear``, ``attention causal`` or ``gelu_new``.
        dtype: the arithmetic.
        sizes: rising: rows of a linear layer, positions of an attention, elements of all others.
        seconds: of one unit (FLOP, or byte, or element) at each size, minus the floor.
        floor_s: of one call with almost no work.
    """

    operator: str
    dtype: str
    sizes: tuple[float, ...]
    seconds: tuple[float, ...]
    floor_s: float = 0.0

    def __post_init__(self) -> None:
        whole = [size * each for size, each in zip(self.sizes, self.seconds, strict=True)]
        least = [*accumulate(reversed(whole), min)][::-1]
        kept = zip(self.seconds, whole, least, self.sizes, strict=True)
        seconds = tuple(each if total == low else low / size for each, total, low, size in kept)
        object.__setattr__(self, "seconds", seconds)

    def seconds_per_unit(self, size: Number) -> Number:
        """Return the seconds of a unit at a size: straight lines between logarithms.

        Beyond the measured sizes the nearest one applies.
        """
        import numpy as np  # noqa: PLC0415 -- for arrays, and for predictions alone

        logs = np.interp(np.log(np.maximum(size, 1e-9)), np.log(self.sizes), np.log(self.seconds))
        return np.exp(logs) if is_array(size) else math.exp(float(logs))


@dataclass(frozen=True, slots=True)
class Rate:
    """A measured rate, with its spread.

    Attributes:
        what: the operation, such as ``reading from memory``.
        unit: ``byte/s`` or ``FLOP/s``.
        median: of the samples.
        low, high: first and last decile of the samples.
        samples: their number.
    """

    what: str
    unit: str
    median: float
    low: float
    high: float
    samples: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """A machine's curves, with the overhead of the framework and the error of predictions.

    Attributes:
        curves: by (operator, dtype).
        dispatch_s: overhead of the framework per operator of a program, by dtype.
        forward_s: its overhead per forward pass, by dtype.
        low, high: predictions times these are a nominal 80 % interval of measured times.
        points: the number of fitted measurements.
    """

    curves: Mapping[tuple[str, str], Curve]
    dispatch_s: Mapping[str, float] = field(default_factory=dict)
    forward_s: Mapping[str, float] = field(default_factory=dict)
    low: float = 1.0
    high: float = 1.0
    points: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high:
            raise InvalidInputError(
                f"a calibration's low must be positive and at most its high, got {self.low:g} and "
                f"{self.high:g}.",
                "Measure again: memorywall measure",
            )

    def curve(self, operator: str, dtype: str) -> Curve | None:
        """Return the curve of an operator, or None if it was not measured."""
        return self.curves.get((operator, dtype))


@dataclass(frozen=True)
class Estimate:
    """The predicted time of a run, by a calibration or a forecast, with its interval.

    Attributes:
        by_class: seconds by class of operators; ``framework`` is what asks for them.
        ends: factors; the sum times these is the interval that is to hold 80 % of what is
            measured, or of the devices that a forecast foresees. A function of none that returns
            them, where they are worked out when they are read.
        cost: the same seconds by the resource that binds; ``Cost()`` if it was not computed.
    """

    by_class: Mapping[str, Number]
    ends: tuple[Number, Number] | Callable[[], tuple[Number, Number]]
    cost: Cost = field(default_factory=Cost)

    @cached_property
    def _ends(self) -> tuple[Number, Number]:
        return self.ends() if callable(self.ends) else self.ends

    @property
    def low(self) -> Number:
        """The sum times it is the lower end."""
        return self._ends[0]

    @property
    def high(self) -> Number:
        """The sum times it is the upper end."""
        return self._ends[1]

    @property
    def seconds(self) -> Number:
        """All classes together."""
        total: Number = 0.0
        for seconds in self.by_class.values():
            total = total + seconds
        return total

    def __add__(self, other: Estimate) -> Estimate:
        names = {**self.by_class, **other.by_class}
        both = {n: self.by_class.get(n, 0.0) + other.by_class.get(n, 0.0) for n in names}
        ends = self.ends if _are_same(self.ends, other.ends) else partial(_both_ends, self, other)
        return Estimate(both, ends, self.cost + other.cost)


def _are_same(ends: object, others: object) -> bool:
    """Return whether two pairs of numbers are the same; arrays and functions are not compared."""
    both = (ends, others)
    plain = all(isinstance(pair, tuple) and not any(map(is_array, pair)) for pair in both)
    return plain and ends == others


def _both_ends(first: Estimate, second: Estimate) -> tuple[Number, Number]:
    """Return the ends of two passes: a device that is slow in one of them is so in the other."""
    a, b = first.seconds, second.seconds
    low, high = (
        (end * a + other * b) / (a + b)
        for end, other in ((first.low, second.low), (first.high, second.high))
    )
    return low, high


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The times of a question by a calibration or a forecast.

    Attributes:
        whole: of all passes.
        by_pass: of each pass, over all of its executions.
    """

    whole: Estimate
    by_pass: tuple[Estimate, ...]

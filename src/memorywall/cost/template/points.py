"""Many points at once: a question whose lengths, or a device's numbers, are arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from memorywall.core.hardware import Hardware
from memorywall.core.numbers import Array, Number, is_array
from memorywall.cost.template.point import Point

# A term times a rate: the place of the term, and which rate.
Column: TypeAlias = tuple[int, int]
# The coefficient of every column.
Sum: TypeAlias = dict[Column, float]
Join: TypeAlias = Literal["absolute", "where", "largest"]

# Multiplications below which OpenBLAS uses one thread (65,536 x GEMM_MULTITHREAD_THRESHOLD).
SERIAL = 2**18


@dataclass(frozen=True, slots=True)
class Joined:
    """Sums over terms of which a cost is made, and how.

    Attributes:
        base: the first of them.
        others: those that are joined to it.
        join: ``absolute``: base + |other| + ...; ``where``: base, and of every other that is not
            above zero its partner; ``largest``: the largest of base and others.
        partners: of ``where``, one for each of the others.
    """

    base: Sum
    others: tuple[Sum, ...] = ()
    join: Join = "absolute"
    partners: tuple[Sum, ...] = ()

    @property
    def sums(self) -> tuple[Sum, ...]:
        """All of them, the base first."""
        return (self.base, *self.others, *self.partners)


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Where sums are evaluated: numbers and arrays that broadcast to one shape.

    Attributes:
        point: the lengths.
        rates: what terms are weighed by: 1, then numbers of a device where those are arrays.
        shape: what all broadcast to.
    """

    point: Point
    rates: tuple[Number, ...]
    shape: tuple[int, ...]

    @property
    def numbers(self) -> tuple[Number, ...]:
        """Lengths and rates."""
        return (*self.point, *self.rates)

    def map(self, change: Callable[[Number], Number]) -> Points:
        """Return the same with every number passed through a function."""
        point = Point(*[change(number) for number in self.point])
        return Points(point, tuple([change(rate) for rate in self.rates]), self.shape)

    def cut(self, some: slice) -> Points:
        """Return those in a range, of points along one axis."""
        return self.map(lambda number: number[some] if is_array(number) else number)


def axes_of(number: Number, shape: tuple[int, ...]) -> list[bool]:
    """Return the axes of a shape along which a number varies."""
    own = number.shape if is_array(number) else ()
    return [False] * (len(shape) - len(own)) + [length > 1 for length in own]


def flattened(number: Number, shape: tuple[int, ...]) -> Number:
    """Return an array as one along a single axis, broadcast; one number stays as it is."""
    if not is_array(number):
        return number
    return float(number.flat[0]) if number.size == 1 else np.broadcast_to(number, shape).reshape(-1)


def shape_of(point: Point, hardware: Hardware) -> tuple[int, ...]:
    """Return the shape that the numbers of a question broadcast to.

    Raises:
        ValueError: they do not broadcast.
    """
    return np.broadcast_shapes(*(n.shape for n in point if is_array(n)), *hardware.shapes)


def multiply(a: Array, b: Array, out: Array) -> Array:
    """Write the matrix product of two arrays, in parts that BLAS does not share among threads.

    Threads gain nothing for a few rows, and wait for each other where cores are busy.
    """
    size = max(1, SERIAL // max(1, a.shape[0] * a.shape[1]))
    for start in range(0, b.shape[1], size):
        some = slice(start, start + size)
        np.matmul(a, b[:, some], out=out[:, some])
    return out


def full(number: Number, shape: tuple[int, ...]) -> Array:
    """Return a number as an array of a shape, which may not be written to."""
    return np.broadcast_to(np.asarray(number, dtype=np.float64), shape)

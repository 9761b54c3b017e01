"""Devices whose numbers are arrays, one by one: kernels have the numbers of one device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from memorywall.answer.lowered import cut
from memorywall.core.calibration import Estimate
from memorywall.core.numbers import Array, Number, is_array
from memorywall.core.question import Question
from memorywall.core.results import Cost, OpCost, SplitCost

Piece: TypeAlias = tuple[slice, ...]


def estimates_over_devices(
    question: Question, price: Callable[[Question], list[Estimate]]
) -> list[Estimate]:
    """Return the estimates of the passes of a question, its devices priced one by one."""
    parts = [(piece, price(part)) for piece, part in _parts(question)]
    return [
        _stacked(question.shape, [(piece, found[index]) for piece, found in parts])
        for index in range(len(question.passes))
    ]


def ops_over_devices(
    question: Question, price: Callable[[Question], Sequence[OpCost]]
) -> list[OpCost]:
    """Return the operators of a question in the same way."""
    parts = [(piece, list(price(part))) for piece, part in _parts(question)]
    shape = question.shape
    found = []
    for index, first in enumerate(parts[0][1]):
        each = [(piece, ops[index]) for piece, ops in parts]
        traffic: dict[str, Number] = {
            role: _grid(shape, [(p, op.traffic[role]) for p, op in each]) for role in first.traffic
        }
        waits: dict[str, Number] = {
            role: _grid(shape, [(p, op.waits.get(role, 0.0)) for p, op in each])
            for role in first.waits
        }
        cost = _costs(shape, [(piece, op.cost) for piece, op in each])
        found.append(replace(first, cost=cost, traffic=traffic, waits=waits))
    return found


def _parts(question: Question) -> Iterator[tuple[Piece, Question]]:
    """Yield the part of the grid of each device, and the question of it."""
    shape = question.shape
    own = np.broadcast_shapes(*question.hardware.shapes)
    own = (1,) * (len(shape) - len(own)) + own
    for index in np.ndindex(own):
        piece = tuple(
            slice(None) if length == 1 else slice(place, place + 1)
            for place, length in zip(index, own, strict=True)
        )
        part = question.map_numbers(partial(cut, piece=piece))
        yield piece, replace(part, hardware=part.hardware.map_numbers(_plain))


def _plain(number: Number) -> Number:
    return float(number.reshape(-1)[0]) if is_array(number) else number


def _grid(shape: tuple[int, ...], parts: Sequence[tuple[Piece, Number]]) -> Array:
    found = np.empty(shape)
    for piece, number in parts:
        found[piece] = number
    return found


def _costs(shape: tuple[int, ...], parts: Sequence[tuple[Piece, Cost]]) -> Cost:
    names = [field.name for field in fields(Cost)]
    return Cost(*(_grid(shape, [(p, getattr(cost, n)) for p, cost in parts]) for n in names))


def _stacked(shape: tuple[int, ...], parts: list[tuple[Piece, Estimate]]) -> Estimate:
    """Return the estimate of a pass of all devices."""

    def of(read: Callable[[Estimate], Any]) -> Array:
        return _grid(shape, [(piece, read(estimate)) for piece, estimate in parts])

    by_class = {name: of(lambda e, n=name: e.by_class[n]) for name in parts[0][1].by_class}  # type: ignore[misc]
    cost = SplitCost(
        of(lambda estimate: estimate.cost.latency_s),
        lambda: _costs(shape, [(piece, estimate.cost) for piece, estimate in parts]),
    )
    ends = of(lambda estimate: estimate.low), of(lambda estimate: estimate.high)
    return Estimate(by_class, ends, cost)

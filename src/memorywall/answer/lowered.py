"""Traced models: programs that are lowered for every question, with arrays in pieces.

Templates need a program with symbols, which running PyTorch's code cannot give.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from functools import partial, reduce
from math import prod
from operator import mul
from typing import TypeVar

import numpy as np

from memorywall.answer.programs import joined, program_of
from memorywall.answer.steps import BLOCK_STEPS, price_step_ops, price_steps
from memorywall.core.numbers import Array, Number, is_array, maximum
from memorywall.core.question import Question
from memorywall.core.results import Cost, Footprint, OpCost
from memorywall.cost.footprint import footprint, training_footprint
from memorywall.cost.roofline import price, price_ops

_Answer = TypeVar("_Answer", Cost, Footprint)

# Points priced at once: a block's arrays of float64, some ten alive at a time, 128 KiB each.
BLOCK_POINTS = 16384


def evaluate_lowered(question: Question) -> tuple[tuple[Cost, ...], Footprint]:
    """Return the cost of every pass, and the footprint; arrays of the question's shape."""
    shape, passes = question.shape, question.passes
    if not shape:
        return _evaluate_piece(question)
    executions = max(one.count if one.grows else 1 for one in passes)
    costs: list[dict[str, Array]] = [{} for _ in passes]
    resident: dict[str, Array] = {}
    for piece in pieces(shape, max(1, BLOCK_POINTS // min(executions, BLOCK_STEPS))):
        part, kept = _evaluate_piece(question.map_numbers(partial(cut, piece=piece)))
        for grids, cost in zip(costs, part, strict=True):
            paste(cost, grids, shape, piece)
        paste(kept, resident, shape, piece)
    return tuple(collect(Cost, grids) for grids in costs), collect(Footprint, resident)


def evaluate_lowered_ops(question: Question) -> list[OpCost]:
    """Return every operator's cost over all of its executions."""
    costs: list[OpCost] = []
    for one in question.passes:
        if one.grows:
            part = price_step_ops(question, one)
        else:
            part = price_ops(program_of(question, one), question.hardware)
            if one.count > 1:
                part = [op.map(partial(mul, one.count), one.count) for op in part]
        costs = joined(costs, part)
    return costs


def pieces(shape: tuple[int, ...], most: int) -> Iterator[tuple[slice, ...]]:
    """Cut a grid into slices of at most ``most`` points, along the leading axes first."""
    if not shape:
        yield ()
        return
    inner = prod(shape[1:])
    rows = max(1, most // max(1, inner))
    for start in range(0, shape[0], rows):
        for rest in pieces(shape[1:], most if rows == 1 else inner):
            yield (slice(start, min(start + rows, shape[0])), *rest)


def _evaluate_piece(question: Question) -> tuple[tuple[Cost, ...], Footprint]:
    """Evaluate a question whose arrays are small enough to be priced at once.

    A program that is lowered for a price serves the footprint too.
    """
    hardware, passes = question.hardware, question.passes
    costs, residents = [], []
    for one in passes:
        if one.grows:
            costs.append(price_steps(question, one))
            residents.append(footprint(program_of(question, one, one.last), hardware))
            continue
        program = program_of(question, one)
        cost = price(program, hardware)
        costs.append(cost if one.count == 1 else cost.map(partial(mul, one.count)))
        residents.append(footprint(program, hardware))
    traced = question.model.traits.traced_pass
    if traced is not None and traced.memory is not None:
        return tuple(costs), training_footprint(traced.memory, hardware)
    most = reduce(maximum, [resident.activations for resident in residents])
    return tuple(costs), replace(residents[-1], activations=most)


def cut(number: Number, piece: tuple[slice, ...]) -> Number:
    """Return the part of an array, broadcast to the grid, that lies in a piece of it."""
    if not is_array(number):
        return number
    axes = zip(number.shape, piece[len(piece) - number.ndim :], strict=True)
    return number[tuple(slice(None) if length == 1 else part for length, part in axes)]


def paste(
    answer: Cost | Footprint,
    grids: dict[str, Array],
    shape: tuple[int, ...],
    piece: tuple[slice, ...],
) -> None:
    """Write the numbers of a piece's answer into their grids; a lone number fills one."""
    for field in fields(answer):
        value = getattr(answer, field.name)
        if is_array(value):
            if field.name not in grids:
                grids[field.name] = np.empty(shape)
            grids[field.name][piece] = value
        elif value is not None:
            grids[field.name] = np.broadcast_to(float(value), shape)


def collect(kind: type[_Answer], grids: dict[str, Array]) -> _Answer:
    """Return the answer of a whole grid from the grids of its numbers."""
    return kind(**{field.name: grids.get(field.name) for field in fields(kind)})  # type: ignore[arg-type]

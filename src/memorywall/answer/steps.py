"""Decode steps in a row: times over an axis of steps, FLOPs and bytes in closed form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial, reduce
from math import lcm
from operator import add

import numpy as np

from memorywall.answer.programs import program_of
from memorywall.core.hardware import Hardware
from memorywall.core.numbers import Number, halved
from memorywall.core.phase import Pass
from memorywall.core.program import Program
from memorywall.core.question import Question
from memorywall.core.results import Cost, OpCost
from memorywall.core.traits import Traits
from memorywall.cost.roofline import price, price_ops

# Steps priced at once: their arrays fit the processor's cache.
BLOCK_STEPS = 4096


def price_steps(question: Question, run: Pass) -> Cost:
    """Return the cost of a pass whose executions grow by one position each.

    Times are summed over a trailing axis of steps, because a maximum is not linear. FLOPs and
    bytes of scalars are arithmetic series, summed in closed form so that they stay exact (the
    bytes of experts that are expected to be touched are a fraction, and exact to rounding).
    """
    total = Cost()
    for program, hardware, count in step_programs(question, run):
        total += price(program, hardware).map(partial(sum_steps, steps=count))
    if question.shape:
        return total
    flops, moved = _series(question, run, _work_of)
    return replace(total, flops=flops, moved_bytes=moved)


def price_step_ops(question: Question, run: Pass) -> list[OpCost]:
    """Return the same by operator."""
    parts: list[list[OpCost]] = []
    for program, hardware, count in step_programs(question, run):
        add_up = partial(sum_steps, steps=count)
        parts.append([op.map(add_up, executions=count) for op in price_ops(program, hardware)])
    costs = [reduce(add, op) for op in zip(*parts, strict=True)]
    if question.shape:
        return costs
    exact = iter(_series(question, run, _work_of_ops))
    return [_with_exact_work(cost, exact) for cost in costs]


def step_programs(question: Question, run: Pass) -> Iterator[tuple[Program, Hardware, int]]:
    """Yield programs over a trailing axis of steps, a block of steps each."""
    stepped = question.map_numbers(with_step_axis)
    for done in range(0, run.count, BLOCK_STEPS):
        count = min(BLOCK_STEPS, run.count - done)
        lengths = with_step_axis(run.positions) + np.arange(done, done + count, dtype=np.float64)
        yield program_of(stepped, run, lengths), stepped.hardware, count


def _series(
    question: Question, run: Pass, measure: Callable[[Program], list[Number]]
) -> list[Number]:
    """Sum measures of the programs at the lengths of a run, exactly.

    Measures are linear in the length between the windows of the model, n (a + b) / 2 for n steps
    whose first measures a and last b; or linear at every ``stride``-th length, where a format
    rounds up to whole bytes or scales by runs of lengths.
    """
    first, end = int(run.positions), int(run.last)
    knots = _knots(question.model.traits, first, end)
    stride = _stride(question)
    totals: list[Number] = []
    for low, high in zip([first, *(w + 1 for w in knots)], [*knots, end], strict=True):
        for start in range(low, min(low + stride, high + 1)):
            count = (high - start) // stride + 1
            at_first = measure(program_of(question, run, start))
            at_last = measure(program_of(question, run, start + (count - 1) * stride))
            sums = [halved((a + b) * count) for a, b in zip(at_first, at_last, strict=True)]
            totals = [t + s for t, s in zip(totals, sums, strict=True)] if totals else sums
    return totals


def _knots(traits: Traits, first: int, end: int) -> list[int]:
    """Return the lengths from ``first`` to before ``end`` after which the work grows otherwise."""
    bends = (*traits.windows, *traits.selections)
    knots = {length for length in bends if first <= length < end}
    for chunk in traits.chunks:
        knots.update(range(-(-first // chunk) * chunk, end, chunk))
    return sorted(knots)


def _stride(question: Question) -> int:
    """Return after how many positions every tensor has grown by whole bytes and whole groups.

    Scores grow by a multiple of one element a position, vectors of the cache by whole rows;
    compressed entries by one in each run of positions.
    """
    formats = (question.formats.activations, question.formats.kv_cache)
    runs = question.model.traits.runs
    return lcm(*(f.period for f in formats), *runs)


def _work_of(program: Program) -> list[Number]:
    work = program.work
    return [work.flops, work.moved_bytes]


def _work_of_ops(program: Program) -> list[Number]:
    """Return FLOPs, then bytes by role, of every operator over its repetitions."""
    values = []
    for _, op, repeat in program.walk():
        values.append(op.flops * repeat)
        values += [moved * repeat for moved in op.traffic.values()]
    return values


def _with_exact_work(cost: OpCost, exact: Iterator[Number]) -> OpCost:
    flops = next(exact)
    traffic: dict[str, Number] = {role: next(exact) for role in cost.traffic}
    moved = sum(traffic.values(), 0)
    return replace(cost, cost=replace(cost.cost, flops=flops, moved_bytes=moved), traffic=traffic)


def with_step_axis(number: Number) -> Number:
    """Return an array with a trailing axis of one, along which others may vary."""
    return number[..., None] if isinstance(number, np.ndarray) else number


def sum_steps(number: Number, steps: int) -> Number:
    """Sum over the trailing axis of steps, along which a number may be constant."""
    if not isinstance(number, np.ndarray):
        return number * steps
    if number.shape[-1] != steps:
        return number[..., 0] * steps
    total: Number = np.asarray(number.sum(axis=-1))
    return total if np.ndim(total) else float(total)

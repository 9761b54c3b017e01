"""From a scenario to its cost: lower, fuse, price; generation step by step; grids in blocks.

Nothing here knows a formula. It decides which forward passes a phase is made of, and cuts large
grids into pieces that stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import partial, reduce
from math import prod
from operator import add
from typing import TypeVar

import numpy as np

from memorywall.core.hardware import Hardware
from memorywall.core.numbers import Array, Number, maximum
from memorywall.core.program import Program
from memorywall.core.results import Cost, Footprint, OpCost
from memorywall.core.scenario import Scenario
from memorywall.cost.footprint import footprint
from memorywall.cost.roofline import price, price_ops
from memorywall.passes.fuse import fuse

_Answer = TypeVar("_Answer", Cost, Footprint)

# Points priced at once. A block's arrays of float64 (some ten alive at a time, 128 KiB each) fit a
# core's L2 cache; benchmarks/analyze.py shows the rate at other sizes.
BLOCK_POINTS = 16384
# Steps of a generation priced at once, for the same reason.
BLOCK_STEPS = 4096


def evaluate(scenario: Scenario) -> tuple[Cost, Footprint]:
    """Return cost and footprint; for a question with arrays, arrays of their common shape."""
    shape = scenario.shape
    if not shape:
        return _evaluate_piece(scenario)
    grids: dict[str, Array] = {}
    for piece in pieces(shape, max(1, BLOCK_POINTS // _steps_at_once(scenario))):
        cost, resident = _evaluate_piece(scenario.map_numbers(partial(_cut, piece=piece)))
        _paste(cost, grids, shape, piece)
        _paste(resident, grids, shape, piece)
    return _collect(Cost, grids), _collect(Footprint, grids)


def evaluate_ops(scenario: Scenario) -> list[OpCost]:
    """Return every operator's cost over all of its executions, whole grids at once."""
    workload, hardware = scenario.workload, scenario.hardware
    if workload.phase != "generate":
        return price_ops(_program(scenario, workload.phase, workload.seq_len), hardware)
    start = maximum(workload.seq_len, 1)
    costs = price_ops(_program(scenario, "prefill", start), hardware)
    steps = workload.new_tokens - 1
    if steps:
        decode = _price_step_ops(scenario, start + 1, steps)
        costs = [first + rest for first, rest in zip(costs, decode, strict=True)]
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


def _evaluate_piece(scenario: Scenario) -> tuple[Cost, Footprint]:
    """Evaluate a scenario whose arrays are small enough to be priced at once."""
    workload, hardware = scenario.workload, scenario.hardware
    if workload.phase != "generate":
        program = _program(scenario, workload.phase, workload.seq_len)
        return price(program, hardware), footprint(program, hardware)
    # A lone start token is a prefill of one, so no prompt and a prompt of one cost the same.
    start = maximum(workload.seq_len, 1)
    prefill = _program(scenario, "prefill", start)
    cost, resident = price(prefill, hardware), footprint(prefill, hardware)
    steps = workload.new_tokens - 1
    if steps:
        cost += _price_steps(scenario, start + 1, steps)
        last = footprint(_program(scenario, "decode", start + steps), hardware)
        most = maximum(resident.activations, last.activations)
        resident = replace(last, activations=most)
    return cost, resident


def _program(scenario: Scenario, phase: str, seq_len: Number) -> Program:
    program = scenario.model.lower(scenario.forward(phase, seq_len))
    return fuse(program) if scenario.conventions.traffic == "fused" else program


def _price_steps(scenario: Scenario, first: Number, steps: int) -> Cost:
    """Return the cost of decode steps at ``first``, ``first + 1``, ... positions.

    Times are summed over a trailing axis of steps, because a maximum is not linear. FLOPs and
    bytes are arithmetic series, summed in closed form so that they stay exact integers.
    """
    total = Cost()
    for program, hardware, count in _step_programs(scenario, first, steps):
        total += price(program, hardware).map(partial(_sum_steps, steps=count))
    if not _closed_form(scenario, first):
        return total
    flops, moved = _series(scenario, first, steps, _work_of)
    return replace(total, flops=flops, moved_bytes=moved)


def _price_step_ops(scenario: Scenario, first: Number, steps: int) -> list[OpCost]:
    """Return the same by operator."""
    parts: list[list[OpCost]] = []
    for program, hardware, count in _step_programs(scenario, first, steps):
        add_up = partial(_sum_steps, steps=count)
        parts.append([op.map(add_up, executions=count) for op in price_ops(program, hardware)])
    costs = [reduce(add, op) for op in zip(*parts, strict=True)]
    if not _closed_form(scenario, first):
        return costs
    exact = iter(_series(scenario, first, steps, _work_of_ops))
    return [_with_exact_work(cost, exact) for cost in costs]


def _step_programs(
    scenario: Scenario, first: Number, steps: int
) -> Iterator[tuple[Program, Hardware, int]]:
    """Yield decode programs over a trailing axis of steps, a block of steps each."""
    stepped = scenario.map_numbers(_with_step_axis)
    for done in range(0, steps, BLOCK_STEPS):
        count = min(BLOCK_STEPS, steps - done)
        lengths = _with_step_axis(first) + np.arange(done, done + count, dtype=np.float64)
        yield _program(stepped, "decode", lengths), stepped.hardware, count


def _closed_form(scenario: Scenario, first: Number) -> bool:
    """Tell whether FLOPs and bytes of a step are whole numbers, linear in the context.

    Formats of whole bytes are; those with scales or of less than a byte round up by step.
    """
    forward = scenario.forward("decode", first)
    scalar = isinstance(first, int) and isinstance(forward.batch, int)
    formats = (forward.activations, forward.kv_cache)
    return scalar and all(format_.bits % 8 == 0 and not format_.group for format_ in formats)


def _series(
    scenario: Scenario, first: Number, steps: int, measure: Callable[[Program], list[int]]
) -> list[int]:
    """Sum measures of the decode programs at ``steps`` lengths from ``first`` on, exactly.

    They are linear in the length between the windows of the model: n (a + b) / 2 for n steps
    whose first measures a and last measures b.
    """
    start, end = int(first), int(first) + steps - 1
    knots = sorted({w for w in scenario.model.architecture.windows if start <= w < end})
    totals: list[int] = []
    for low, high in zip([start, *(w + 1 for w in knots)], [*knots, end], strict=True):
        at_low = measure(_program(scenario, "decode", low))
        at_high = measure(_program(scenario, "decode", high))
        count = high - low + 1
        sums = [(a + b) * count // 2 for a, b in zip(at_low, at_high, strict=True)]
        totals = [t + s for t, s in zip(totals, sums, strict=True)] if totals else sums
    return totals


def _work_of(program: Program) -> list[int]:
    work = program.work
    return [int(work.flops), int(work.moved_bytes)]


def _work_of_ops(program: Program) -> list[int]:
    """Return FLOPs, then bytes by role, of every operator over its repetitions."""
    values = []
    for _, op, repeat in program.walk():
        values.append(int(op.flops) * repeat)
        values += [int(moved) * repeat for moved in op.traffic.values()]
    return values


def _with_exact_work(cost: OpCost, exact: Iterator[int]) -> OpCost:
    flops = next(exact)
    traffic: dict[str, Number] = {role: next(exact) for role in cost.traffic}
    moved = sum(traffic.values(), 0)
    return replace(cost, cost=replace(cost.cost, flops=flops, moved_bytes=moved), traffic=traffic)


def _steps_at_once(scenario: Scenario) -> int:
    """Return how long the axis of steps is that pricing adds to the scenario's own."""
    if scenario.workload.phase != "generate":
        return 1
    return max(1, min(scenario.workload.new_tokens - 1, BLOCK_STEPS))


def _cut(number: Number, piece: tuple[slice, ...]) -> Number:
    """Return the part of an array, broadcast to the grid, that lies in a piece of it."""
    if not isinstance(number, np.ndarray):
        return number
    axes = zip(number.shape, piece[len(piece) - number.ndim :], strict=True)
    return number[tuple(slice(None) if length == 1 else cut for length, cut in axes)]


def _with_step_axis(number: Number) -> Number:
    return number[..., None] if isinstance(number, np.ndarray) else number


def _sum_steps(number: Number, steps: int) -> Number:
    """Sum over the trailing axis of steps, along which a number may be constant."""
    if not isinstance(number, np.ndarray):
        return number * steps
    if number.shape[-1] != steps:
        return number[..., 0] * steps
    total = number.sum(axis=-1)
    return total if total.ndim else total.item()


def _paste(
    answer: Cost | Footprint,
    grids: dict[str, Array],
    shape: tuple[int, ...],
    piece: tuple[slice, ...],
) -> None:
    """Write the numbers of a piece's answer into their grids; a lone number fills one."""
    for field in fields(answer):
        value = getattr(answer, field.name)
        if isinstance(value, np.ndarray):
            if field.name not in grids:
                grids[field.name] = np.empty(shape)
            grids[field.name][piece] = value
        elif value is not None:
            grids[field.name] = np.broadcast_to(float(value), shape)


def _collect(kind: type[_Answer], grids: dict[str, Array]) -> _Answer:
    return kind(**{field.name: grids.get(field.name) for field in fields(kind)})  # type: ignore[arg-type]

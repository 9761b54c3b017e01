"""From a scenario to its cost: which forward passes a phase is made of, and large grids in pieces.

Nothing here knows a formula.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from functools import partial
from math import prod
from operator import mul
from typing import TypeVar

import numpy as np

from memorywall.answer.steps import (
    BLOCK_STEPS,
    estimate_steps,
    price_step_ops,
    price_steps,
    program_of,
    with_step_axis,
)
from memorywall.core.calibration import Estimate
from memorywall.core.errors import InvalidInputError
from memorywall.core.hardware import Hardware
from memorywall.core.numbers import Array, Number, maximum
from memorywall.core.results import Cost, Footprint, OpCost
from memorywall.core.scenario import Scenario
from memorywall.cost.calibrated import estimate
from memorywall.cost.footprint import footprint, training_footprint
from memorywall.cost.roofline import price, price_ops
from memorywall.frontends.traced import is_traced

# Some minutes of one core; past it an answer would not come, or would not fit the memory.
MOST_POINTS = 2**28

_Answer = TypeVar("_Answer", Cost, Footprint)

# Points priced at once. A block's arrays of float64 (some ten alive at a time, 128 KiB each) fit a
# core's L2 cache; benchmarks/analyze.py shows the rate at other sizes.
BLOCK_POINTS = 16384


def evaluate(scenario: Scenario) -> tuple[Cost, Footprint]:
    """Return cost and footprint; for a question with arrays, arrays of their common shape."""
    shape = scenario.shape
    if not shape:
        return _evaluate_piece(scenario)
    points = prod(shape) * _passes(scenario)
    if points > MOST_POINTS:
        raise InvalidInputError(
            f"The question has {points:,} points, each step of a generation counted: the most that "
            f"is answered at once is {MOST_POINTS:,}.",
            "Ask for fewer batch sizes, lengths or new tokens, or for parts of the grid.",
        )
    grids: dict[str, Array] = {}
    for piece in pieces(shape, max(1, BLOCK_POINTS // _steps_at_once(scenario))):
        cost, resident = _evaluate_piece(scenario.map_numbers(partial(_cut, piece=piece)))
        _paste(cost, grids, shape, piece)
        _paste(resident, grids, shape, piece)
    return _collect(Cost, grids), _collect(Footprint, grids)


def evaluate_first(scenario: Scenario) -> Number:
    """Return the seconds of the forward pass that gives a generation its first token."""
    workload = scenario.workload
    first = replace(workload, phase="prefill", seq_len=maximum(workload.seq_len, 1), new_tokens=1)
    return evaluate(replace(scenario, workload=first))[0].latency_s


def evaluate_ops(scenario: Scenario) -> list[OpCost]:
    """Return every operator's cost over all of its executions, whole grids at once."""
    workload, hardware = scenario.workload, scenario.hardware
    if workload.phase != "generate":
        costs = price_ops(program_of(scenario, workload.phase, workload.seq_len), hardware)
        times = workload.alike
        return costs if times == 1 else [op.map(partial(mul, times), times) for op in costs]
    start = maximum(workload.seq_len, 1)
    costs = price_ops(program_of(scenario, "prefill", start), hardware)
    steps = workload.new_tokens - 1
    if steps:
        costs = _joined(costs, price_step_ops(scenario, start + 1, steps))
    return costs


def predict(scenario: Scenario) -> Estimate | None:
    """Return what a device's calibration or forecast says of a scenario; None without either.

    A framework runs the operators unfused, and skips what a causal mask hides.
    """
    calibration = scenario.hardware.calibration
    if scenario.hardware.draws is not None:
        return _foresee(scenario, scenario.hardware.draws)
    if calibration is None or is_traced(scenario.model):
        return None  # what was measured are a model's operators, not all of PyTorch's
    conventions = replace(scenario.conventions, traffic="unfused", causal="half")
    plain = replace(scenario, conventions=conventions)
    workload = scenario.workload
    if workload.phase != "generate":
        one = estimate(program_of(plain, workload.phase, workload.seq_len), calibration)
        return one.map(partial(mul, workload.alike))
    start = maximum(workload.seq_len, 1)
    total = estimate(program_of(plain, "prefill", start), calibration)
    if workload.new_tokens > 1:
        total += estimate_steps(plain, start + 1, workload.new_tokens - 1, calibration)
    return total


def _foresee(scenario: Scenario, draws: Hardware) -> Estimate:
    """Return the roofline's seconds on a device to come, with the middle 80 % of its draws.

    Every draw is priced, along a trailing axis: the interval is that of the answer and not of the
    ceilings one by one.
    """
    stretched = scenario.map_numbers(with_step_axis)
    drawn = evaluate(replace(stretched, hardware=draws))[0].latency_s
    seconds = evaluate(scenario)[0].latency_s
    low, high = np.quantile(drawn, (0.1, 0.9), axis=-1)
    return Estimate({"roofline": seconds}, low / seconds, high / seconds)


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
        program = program_of(scenario, workload.phase, workload.seq_len)
        memory = getattr(scenario.model.architecture, "memory", None)  # of what was traced
        if memory is not None:
            return price(program, hardware), training_footprint(memory, hardware)
        cost, times = price(program, hardware), workload.alike
        if times > 1:
            cost = cost.map(partial(mul, times))
        return cost, footprint(program, hardware)
    # A lone start token is a prefill of one, so no prompt and a prompt of one cost the same.
    start = maximum(workload.seq_len, 1)
    prefill = program_of(scenario, "prefill", start)
    cost, resident = price(prefill, hardware), footprint(prefill, hardware)
    steps = workload.new_tokens - 1
    if steps:
        cost += price_steps(scenario, start + 1, steps)
        last = footprint(program_of(scenario, "decode", start + steps), hardware)
        # The cache is reserved whole from the start.
        most = maximum(resident.activations, last.activations)
        resident = replace(last, activations=most)
    return cost, resident


def _joined(first: list[OpCost], rest: list[OpCost]) -> list[OpCost]:
    """Add costs up by operator; a prefill may run them in another order than a step."""
    joined = {op.name: op for op in first}
    for op in rest:
        joined[op.name] = joined[op.name] + op if op.name in joined else op
    return list(joined.values())


def _passes(scenario: Scenario) -> int:
    """Return how many passes of one token a question is made of, at the least one."""
    generating = scenario.workload.phase == "generate"
    return max(1, scenario.workload.new_tokens - 1) if generating else 1


def _steps_at_once(scenario: Scenario) -> int:
    """Return how long the axis of steps is that pricing adds to the scenario's own."""
    return min(_passes(scenario), BLOCK_STEPS)


def _cut(number: Number, piece: tuple[slice, ...]) -> Number:
    """Return the part of an array, broadcast to the grid, that lies in a piece of it."""
    if not isinstance(number, np.ndarray):
        return number
    axes = zip(number.shape, piece[len(piece) - number.ndim :], strict=True)
    return number[tuple(slice(None) if length == 1 else cut for length, cut in axes)]


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

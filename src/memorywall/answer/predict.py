"""Predictions of times: by a device's calibration, or the interval of a forecast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial, reduce
from operator import add, mul

import numpy as np

from memorywall.answer.evaluate import evaluate
from memorywall.answer.lowered import BLOCK_POINTS, collect, cut, paste, pieces
from memorywall.answer.programs import as_a_framework_runs, joined, program_of
from memorywall.answer.steps import (
    BLOCK_STEPS,
    step_programs,
    sum_steps,
    with_step_axis,
)
from memorywall.core.calibration import Calibration, Estimate, Prediction
from memorywall.core.hardware import Hardware
from memorywall.core.numbers import Array, Number
from memorywall.core.phase import Pass
from memorywall.core.question import Question
from memorywall.core.results import Cost, OpCost
from memorywall.cost.calibrated import price_calls
from memorywall.passes.fuse import fuse


def predict(question: Question) -> Prediction | None:
    """Return the prediction by a device's calibration or forecast; None without either.

    Operators that were not measured are priced at the machine's roofs; a note names them.
    """
    hardware = question.hardware
    if hardware.draws is not None:
        return _foresee(question, hardware.draws)
    if hardware.calibration is None or question.model.traits.traced:
        return None
    parts = _estimates(as_a_framework_runs(question), hardware.calibration)
    return Prediction(reduce(add, parts), parts)


def predict_ops(question: Question, at_roofs: list[OpCost]) -> list[OpCost]:
    """Return every operator's cost with the seconds that a calibration predicts.

    FLOPs, bytes and the times of each resource alone stay those at the roofs. The framework and the
    joining of caches have separate rows.
    """
    calibration = question.hardware.calibration
    assert calibration is not None
    eager = as_a_framework_runs(question)
    predicted: list[OpCost] = []
    for one in eager.passes:
        predicted = joined(predicted, _joined_calls(eager, one, calibration))
    known = {op.name: op for op in at_roofs}
    return [_with_work(op, known[op.name]) if op.name in known else op for op in predicted]


def _with_work(predicted: OpCost, known: OpCost) -> OpCost:
    cost = known.cost.predicted(predicted.cost)
    return replace(predicted, cost=cost, traffic=known.traffic)


def _estimates(question: Question, calibration: Calibration) -> tuple[Estimate, ...]:
    """Return the estimate of each pass, large grids in pieces."""
    shape, passes = question.shape, question.passes
    if not shape:
        return tuple(_estimate(question, one, calibration) for one in passes)
    executions = max(one.count if one.grows else 1 for one in passes)
    costs: list[dict[str, Array]] = [{} for _ in passes]
    classes: list[dict[str, Array]] = [{} for _ in passes]
    for piece in pieces(shape, max(1, BLOCK_POINTS // min(executions, BLOCK_STEPS))):
        part = question.map_numbers(partial(cut, piece=piece))
        for index, one in enumerate(part.passes):
            found = _estimate(part, one, calibration)
            paste(found.cost, costs[index], shape, piece)
            for name, seconds in found.by_class.items():
                classes[index].setdefault(name, np.empty(shape))[piece] = seconds
    low, high = calibration.low, calibration.high
    return tuple(
        Estimate(by_class, (low, high), collect(Cost, grids))
        for by_class, grids in zip(classes, costs, strict=True)
    )


def _estimate(question: Question, one: Pass, calibration: Calibration) -> Estimate:
    """Return the estimate of one pass, over all of its executions."""
    by_class: dict[str, Number] = {}
    cost = Cost()
    for call in _calls(question, one, calibration):
        by_class[call.kind] = by_class.get(call.kind, 0.0) + call.latency_s
        cost = cost + call.cost
    return Estimate(by_class, (calibration.low, calibration.high), cost)


def _calls(question: Question, one: Pass, calibration: Calibration) -> Iterator[OpCost]:
    """Yield the cost of every call of a pass; where it grows, once for each block of steps."""
    if not one.grows:
        program = program_of(question, one)
        for call in price_calls(program, question.hardware, calibration, fuse(program)):
            yield call.map(partial(mul, one.count), one.count) if one.count > 1 else call
        return
    for program, hardware, count in step_programs(question, one):
        for call in price_calls(program, hardware, calibration, fuse(program)):
            yield call.map(partial(sum_steps, steps=count), executions=count)


def _joined_calls(question: Question, one: Pass, calibration: Calibration) -> list[OpCost]:
    """Return the same, each call once."""
    calls: dict[str, OpCost] = {}
    for call in _calls(question, one, calibration):
        calls[call.name] = calls[call.name] + call if call.name in calls else call
    return list(calls.values())


def _foresee(question: Question, draws: Hardware) -> Prediction:
    """Return the roofline's seconds on a future device, with the middle 80 % of its draws.

    Every draw is priced, along a trailing axis: the interval is that of the answer and not of the
    ceilings one by one.
    """
    stretched = question.map_numbers(with_step_axis)
    drawn = evaluate(replace(stretched, hardware=draws)).costs
    costs = evaluate(question).costs
    by_pass = tuple(
        _interval(cost, many.latency_s) for cost, many in zip(costs, drawn, strict=True)
    )
    return Prediction(_interval(reduce(add, costs), reduce(add, drawn).latency_s), by_pass)


def _interval(cost: Cost, drawn: Number) -> Estimate:
    low, high = np.quantile(drawn, (0.1, 0.9), axis=-1)
    seconds = cost.latency_s
    return Estimate({"roofline": seconds}, (low / seconds, high / seconds), cost)

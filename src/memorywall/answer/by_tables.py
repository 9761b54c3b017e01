"""Predictions by tables: constants fitted to measurements of a device, or of its class.

A pass is priced at the shares of the device's roofs that programs attain; the launches of its
operators, and its host, are overhead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, reduce
from operator import add
from typing import overload

from memorywall.answer.evaluate import evaluate_ops, price_passes, template_of_pass
from memorywall.answer.programs import program_of
from memorywall.catalog.calibrations import table
from memorywall.core.calibration import Estimate, Prediction
from memorywall.core.hardware import Hardware
from memorywall.core.phase import Pass
from memorywall.core.question import Question
from memorywall.core.results import Cost, OpCost
from memorywall.cost.attained import Attained, attained, launches
from memorywall.cost.template import Template


def predict_by_tables(question: Question) -> Prediction:
    """Return the predicted times of a question, with their interval."""
    reached = _attained(question)
    costs = price_passes(question, reached.hardware)
    parts = tuple(
        _estimate(cost, _overhead_s(question, one, reached), reached)
        for one, cost in zip(question.passes, costs, strict=True)
    )
    return Prediction(parts[0] if len(parts) == 1 else reduce(add, parts), parts)


def predict_ops_by_tables(question: Question, at_roofs: Sequence[OpCost]) -> Sequence[OpCost]:
    """Return every operator's cost with the predicted seconds; the host has a separate row.

    FLOPs, bytes and the times of each resource alone stay those at the roofs.
    """
    reached = _attained(question)
    slower = evaluate_ops(replace(question, hardware=reached.hardware))
    executions = sum(one.count for one in question.passes)
    host = OpCost("host", "host", executions, _of_overhead(executions * reached.step_s), {}, {})
    return _Predicted(at_roofs, slower, reached.operator_s, host)


class _Predicted(Sequence[OpCost]):
    """Operators with their predicted seconds, each worked out when it is read."""

    def __init__(
        self, at_roofs: Sequence[OpCost], slower: Sequence[OpCost], launch_s: float, host: OpCost
    ) -> None:
        self._at_roofs, self._slower = at_roofs, slower
        self._launch_s, self._host = launch_s, host

    def __len__(self) -> int:
        return len(self._at_roofs) + 1

    @overload
    def __getitem__(self, index: int) -> OpCost: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[OpCost]: ...

    def __getitem__(self, index: int | slice) -> OpCost | Sequence[OpCost]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        if place == len(self._at_roofs):
            return self._host
        known, slower = self._at_roofs[place], self._slower[place]
        launched = known.count if known.traffic else 0
        times = slower.cost + _of_overhead(launched * self._launch_s)
        return replace(known, cost=known.cost.predicted(times), waits=slower.waits)


def _of_overhead(seconds: float) -> Cost:
    return Cost(latency_s=seconds, overhead_s=seconds, overhead_bound_s=seconds)


def _estimate(cost: Cost, overhead_s: float, reached: Attained) -> Estimate:
    by_class = {"operators": cost.latency_s, "overhead": overhead_s}
    return Estimate(by_class, reached.low, reached.high, cost + _of_overhead(overhead_s))


def _overhead_s(question: Question, one: Pass, reached: Attained) -> float:
    return one.count * (_launches(question, one) * reached.operator_s + reached.step_s)


def _launches(question: Question, one: Pass) -> int:
    """Return the launches of one execution of a pass."""
    if question.model.traits.traced:
        return launches(program_of(question, one))
    return _launches_of(template_of_pass(question, one)[0])


@cache
def _launches_of(template: Template) -> int:
    return launches(template.program)


def _attained(question: Question) -> Attained:
    return _attained_on(question.hardware)


@cache
def _attained_on(hardware: Hardware) -> Attained:
    return attained(hardware, table(hardware, "step", ""))

"""Predictions by tables: constants fitted to measurements of a device, or of its class.

A device with tables of kernels is priced kernel by kernel. On others a pass is priced at the
shares of the roofs that programs attain; the launches of its operators, and its host, are overhead.
Traced modules, whose operators have no symbols, are priced in the second way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial, reduce
from operator import add
from typing import overload

from memorywall.answer.evaluate import evaluate_ops, price_passes, template_of_pass
from memorywall.answer.over_devices import estimates_over_devices, ops_over_devices
from memorywall.answer.programs import (
    as_a_framework_runs,
    is_by_kernels,
    joined,
    program_of,
    weights_of,
)
from memorywall.catalog.calibrations import host_table, table
from memorywall.core.calibration import Estimate, Prediction
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Table
from memorywall.core.numbers import Number, maximum
from memorywall.core.phase import Pass
from memorywall.core.question import Question
from memorywall.core.results import Cost, OpCost, SplitCost, of_overhead
from memorywall.cost.attained import Attained, attained, launches
from memorywall.cost.calls import COLLECTIVES, calls_of
from memorywall.cost.kernels.step import Weights
from memorywall.cost.template import Template


def predict_by_tables(question: Question) -> Prediction:
    """Return the predicted times of a question, with their interval.

    A framework that launches eagerly issues the next kernel while the device works: the longer of
    the two is the time, and where the host takes longer, the device waits.
    """
    eager = question.counting.launch == "eager"
    run = as_a_framework_runs(question) if eager else question
    parts = _by_kernels(run) if is_by_kernels(run) else _by_roofs(run)
    if eager:
        parts = [
            _launched(part, _host_s(run, one)) for part, one in zip(parts, run.passes, strict=True)
        ]
    return Prediction(parts[0] if len(parts) == 1 else reduce(add, parts), tuple(parts))


def _launched(part: Estimate, host_s: float) -> Estimate:
    """Return an estimate of a pass whose kernels a host launches one by one in some seconds."""
    waiting = maximum(host_s - part.seconds, 0.0)
    host = host_table()
    late = waiting / (waiting + part.seconds)
    cost = SplitCost(part.cost.latency_s + waiting, lambda: part.cost + of_overhead(waiting))
    low, high = (
        (1 - late) * end + late * ours
        for end, ours in ((part.low, host.low), (part.high, host.high))
    )
    return Estimate({**part.by_class, "launches": waiting}, (low, high), cost)


def _host_s(question: Question, one: Pass) -> float:
    """Return the seconds in which a framework's host issues the kernels of a pass."""
    return one.count * _launches(question, one) * host_table().constants["operator_s"]


def predict_ops_by_tables(question: Question, at_roofs: Sequence[OpCost]) -> Sequence[OpCost]:
    """Return every operator's cost with the predicted seconds; the host has a separate row.

    FLOPs, bytes and the times of each resource alone stay those at the roofs.
    """
    if question.counting.launch == "eager":
        return _launched_ops(question)
    return _ops(question, at_roofs)


def _launched_ops(question: Question) -> list[OpCost]:
    """Return the operators as a framework runs them, and a row of what the device waits."""
    run = as_a_framework_runs(question)
    waiting = sum((part.by_class["launches"] for part in predict_by_tables(question).by_pass), 0.0)
    executions = sum(one.count * _launches(run, one) for one in run.passes)
    row = OpCost("launches", "launches", executions, of_overhead(waiting), {}, {})
    return [*_ops(run, evaluate_ops(run)), row]


def _ops(question: Question, at_roofs: Sequence[OpCost]) -> Sequence[OpCost]:
    """Return every operator's cost with the seconds that the device takes."""
    if is_by_kernels(question):
        from memorywall.answer.by_kernels import predicted_ops  # noqa: PLC0415 - it needs NumPy

        if question.hardware.shapes:
            return ops_over_devices(question, partial(_ops, at_roofs=()))
        lookup = _lookup(question.hardware)
        parts = [predicted_ops(question, one, lookup) for one in question.passes]
        if len(parts) == 1:
            return parts[0]
        found: list[OpCost] = []
        for part in parts:
            found = joined(found, list(part))
        return found
    reached = _attained(question.hardware, weights_of(question))
    slower = evaluate_ops(replace(question, hardware=reached.hardware))
    executions = sum(one.count for one in question.passes)
    host = OpCost("host", "host", executions, of_overhead(executions * reached.step_s), {}, {})
    network = sum((_network_s(question, one) for one in question.passes), 0.0)
    return _Predicted(at_roofs, slower, reached.operator_s, host, network)


@cache
def _lookup(hardware: Hardware) -> Callable[[str, str], Table]:
    return cache(partial(table, hardware))


def _by_kernels(question: Question) -> list[Estimate]:
    from memorywall.answer.by_kernels import estimate_pass  # noqa: PLC0415 - it needs NumPy

    if question.hardware.shapes:
        return estimates_over_devices(question, _by_kernels)
    lookup = _lookup(question.hardware)
    return [estimate_pass(question, one, lookup) for one in question.passes]


def _by_roofs(question: Question) -> list[Estimate]:
    reached = _attained(question.hardware, weights_of(question))
    costs = price_passes(question, reached.hardware)
    return [
        _estimate(cost, _overhead_s(question, one, reached), reached, _network_s(question, one))
        for one, cost in zip(question.passes, costs, strict=True)
    ]


def _network_s(question: Question, one: Pass) -> Number:
    """Return the seconds of the collectives of a pass, by the tables of the device's class."""
    if question.layout.devices == 1:
        return 0.0
    from memorywall.cost.plan import Plan  # noqa: PLC0415 - it needs NumPy

    template, point = template_of_pass(question, one)
    calls = [call for call in calls_of(template.program) if call.kernel in COLLECTIVES]
    plan = Plan(calls, question.hardware, _lookup(question.hardware))
    spent = plan.spent(point, one.count if one.grows else 0)
    times = 1 if one.grows else one.count
    return sum((seconds * times for seconds in spent.by_kind.values()), 0.0)


class _Predicted(Sequence[OpCost]):
    """Operators with their predicted seconds, each worked out when it is read."""

    def __init__(
        self,
        at_roofs: Sequence[OpCost],
        slower: Sequence[OpCost],
        launch_s: float,
        host: OpCost,
        network_s: Number,
    ) -> None:
        self._at_roofs, self._slower = at_roofs, slower
        self._launch_s, self._host = launch_s, host
        self._network_s = network_s
        self._exchanges = 0
        if type(network_s) is not float or network_s:
            self._exchanges = sum(op.count for op in at_roofs if op.kind == "collective")

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
        if known.kind == "collective":
            return replace(known, cost=known.cost.predicted(_of_network(
                self._network_s * (known.count / self._exchanges)
            )), waits={})  # fmt: skip
        launched = known.count if known.traffic else 0
        times = slower.cost + of_overhead(launched * self._launch_s)
        return replace(known, cost=known.cost.predicted(times), waits=slower.waits)


def _of_network(seconds: Number) -> Cost:
    return Cost(latency_s=seconds, network_s=seconds, network_bound_s=seconds)


def _estimate(
    cost: Cost, overhead_s: float, reached: Attained, network_s: Number = 0.0
) -> Estimate:
    by_class = {"operators": cost.latency_s, "overhead": overhead_s, "network": network_s}
    whole = SplitCost(
        cost.latency_s + overhead_s + network_s,
        lambda: cost + of_overhead(overhead_s) + _of_network(network_s),
    )
    return Estimate(by_class, (reached.low, reached.high), whole)


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


@cache
def _attained(hardware: Hardware, weights: Weights) -> Attained:
    return attained(hardware, table(hardware, "step", ""), weights)

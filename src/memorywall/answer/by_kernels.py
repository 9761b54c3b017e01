"""Predictions of passes by their kernels, on devices with tables of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial, reduce
from operator import add
from typing import TypeAlias, overload

from memorywall.answer.evaluate import ops_of_pass, template_of_pass
from memorywall.core.calibration import Estimate
from memorywall.core.hardware import Hardware
from memorywall.core.numbers import Number, maximum, minimum
from memorywall.core.phase import Pass
from memorywall.core.question import Question
from memorywall.core.results import Cost, OpCost, SplitCost, of_overhead
from memorywall.cost.calls import Call, calls_of
from memorywall.cost.plan import Lookup, Plan, Spent
from memorywall.cost.template import Template

# Plans of the last questions: some milliseconds to make.
_PLANS: dict[tuple[int, int, str], tuple[Plan, Template, Hardware]] = {}
_MOST_PLANS = 256


def plan_of(template: Template, hardware: Hardware, engine: str, lookup: Lookup) -> Plan:
    """Return the plan of a template on a device, made once."""
    key = id(template), id(hardware), engine
    known = _PLANS.get(key)
    if known is None:
        # With what is known by identity, so that no other object takes its place in memory.
        known = Plan(calls_of(template.program), hardware, lookup), template, hardware
        if len(_PLANS) >= _MOST_PLANS:
            del _PLANS[next(iter(_PLANS))]
        _PLANS[key] = known
    return known[0]


def estimate_pass(question: Question, one: Pass, lookup: Lookup) -> Estimate:
    """Return the predicted time of a pass over all of its executions."""
    template, point = template_of_pass(question, one)
    plan = plan_of(template, question.hardware, "", lookup)
    spent = plan.spent(point, one.count if one.grows else 0)
    times = 1 if one.grows else one.count
    if times != 1:
        by_kind = {kind: seconds * times for kind, seconds in spent.by_kind.items()}
        spent = Spent(by_kind, spent.host_s * times, spent.total * times)

    def split() -> Cost:
        return reduce(add, (op.cost for op in predicted_ops(question, one, lookup)))

    by_class = {**spent.by_kind, "host": spent.host_s}
    ends = partial(plan.interval, spent, lookup("step", ""))
    return Estimate(by_class, ends, SplitCost(spent.total, split))


def predicted_ops(question: Question, one: Pass, lookup: Lookup) -> Sequence[OpCost]:
    """Return every operator of a pass with its predicted seconds, and a row of the host.

    Those of a grid are worked out when they are read: all at once take gigabytes.
    """
    template, point = template_of_pass(question, one)
    plan = plan_of(template, question.hardware, "", lookup)
    is_grid = bool(question.shape) and one.count == 1
    at_roofs: Sequence[OpCost]
    if is_grid:
        at_roofs = template.price_ops_many(point, question.hardware)
    else:
        at_roofs = ops_of_pass(question, one)
    calls = plan.calls_at(point, one.count if one.grows else 0)
    times = 1 if one.grows else one.count
    host = OpCost("host", "host", one.count, of_overhead(plan.host_s * one.count), {}, {})
    found = _Predicted(at_roofs, calls, times, host)
    return found if is_grid else list(found)


_CallTimes: TypeAlias = "Sequence[tuple[Call, Callable[[], Number], float]]"


class _Predicted(Sequence[OpCost]):
    """Operators with their shares of the seconds of the calls that they are part of."""

    def __init__(
        self, at_roofs: Sequence[OpCost], calls: _CallTimes, times: int, host: OpCost
    ) -> None:
        self._at_roofs, self._times, self._host = at_roofs, times, host
        self._calls = {place: call for call in calls for place in call[0].ops}

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
        known = self._at_roofs[place]
        if place not in self._calls:
            return replace(known, cost=known.cost.predicted(Cost()), waits={})
        call, seconds, launched = self._calls[place]
        ops = [self._at_roofs[other] for other in call.ops]
        return _shared(ops, call.ops.index(place), seconds() * self._times, launched * self._times)


def _shared(ops: Sequence[OpCost], index: int, seconds: Number, launched: Number) -> OpCost:
    """Return an operator with its share of a call's seconds, as their traffic takes at the roofs.

    The launch is overhead; the rest is bound by the resource that binds the call at the roofs. An
    operator that moves nothing has no share.
    """
    op = ops[index]
    if op.kind == "collective":
        times = Cost(latency_s=seconds, network_s=seconds, network_bound_s=seconds)
        return replace(op, cost=op.cost.predicted(times), waits={})
    moving = [each for each in ops if each.traffic]
    if not (op.traffic or (index == 0 and not moving)):
        return replace(op, cost=op.cost.predicted(Cost()), waits={})
    whole = reduce(add, (each.cost for each in ops))
    share: Number = 1.0
    if len(moving) > 1:
        traffic = sum((each.moved_bytes for each in moving), 0.0)
        share = op.moved_bytes / maximum(traffic, 1e-30)
    floor = minimum(seconds, launched) * share
    work = seconds * share - floor
    waiting = work * (whole.memory_s >= whole.compute_s) * bool(op.traffic)
    times = Cost(
        latency_s=seconds * share, waiting_s=waiting, overhead_s=floor, overhead_bound_s=floor
    )
    least = maximum(op.moved_bytes, 1)
    waits = {role: waiting * moved / least for role, moved in op.traffic.items()}
    return replace(op, cost=op.cost.predicted(times), waits=waits)

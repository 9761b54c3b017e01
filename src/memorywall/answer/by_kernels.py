"""Predictions of passes by their kernels, on devices with tables of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial, reduce
from operator import add

from memorywall.answer.evaluate import ops_of_pass, template_of_pass
from memorywall.core.calibration import Estimate
from memorywall.core.hardware import Hardware
from memorywall.core.numbers import Number, maximum, minimum
from memorywall.core.phase import Pass
from memorywall.core.question import Question
from memorywall.core.results import Cost, OpCost, SplitCost, of_overhead
from memorywall.cost.calls import calls_of
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


def predicted_ops(question: Question, one: Pass, lookup: Lookup) -> list[OpCost]:
    """Return every operator of a pass with its predicted seconds, and a row of the host."""
    template, point = template_of_pass(question, one)
    plan = plan_of(template, question.hardware, "", lookup)
    at_roofs = ops_of_pass(question, one)
    found = [replace(op, cost=op.cost.predicted(Cost()), waits={}) for op in at_roofs]
    times = 1 if one.grows else one.count
    for call, seconds, launched in plan.each(point, one.count if one.grows else 0):
        ops = [at_roofs[place] for place in call.ops]
        for place, op in zip(
            call.ops, _shared(ops, seconds * times, launched * times), strict=True
        ):
            found[place] = op
    host = plan.host_s * one.count
    return [*found, OpCost("host", "host", one.count, of_overhead(host), {}, {})]


def _shared(ops: Sequence[OpCost], seconds: Number, launched: Number) -> list[OpCost]:
    """Share the seconds of a call among its operators, as their times at the roofs are.

    The launch is overhead; the rest is bound by the resource that binds the call at the roofs.
    """
    whole = reduce(add, (op.cost for op in ops))
    floor = minimum(seconds, launched)
    is_memory = whole.memory_s >= whole.compute_s
    is_network = whole.network_s > 0
    found = []
    for op in ops:
        share = op.latency_s / maximum(whole.latency_s, 1e-30)
        work = (seconds - floor) * share
        network = work * is_network
        waiting = (work - network) * is_memory
        times = Cost(
            latency_s=seconds * share, waiting_s=waiting, overhead_s=floor * share,
            network_s=op.cost.network_s, network_bound_s=network, overhead_bound_s=floor * share,
        )  # fmt: skip
        least = maximum(op.moved_bytes, 1)
        waits = {role: waiting * moved / least for role, moved in op.traffic.items()}
        found.append(replace(op, cost=op.cost.predicted(times), waits=waits))
    return found

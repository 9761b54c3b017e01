"""An answer in one sentence: what binds, by how much, and what the time is spent on."""

from __future__ import annotations

from memorywall.core.analysis import Analysis
from memorywall.core.units import render

_ROLE_WORDS = {
    "weight": "weights",
    "activation": "activations",
    "kv_cache": "the KV cache",
    "state": "state",
    "gradient": "gradients",
    "optimizer_state": "optimizer states",
}


def verdict(analysis: Analysis) -> str:
    """Return the sentence that a person reads first; the analysis holds no arrays."""
    if analysis.bound == "memory_bound":
        why = _waits(analysis)
    else:
        share = 1 - _share(analysis.cost.waiting_s, analysis.latency_s)
        why = f"{share:.0%} of the time goes to arithmetic that memory keeps up with"
    intensity, ridge = float(analysis.arithmetic_intensity), float(analysis.ridge_point)
    side = "below" if intensity < ridge else "above"
    return (
        f"{str(analysis.bound).replace('_', '-')}: {why}; it does {intensity:.3g} FLOP per byte, "
        f"{side} the {ridge:.3g} where {analysis.hardware} would be balanced."
    )


def _waits(analysis: Analysis) -> str:
    """Say what the time waits on: the traffic of memory-bound operators, by role."""
    waits: dict[str, float] = {}
    for op in analysis.ops:
        if op.bound == "memory_bound" and op.moved_bytes:
            for role, moved in op.traffic.items():
                share = float(op.latency_s) * float(moved) / float(op.moved_bytes)
                waits[role] = waits.get(role, 0.0) + share
    total = float(analysis.latency_s)
    ranked = sorted(waits.items(), key=lambda item: -item[1])
    first, *rest = [(role, seconds / total) for role, seconds in ranked if seconds / total >= 0.005]
    text = f"{first[1]:.0%} of the time waits on {_ROLE_WORDS[first[0]]}"
    others = [f"{share:.0%} on {_ROLE_WORDS[role]}" for role, share in rest]
    return ", ".join([text, *others])


def headline(analysis: Analysis) -> str:
    """Return what was asked and the figure that most want: how long, and how many tokens."""
    workload = analysis.scenario.workload
    per = {
        "prefill": f"prefill of {workload.seq_len} tokens",
        "encode": f"encoding {workload.seq_len} tokens",
        "decode": f"one decode step at {workload.seq_len} positions",
        "generate": f"generating {workload.new_tokens} tokens after {workload.seq_len}",
    }[analysis.phase]
    return (
        f"{analysis.model} on {analysis.hardware}, {per}, batch {workload.batch_size}: "
        f"{render(float(analysis.latency_s), 's')}, {analysis.tokens_per_s:,.4g} tokens/s"
    )


def _share(part: object, whole: object) -> float:
    return float(part) / float(whole)  # type: ignore[arg-type]

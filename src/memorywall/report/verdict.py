"""An answer in one sentence: what binds, by how much, and what the time is spent on."""

from __future__ import annotations

from memorywall.core.analysis import Analysis
from memorywall.core.question import Question
from memorywall.core.units import render, render_number

_WORDS = {
    "weight": "weights",
    "activation": "activations",
    "kv_cache": "the KV cache",
    "state": "state",
    "gradient": "gradients",
    "optimizer_state": "optimizer states",
}


def verdict(analysis: Analysis) -> str:
    """Return the sentence that a person reads first; the analysis holds no arrays."""
    bound = str(analysis.bound)
    waits, works = _waits(analysis), _works(analysis)
    parts = [waits, works] if bound == "memory_bound" else [works, waits]
    return f"{bound.replace('_', '-')}: {', '.join(filter(None, parts))}; {_intensity(analysis)}"


def _waits(analysis: Analysis) -> str:
    """Say what memory-bound operators wait on, the longest first: '87% ... weights, 12% ...'."""
    shares = {r: float(s) for r, s in analysis.time_shares.items() if r in _WORDS and s >= 0.005}
    ranked = sorted(shares.items(), key=lambda item: -item[1])
    texts = [f"{share:.0%} on {_WORDS[role]}" for role, share in ranked]
    if not texts:
        return ""
    first_share, first_role = ranked[0][1], ranked[0][0]
    texts[0] = f"{first_share:.0%} of the time waits on {_WORDS[first_role]}"
    return ", ".join(texts)


def _works(analysis: Analysis) -> str:
    """Say how much of the time is arithmetic, and of which operators."""
    latency = float(analysis.latency_s)
    shares = {
        row.kind: float(row.cost.latency_s - row.cost.waiting_s) / latency
        for row in analysis.by_class()
    }
    total = sum(shares.values())
    if total < 0.005:
        return ""
    kinds = sorted((kind for kind in shares if shares[kind] >= 0.005), key=lambda k: -shares[k])
    listed = ", ".join(f"{kind} {shares[kind]:.0%}" for kind in kinds)
    return f"{total:.0%} of the time is arithmetic ({listed})"


def _intensity(analysis: Analysis) -> str:
    intensity, ridge = float(analysis.arithmetic_intensity), float(analysis.ridge_point)
    below = intensity < ridge
    text = (
        f"it does {render_number(intensity)} FLOP per byte, {'below' if below else 'above'} the "
        f"{render_number(ridge)} where {analysis.hardware} would be balanced"
    )
    if below == (analysis.bound == "memory_bound"):
        return f"{text}."
    other = "above" if below else "below"
    return f"{text}, but most of the time is in operators {other} it."


def headline(analysis: Analysis) -> str:
    """Return the question and the figure that most readers want: the time, and the rate."""
    text = f"{analysis.model} on {analysis.hardware}, {asked(analysis.question)}: "
    text += ", ".join((render(float(analysis.latency_s), "s"), *_rate(analysis)))
    prediction = analysis.prediction
    if prediction is not None:
        low, middle, high = (
            render(float(prediction.seconds * share), "s")
            for share in (prediction.low, 1.0, prediction.high)
        )
        if analysis.question.hardware.kind == "forecast":
            text += f" at the roofs ({low} to {high} on 80 % of the devices that may come)"
        else:
            text += f" at the roofs; {middle} predicted ({low} to {high})"
    if analysis.ttft_s is not None and analysis.tpot_s is not None:
        first, step = (render(float(t), "s") for t in (analysis.ttft_s, analysis.tpot_s))
        text += f" (first token after {first}, then one every {step})"
    return text


def asked(question: Question) -> str:
    """Return the work of a question without arrays, as text."""
    traced = question.model.traits.traced_pass
    if traced is None:
        return f"{question.phase.sentence(question)}, batch {question.batch_size}"
    inputs = ", ".join(traced.inputs) or "no inputs"  # they need not be tokens
    if traced.memory is not None:
        return f"one training step over {inputs}"
    return f"one traced pass ({traced.phase}) over {inputs}"


def _rate(analysis: Analysis) -> list[str]:
    """Return the main rate, where the unit is the model's own."""
    if analysis.question.model.traits.traced_pass is not None:
        return []
    unit, rate = next(iter(analysis.rates.items()))
    return [f"{render_number(float(rate), 4)} {unit}/s"]

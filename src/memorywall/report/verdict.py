"""An answer in sentences: what does not fit, the time, what binds, what the time is spent on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from memorywall.core.numbers import Number, is_true
from memorywall.core.question import Question
from memorywall.core.results import Cost
from memorywall.core.units import render, render_number

if TYPE_CHECKING:
    from memorywall.core.analysis import Analysis

_WORDS = {
    "weight": "weights",
    "activation": "activations",
    "kv_cache": "the KV cache",
    "state": "state",
    "buffer": "constants",
    "gradient": "gradients",
    "optimizer_state": "optimizer states",
}


def sentences(analysis: Analysis) -> str:
    """Return an answer as text: headline and verdict, of a grid its headline."""
    if analysis.question.shape:
        return grid_headline(analysis)
    return f"{headline(analysis)}\n{verdict(analysis)}"


def verdict(analysis: Analysis) -> str:
    """Return what binds, and what the time is spent on; the analysis holds no arrays."""
    bound = str(analysis.bound)
    parts = {
        "memory_bound": _waits(analysis),
        "compute_bound": _spent(analysis, "arithmetic", lambda cost: cost.compute_bound_s),
        "network_bound": _spent(analysis, "network", lambda cost: cost.network_bound_s),
        "overhead_bound": _spent(analysis, "overhead", lambda cost: cost.overhead_bound_s),
    }
    said = [parts.pop(bound), *parts.values()]
    text = f"{bound.replace('_', '-')}: {', '.join(filter(None, said))}; {_intensity(analysis)}"
    return text if analysis.fits else f"capacity-bound; with enough memory it would be {text}"


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


def _spent(analysis: Analysis, what: str, part: Callable[[Cost], Number]) -> str:
    """Say how much of the time one resource binds, and in which operators."""
    latency = float(analysis.latency_s)
    shares = {row.kind: float(part(row.cost)) / latency for row in analysis.by_class()}
    total = sum(shares.values())
    if total < 0.005:
        return ""
    kinds = sorted((kind for kind in shares if shares[kind] >= 0.005), key=lambda k: -shares[k])
    listed = ", ".join(f"{kind} {shares[kind]:.0%}" for kind in kinds)
    return f"{total:.0%} of the time is {what} ({listed})"


def _intensity(analysis: Analysis) -> str:
    intensity, ridge = float(analysis.arithmetic_intensity), float(analysis.ridge_point)
    below = intensity < ridge
    text = (
        f"it does {render_number(intensity)} FLOP per byte, {'below' if below else 'above'} the "
        f"{render_number(ridge)} where {analysis.hardware} would be balanced"
    )
    binds = {"memory_bound": True, "compute_bound": False}.get(str(analysis.bound), below)
    if below == binds:
        return f"{text}."
    other = "above" if below else "below"
    return f"{text}, but most of the time is in operators {other} it."


def headline(analysis: Analysis) -> str:
    """Return the question with its time and rate, after a line that reports a lack of memory.

    Predicted times have their interval, and the bound at the device's roofs beside them; without a
    prediction times are bounds.
    """
    text = f"{analysis.model} on {analysis.hardware}, {asked(analysis.question)}: "
    text += ", ".join(filter(None, (_time(analysis), _rate(analysis))))
    if analysis.is_predicted:
        text += f"; at least {render(float(analysis.bound_s), 's')} at the roofs"
    if analysis.ttft_s is not None and analysis.tpot_s is not None:
        first, step = (_point(analysis, name) for name in ("ttft_s", "tpot_s"))
        text += f" (first token after {first}, each further one after {step})"
    if analysis.serving is not None:
        text += (
            f"; {render_number(float(analysis.tokens_per_s_per_device or 0), 4)} tokens/s a device,"
            f" {render_number(float(analysis.requests_per_s or 0), 3)} requests/s"
        )
    lacking = does_not_fit(analysis) or fits_tightly(analysis)
    return f"{lacking}\n{text}" if lacking else text


def fits_tightly(analysis: Analysis) -> str:
    """Return what an engine adds where a footprint fits without that alone, else ""."""
    found = analysis.in_use
    if found is None or found.answer != "tight":
        return ""
    need, use, budget, has = (
        render(float(size), "byte")
        for size in (found.need, found.in_use, found.budget, found.capacity)
    )
    prefill = ""
    if found.engine_prefill:
        size = render(float(found.engine_prefill), "byte")
        prefill = f" and the prefill ({size} in one piece)"
    return (
        f"TIGHT: needs {need} of {analysis.hardware}'s {has}; in use {use} with the runtime"
        f"{prefill}, and an engine takes {found.reserve.utilisation:.0%}: {budget}"
    )


def does_not_fit(analysis: Analysis) -> str:
    """Return what a footprint needs and a device has where it does not fit, else ""."""
    footprint = analysis.footprint
    if footprint.capacity is None or is_true(analysis.fits):
        return ""
    if not analysis.question.shape:
        need, has = float(footprint.total), float(footprint.capacity)
        return (
            f"DOES NOT FIT: needs {render(need, 'byte')}, {analysis.hardware} has "
            f"{render(has, 'byte')}"
        )
    import numpy as np  # noqa: PLC0415 - there are arrays

    lacking = ~np.asarray(analysis.fits)
    need = float(np.max(np.broadcast_to(footprint.total, lacking.shape)[lacking]))
    has = float(np.max(footprint.capacity))
    return (
        f"{lacking.sum()} of {lacking.size} points DO NOT FIT: they need up to "
        f"{render(need, 'byte')}, {analysis.hardware} has {render(has, 'byte')}"
    )


def grid_headline(analysis: Analysis) -> str:
    """Return the question of a grid, after how many of its points do not fit."""
    text = f"{analysis.model} on {analysis.hardware}, {analysis.phase}"
    if analysis.is_predicted:
        text += f", times predicted{_by(analysis)}"
    elif analysis.time_provenance == "forecast":
        text += ", times at the roofs of a forecast"
    else:
        text += ", times at least and rates at most"
    lacking = does_not_fit(analysis)
    return f"{lacking}\n{text}" if lacking else text


def _time(analysis: Analysis) -> str:
    time = analysis.quantity("latency_s")
    middle = render(float(time.value), "s")
    if time.low is None or time.high is None:
        return f"{time.bound} {middle}"
    ends = f"{render(float(time.low), 's')} to {render(float(time.high), 's')}"
    if analysis.is_predicted:
        return f"{middle} predicted{_by(analysis)} ({ends})"
    return f"{time.bound} {middle} ({ends} on 80 % of the devices that may come)"


def _point(analysis: Analysis, name: str) -> str:
    """Return a time without its interval, as a bound where it is one."""
    time = analysis.quantity(name)
    return f"{time.bound} {render(float(time.value), 's')}".lstrip()


def asked(question: Question) -> str:
    """Return the work of a question without arrays, as text."""
    traced = question.model.traits.traced_pass
    if traced is None:
        alone = "" if question.load is not None else f", batch {question.batch_size}"
        layout = question.layout
        over = f", over {layout.devices} devices ({layout.words})" if layout.devices > 1 else ""
        return f"{question.phase.sentence(question)}{alone}{over}"
    inputs = ", ".join(traced.inputs) or "no inputs"  # they need not be tokens
    if traced.memory is not None:
        return f"one training step over {inputs}"
    return f"one traced pass ({traced.phase}) over {inputs}"


def _rate(analysis: Analysis) -> str:
    """Return the main rate, where the unit is the model's own."""
    if analysis.question.model.traits.traced_pass is not None:
        return ""
    unit, rate = next(iter(analysis.rates.items()))
    text = f"{render_number(float(rate), 4)} {unit}/s"
    return text if analysis.is_predicted else f"at most {text}"


def _by(analysis: Analysis) -> str:
    """Return the source of a prediction where it is not the device's own measurements."""
    return " by class defaults" if analysis.time_provenance == "class default" else ""

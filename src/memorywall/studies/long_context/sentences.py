"""The study of long contexts in sentences, computed from its numbers."""

from __future__ import annotations

import numpy as np

from memorywall.core.units import render, render_number
from memorywall.studies.long_context.findings import Limit, LongContext, LongContexts, Span


def verdict(study: LongContexts) -> str:
    """Return the sentence that a person reads first: who leaves the memory roof, and where."""
    device, ridge = study.hardware, render_number(study.ridge_point)
    first, last = study.contexts[0], study.contexts[-1]
    asked = [model for model in study.models if _within(model.leaves, first)]
    filled = [model for model in study.models if _within(model.leaves_filled, first)]
    return (
        f"Decode on {device} from {first:,} to {last:,} positions: at batch {study.batch_size} "
        f"{_named(asked, study)} the memory roof, which ends at {ridge} FLOP per byte; with as "
        f"many sequences as fit, {_named(filled, study)} it."
    )


def sentence(model: LongContext, study: LongContexts) -> str:
    """Return where one model leaves the memory roof, and why."""
    parts = (_memory(model, study), _at_the_batch(model, study), _in_large_batches(model, study))
    return f"{short(model.model)} ({model.kind}): {' '.join(parts)}"


def short(name: str) -> str:
    """Return a model's name without its owner."""
    return name.rpartition("/")[2]


def where(span: Span | None) -> str:
    """Return contexts as text: ``never``, ``always``, ``to 375``."""
    if span is None:
        return "never"
    if span.last is None:
        return "always" if span.first == 1 else f"from {span.first:,}"
    return f"to {span.last:,}" if span.first == 1 else f"{span.first:,} to {span.last:,}"


def _within(span: Span | None, first: int) -> bool:
    """Return whether any context of the study lies in a span."""
    return span is not None and (span.last is None or span.last >= first)


def _named(models: list[LongContext], study: LongContexts) -> str:
    if not models:
        return "none leaves"
    if len(models) == len(study.models):
        return "all leave"
    return f"only {' and '.join(short(m.model) for m in models)} leave{'s' * (len(models) == 1)}"


def weights_fit(model: LongContext, study: LongContexts) -> bool:
    """Return whether a model's weights alone are within the device's memory."""
    return model.weights <= study.capacity


def _memory(model: LongContext, study: LongContexts) -> str:
    """Say what is kept, and where it passes the weights and the memory."""
    large = "" if weights_fit(model, study) else ", but its weights alone do not fit the memory"
    state = float(np.nanmax(model.steps.state))
    kept = f"{render(state, 'byte')} of state" if state else ""
    if not model.cache_per_token:
        return f"it keeps {kept or 'nothing'} at any context{large}."
    beside = f" beside {kept}" if kept else ""
    if not model.cache_growth:
        most = render(float(np.nanmax(model.steps.cache)), "byte")
        return f"its cache{beside} stops growing at {most}{large}."
    kinds = "cache and state" if state else "cache"
    passes = (
        f"never more {kinds} than weights"
        if model.cache_passes is None
        else f"more {kinds} than weights from {model.cache_passes:,} positions"
    )
    return (
        f"each position keeps {render(model.cache_growth, 'byte')} of cache{beside}; a step moves "
        f"{passes}, and {_full(model, study)}."
    )


def _full(model: LongContext, study: LongContexts) -> str:
    if not weights_fit(model, study):
        return "its weights alone do not fit the memory"
    if model.memory_full is None:
        return "the memory is never full"
    if model.memory_full == 1:
        return "not even one position fits the memory"
    return f"the memory is full at {model.memory_full:,}"


def _at_the_batch(model: LongContext, study: LongContexts) -> str:
    at = f"At batch {study.batch_size} it"
    if model.leaves is not None:
        return f"{at} leaves the memory roof: it is compute-bound {where(model.leaves)}."
    most = render_number(float(np.nanmax(model.steps.arithmetic_intensity)))
    return f"{at} never leaves the memory roof: it does at most {most} FLOP per byte{_why(model)}."


def _why(model: LongContext) -> str:
    """Say how much arithmetic a byte of what is kept brings."""
    brought = (("cache", model.cache_intensity), ("state", model.state_intensity))
    parts = [f"{render_number(flops)} per byte of {what}" for what, flops in brought if flops]
    return f" ({', '.join(parts)})" if parts else ""


def _in_large_batches(model: LongContext, study: LongContexts) -> str:
    filled, ever, limit = model.leaves_filled, model.leaves_ever, _limit(model.limit)
    if ever is None:
        return f"No batch makes it compute-bound: {limit}."
    if filled is None:
        return (
            f"No batch that fits makes it compute-bound; one without end {_would(ever)}: {limit}."
        )
    reach = "" if filled == ever else f", and in a batch without end {_span(ever, study)}"
    return (
        f"With as many sequences as fit it is compute-bound {_span(filled, study)}{reach}: {limit}."
    )


def _would(ever: Span) -> str:
    return "would" if where(ever) == "always" else f"would, {where(ever)} positions"


def _span(span: Span, study: LongContexts) -> str:
    if where(span) == "always":
        return f"at every context to {study.contexts[-1]:,}"
    return f"{where(span)} positions"


def _limit(limit: Limit) -> str:
    """Say what is left of a token once weights cost nothing."""
    traffic = {"cache": limit.cache_s, "state": limit.state_s}
    parts = [f"{render(s, 's')} of its {what}'s traffic" for what, s in traffic.items() if s]
    needs = ", ".join([f"{render(limit.arithmetic_s, 's')} of arithmetic", *parts])
    return (
        f"with weights shared by ever more sequences, a token at {limit.context:,} positions "
        f"still needs {needs}"
    )

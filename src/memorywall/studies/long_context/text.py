"""The study of long contexts as text."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

from memorywall.core.units import render, render_number
from memorywall.report.table import remark
from memorywall.report.wide_table import print_table
from memorywall.studies.long_context.findings import LongContext, LongContexts
from memorywall.studies.long_context.sentences import short, weights_fit, where


def show_long_contexts(study: LongContexts, console: Console) -> None:
    """Print the verdict, each model's sentence, and tables over the context."""
    console.print(study.verdict, style="bold")
    console.print()
    for model in study.models:
        console.print(f"- {model.verdict}")
    console.print()
    _show_models(study, console)
    for title, cell in _TABLES.items():
        _show_table(title.format(batch=study.batch_size), study, cell, console)
    _show_small_print(study, console)


def _show_models(study: LongContexts, console: Console) -> None:
    titles = (
        "model", "kind", "parameters", "weights", "cache a position", "state", "cache > weights",
        "memory full", "prefill: attention > rest", f"compute-bound: batch {study.batch_size}",
        "as many as fit", "any batch",
    )  # fmt: skip
    print_table(console, titles, [_row(model, study) for model in study.models], words=(0, 1))
    console.print()


def _row(model: LongContext, study: LongContexts) -> tuple[str, ...]:
    count, active = (f"{n / 1e9:.2f}e9" for n in (model.parameters, model.active_parameters))
    state = float(model.steps.state[0])
    return (
        short(model.model),
        model.kind,
        count if count == active else f"{active} of {count}",
        render(model.weights, "byte"),
        _growing(model),
        render(state, "byte") if state else "-",
        _position(model.cache_passes),
        _position(model.memory_full) if weights_fit(model, study) else "weights do not fit",
        _position(model.attention_passes),
        *(where(span) for span in (model.leaves, model.leaves_filled, model.leaves_ever)),
    )


def _growing(model: LongContext) -> str:
    if not model.cache_per_token:
        return "-"
    text = render(model.cache_per_token, "byte")
    if model.cache_growth == model.cache_per_token:
        return text
    return f"{text}, then {render(model.cache_growth, 'byte') if model.cache_growth else 'none'}"


def _position(context: int | None) -> str:
    return "never" if context is None else f"{context:,}"


def _moved(model: LongContext, at: int) -> str:
    steps = model.steps
    return f"{render(float(steps.moved_bytes[at]), 'byte')} {steps.cache_share[at]:4.0%}"


def _time(model: LongContext, at: int) -> str:
    return render(float(model.steps.seconds[at]), "s")


def _resident(model: LongContext, at: int) -> str:
    size = render(float(model.steps.resident[at]), "byte")
    return size if model.steps.fits[at] else f"{size} !"


def _filled(model: LongContext, at: int) -> str:
    steps = model.filled
    if not steps.batch[at]:
        return "none fits"
    rate, intensity = float(steps.tokens_per_s[at]), float(steps.arithmetic_intensity[at])
    return f"{steps.batch[at]:,.0f}: {render_number(rate)}/s {render_number(intensity)}"


def _first_token(model: LongContext, at: int) -> str:
    prefills = model.prefills
    return f"{render(float(prefills.seconds[at]), 's')} {prefills.attention_share[at]:4.0%}"


_TABLES: dict[str, Callable[[LongContext, int], str]] = {
    "Bytes a token at batch {batch}, and the share of cache and state": _moved,
    "Time a token at batch {batch}": _time,
    "Memory at batch {batch}": _resident,
    "As many sequences as fit: tokens a second of all, FLOP per byte": _filled,
    "Time to first token, and attention's share of the FLOPs of products and scans": _first_token,
}


def _show_table(
    title: str, study: LongContexts, cell: Callable[[LongContext, int], str], console: Console
) -> None:
    console.print(title, style="bold")
    rows = [
        (
            f"{context:,}",
            *(cell(model, at) + _mark(model, context) for model in study.models),
        )
        for at, context in enumerate(study.contexts)
    ]
    titles = ("context", *(short(model.model) for model in study.models))
    print_table(console, titles, rows, words=())
    console.print()


def _mark(model: LongContext, context: int) -> str:
    return " *" if model.max_positions is not None and context > model.max_positions else "  "


def _show_small_print(study: LongContexts, console: Console) -> None:
    made_for = ", ".join(
        f"{short(model.model)} {model.max_positions:,}"
        for model in study.models
        if model.max_positions is not None and model.max_positions < study.contexts[-1]
    )
    if made_for:
        console.print(f"* past the positions that a model was made for: {made_for}")
    capacity = render(study.capacity, "byte")
    console.print(f"! does not fit the {capacity} of {study.hardware}")
    words = ", ".join(f"{key} {value}" for key, value in study.conventions.items())
    console.print(f"conventions: {words}", style="dim")
    for note in study.notes:
        remark(console, "note:", note)

"""The fit of a model as text: a sentence, and a row a format."""

from __future__ import annotations

from rich.console import Console

from memorywall.core.fit import Fits, FormatFit
from memorywall.core.units import render, render_count
from memorywall.report.table import remark
from memorywall.report.wide_table import print_table


def show_fits(found: Fits, console: Console) -> None:
    """Print the fit, the formats side by side, and the reserve."""
    console.print(fit_sentence(found), style="bold")
    console.print()
    caches = any(one.kv_cache for one in found.formats)
    grows = any(one.longest_context is not None for one in found.formats)
    titles = ("weights", *(("cache",) if caches else ()), "size", "in use", "fits")
    titles += (*(("longest",) if grows else ()), "batch", *(("tokens",) if grows else ()))
    rows = [_row(one, caches=caches, grows=grows) for one in found.formats]
    print_table(console, titles, rows, words=(0, 1, 4) if caches else (0, 3))
    console.print()
    console.print(reserve_sentence(found), style="dim")
    if grows and found.seq_len is not None:
        console.print(
            f"longest: context at batch {found.batch_size}; batch: largest at "
            f"{found.seq_len:,} positions; tokens: positions of cache of all sequences.",
            style="dim",
        )
    for note in found.notes:
        remark(console, "note:", note)


def fit_sentence(found: Fits) -> str:
    """Return the sentence that a person reads first."""
    first, best = found.formats[0], found.best
    at = f"batch {found.batch_size}"
    if found.seq_len is not None:
        at = f"{render_count(found.seq_len, 'position')}, {at}"
    name = f"{found.model} in {first.weights}"
    if first.answer == "yes":
        text = f"YES: {name} fits {found.hardware} at {at}"
    elif first.answer == "tight":
        text = f"TIGHT: {name} alone fits {found.hardware} at {at}, with an engine it does not"
    else:
        text = f"NO: {name} does not fit {found.hardware} at {at}"
    use = f"{_bytes(first.in_use_bytes)} in use of {_bytes(found.budget_bytes)}"
    text = f"{text}, {use}"
    if first.answer == "yes":
        return f"{text}{_ends(first)}."
    if best is None:
        return f"{text}; no format below fits with an engine."
    return f"{text}; in {best.weights} it fits{_ends(best)}."


def _ends(one: FormatFit) -> str:
    if one.longest_context is None:
        return f"; up to batch {one.largest_batch:,}"
    return f"; up to {one.longest_context:,} positions, or up to batch {one.largest_batch:,}"


def reserve_sentence(found: Fits) -> str:
    """Return what an engine keeps, and how a prefill is counted."""
    said = (
        f"An engine takes {found.utilisation:.0%} of the {_bytes(found.capacity_bytes)} that the "
        f"driver reports (--utilisation), {_bytes(found.runtime_bytes)} of it for the runtime"
    )
    if found.formats[0].longest_context is None:
        return f"{said}."
    return f"{said}; prompts are prefilled {found.chunk:,} positions at a time (--chunk)."


def _row(one: FormatFit, *, caches: bool, grows: bool) -> tuple[str, ...]:
    longest = "" if one.longest_context is None else f"{one.longest_context:,}"
    tokens = "-" if one.cache_tokens is None else f"{one.cache_tokens:,}"
    cells = [one.weights, *([one.kv_cache] if caches else []), _bytes(one.weight_bytes)]
    cells += [_bytes(one.in_use_bytes), one.answer, *([longest] if grows else [])]
    return (*cells, f"{one.largest_batch:,}", *([tokens] if grows else []))


def _bytes(number: float) -> str:
    return render(float(number), "byte")

"""Answers as text: the verdict first, then tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from textwrap import fill, wrap
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from memorywall.core.analysis import Analysis
from memorywall.core.model import Model
from memorywall.core.numbers import Array, Number
from memorywall.core.results import Footprint, OpCost
from memorywall.core.units import render, render_number
from memorywall.report.verdict import grid_headline, headline, verdict

# The columns of text that no table or prose exceeds where the terminal is no wider, and those of
# words in a table that is folded.
WIDTH = 80
_NARROWEST = 4
# What the numbers of a table of operators take beside its paths, and the least left for those.
_NUMBERS, _NARROWEST_PATH = 60, 20


def show_analysis(analysis: Analysis, console: Console, *, by_op: bool = False) -> None:
    """Print an analysis without arrays: verdict, costs, footprint, conventions, notes.

    ``by_op`` lists every operator that runs instead of every class of operators. On a measured
    machine the times are the predicted ones.
    """
    for line in headline(analysis).splitlines():
        say(console, line, style="bold")
    say(console, verdict(analysis))
    console.print()
    rows = [row for row in (analysis.ops if by_op else analysis.by_class()) if row.count]
    room = max(_NARROWEST_PATH, console.width - _NUMBERS)
    console.print(_cost_table(analysis, rows, "operator" if by_op else "class", room))
    say(console, _bounds_line(analysis), style="dim")
    console.print()
    say(console, footprint_line(analysis.footprint))
    _print_small_print(analysis, console)


def _bounds_line(analysis: Analysis) -> str:
    """Return the two ends of the roofline, and how much of the device is attained."""
    low, middle, high = (
        render(float(seconds), "s")
        for seconds in (analysis.overlapped_s, analysis.roofline_s, analysis.serial_s)
    )
    roofs = (
        f"at best {low} (all traffic behind arithmetic or the reverse), at worst {high} (one after "
        "the other)"
    )
    if analysis.time_provenance == "calibrated":
        roofs = f"at the roofs {middle}: {roofs}"
    return f"{roofs}; MFU {analysis.mfu:.1%}, MBU {analysis.mbu:.1%}"


def show_grid(analysis: Analysis, console: Console) -> None:
    """Print an analysis over a grid of batch sizes and lengths: one row a point.

    ``capacity`` is the bound of a point that does not fit.
    """
    for line in grid_headline(analysis).splitlines():
        say(console, line, style="bold")
    console.print(_grid_table(analysis))
    _print_small_print(analysis, console)


def _grid_table(analysis: Analysis) -> Table:
    texts: dict[str, Callable[[Any], str]] = {}
    grids: dict[str, Number | Array | str | bool] = {}

    def column(title: str, values: Number | Array | str, text: Callable[[Any], str]) -> None:
        grids[title], texts[title] = values, text

    column("batch", analysis.batch_size, _whole)
    column("seq", analysis.seq_len, _whole)
    if analysis.source_len is not None:
        column("source", analysis.source_len, _whole)
    if analysis.images is not None:
        column("images", analysis.images, _whole)
    if len(grids) == 2:  # a third length takes its place
        column("FLOP/B", analysis.arithmetic_intensity, render_number)
    column("time", analysis.latency_s, _seconds)
    if analysis.latency_low_s is not None and analysis.latency_high_s is not None:
        column("low", analysis.latency_low_s, _seconds)
        column("high", analysis.latency_high_s, _seconds)
    unit, made = next(iter(analysis.rates.items()))
    column(f"{unit}/s", made, lambda rate: render_number(rate, 4))
    if analysis.latency_low_s is None:
        column("MFU", analysis.mfu, _share)
        column("MBU", analysis.mbu, _share)
    column("memory", analysis.footprint.total, lambda size: render(size, "byte"))
    column("bound", analysis.binding, lambda bound: str(bound).removesuffix("_bound"))
    table = columns(tuple(grids), words=0)
    spread = np.broadcast_arrays(*grids.values())
    for point in zip(*(grid.ravel() for grid in spread), strict=True):
        table.add_row(*(text(value) for text, value in zip(texts.values(), point, strict=True)))
    return table


def _whole(number: float) -> str:
    return f"{number:.0f}"


def _seconds(number: float) -> str:
    return render(number, "s")


def _share(number: float) -> str:
    return f"{number:.1%}"


def models_table(models: Iterable[Model], *, in_full: bool = False) -> Table:
    """Return models side by side: one row each, ``in_full`` with class and family below."""
    table = columns(("model", "dtype", "parameters", "positions"), words=2)
    for model in models:
        architecture = model.architecture
        more = f"\n  {architecture.class_name}, family {model.family.name}" if in_full else ""
        table.add_row(
            f"{model.name}{more}",
            architecture.dtype,
            f"{model.parameters:,}",
            "-" if architecture.max_positions is None else f"{architecture.max_positions}",
        )
    return table


def say(console: Console, text: str, style: str = "") -> None:
    """Print prose, wrapped between words at the console's width; a longer word stays whole."""
    console.print(Text(_wrapped(text, console), style), soft_wrap=True)


def remark(console: Console, word: str, text: str) -> None:
    """Print a remark with its first word in yellow: ``note: ...``; text is taken as it is."""
    said = Text(_wrapped(f"{word} {text}", console))
    said.stylize("yellow", 0, len(word))
    console.print(said, soft_wrap=True)


def _wrapped(text: str, console: Console) -> str:
    return fill(text, console.width, break_long_words=False, break_on_hyphens=False)


_ALWAYS = ("weights", "activations")
_PARTS = ("weights", "kv_cache", "state", "gradients", "optimizer_states", "activations")


def footprint_line(footprint: Footprint) -> str:
    """Return what must be resident, against what there is."""
    parts = ", ".join(
        f"{name.replace('_', ' ')} {render(float(getattr(footprint, name)), 'byte')}"
        for name in _PARTS
        if name in _ALWAYS or float(getattr(footprint, name))
    )
    total = render(float(footprint.total), "byte")
    if footprint.capacity is None:
        return f"memory: {total} ({parts}); the device's capacity is not known"
    share = float(footprint.total) / float(footprint.capacity)
    fits = "fits in" if footprint.fits else "DOES NOT FIT in"
    capacity = render(float(footprint.capacity), "byte")
    return f"memory: {total} ({parts}) {fits} {capacity} ({share:.1%})"


def columns(titles: Sequence[str], *, words: int = 1) -> Table:
    """Return an empty table whose first ``words`` columns hold words and the others numbers.

    Where it is wider than the console, words are folded and numbers kept.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for index, title in enumerate(titles):
        is_word = index < words
        table.add_column(
            title, justify="left" if is_word else "right", no_wrap=not is_word, overflow="fold",
            min_width=_NARROWEST if is_word else None,
        )  # fmt: skip
    return table


def _print_small_print(analysis: Analysis, console: Console) -> None:
    silent = _silent(analysis)
    said = ((key, value) for key, value in analysis.conventions.items() if key not in silent)
    words = ", ".join(f"{key} {value}" for key, value in said)
    say(console, f"conventions: {words}", style="dim")
    for note in analysis.notes:
        remark(console, "note:", note)


def _silent(analysis: Analysis) -> set[str]:
    """Return the conventions without effect: of a cache, or of text, where there is none."""
    question = analysis.question
    traits = question.model.traits
    shows_all = traits.causal or traits.traced_pass is not None
    silent = set() if shows_all else {"kv_cache", "causal", "cache_page"}
    if not traits.reads_text and question.counting.logits != "none":
        silent.add("logits")
    return silent


def _cost_table(analysis: Analysis, rows: Sequence[OpCost], what: str, room: int) -> Table:
    """Return rows with their total; operators stand below the first part of their paths."""
    titles = (what, "runs", "FLOPs", "bytes", "FLOP/B", "time", "share", "bound")
    table = columns(titles)
    latency = float(analysis.latency_s)
    block = ""
    for row in rows:
        first, dot, rest = row.name.partition(".")
        if dot and first != block:
            table.add_row(f"{first}:")
        block = first
        _cost_row(table, row, _in_lines(rest or first, room), latency)
    table.add_section()
    total = replace(reduce(add, rows), cost=analysis.cost)  # whose numbers are exact
    _cost_row(table, total, "total", latency)
    return table


def _cost_row(table: Table, row: OpCost, name: str, latency: float) -> None:
    moved, flops = float(row.moved_bytes), float(row.flops)
    table.add_row(
        name,
        f"{row.count}",
        render(flops, "FLOP"),
        render(moved, "byte") if moved else "-",
        render_number(flops / moved) if moved else "-",
        render(float(row.latency_s), "s"),
        f"{float(row.latency_s) / latency:.1%}",
        str(row.bound).removesuffix("_bound") if row.latency_s else "-",
    )


def _in_lines(path: str, room: int) -> str:
    """Break a path behind its dots where it is wider than ``room``."""
    if len(path) <= room:
        return path
    parts = wrap(path.replace(".", ". "), room, subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join(part.replace(". ", ".") for part in parts)

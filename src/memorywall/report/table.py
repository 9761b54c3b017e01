"""Answers as text: the verdict first, then tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from textwrap import fill, wrap
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from memorywall.core.analysis import Analysis
from memorywall.core.model import Model
from memorywall.core.numbers import Array, Number
from memorywall.core.quantities import GROUPS, Quantity
from memorywall.core.results import Footprint, OpCost
from memorywall.core.units import render, render_number
from memorywall.report.verdict import grid_headline, headline, verdict
from memorywall.report.wide_table import print_table

# The width of the numbers in a table of operators, and the least width of its paths.
_NUMBERS, _NARROWEST_PATH = 60, 20


def show_analysis(analysis: Analysis, console: Console, *, by_op: bool = False) -> None:
    """Print an analysis without arrays: verdict, costs, footprint, conventions, notes.

    ``by_op`` lists every operator that runs instead of every class of operators.
    """
    for line in headline(analysis).splitlines():
        say(console, line, style="bold")
    say(console, verdict(analysis))
    console.print()
    _print_costs(analysis, console, by_op=by_op)
    say(console, _bounds_line(analysis), style="dim")
    for quantity in _listed(analysis):
        say(console, f"{_title(quantity)}: {analysis.quantity(quantity.name)}", style="dim")
    console.print()
    say(console, footprint_line(analysis.footprint))
    _print_small_print(analysis, console)


def _bounds_line(analysis: Analysis) -> str:
    """Return the two ends of the roofline, and how much of the device is attained."""
    low, middle, high = (
        render(float(seconds), "s")
        for seconds in (analysis.overlapped_s, analysis.bound_s, analysis.serial_s)
    )
    roofs = (
        f"at best {low} (all traffic behind arithmetic or the reverse), at worst {high} (one after "
        "the other)"
    )
    if analysis.is_predicted:
        roofs = f"at the roofs {middle}: {roofs}"
    return f"{roofs}; MFU {analysis.mfu:.1%}, MBU {analysis.mbu:.1%}"


def _listed(analysis: Analysis) -> list[Quantity]:
    """Return the quantities of an answer that its text lists."""
    listed = (q for q in GROUPS["analysis"] if q.listed and q.holds(analysis))
    return [quantity for quantity in listed if quantity.read(analysis) is not None]


def _title(quantity: Quantity) -> str:
    return quantity.name.replace("_", " ")


def show_grid(analysis: Analysis, console: Console) -> None:
    """Print an analysis over a grid of batch sizes and lengths: one row a point.

    ``capacity`` is the bound of a point that does not fit.
    """
    for line in grid_headline(analysis).splitlines():
        say(console, line, style="bold")
    _print_points(analysis, console)
    _print_small_print(analysis, console)


def _print_points(analysis: Analysis, console: Console) -> None:
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
    keys = len(grids)
    if keys == 2:  # a third length takes its place
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
    for quantity in _listed(analysis):
        column(_title(quantity), quantity.read(analysis), quantity.text)
    column("bound", analysis.binding, lambda bound: str(bound).removesuffix("_bound"))
    import numpy as np  # noqa: PLC0415 - answers of scalars need no NumPy

    spread = np.broadcast_arrays(*grids.values())
    rows = [
        [text(value) for text, value in zip(texts.values(), point, strict=True)]
        for point in zip(*(grid.ravel() for grid in spread), strict=True)
    ]
    print_table(console, tuple(grids), rows, keys=keys, words=())


def _whole(number: float) -> str:
    return f"{number:.0f}"


def _seconds(number: float) -> str:
    return render(number, "s")


def _share(number: float) -> str:
    return f"{number:.1%}"


def show_models(models: Iterable[Model], console: Console, *, in_full: bool = False) -> None:
    """Print models side by side: one row each, ``in_full`` with class and family below."""
    rows = []
    for model in models:
        architecture = model.architecture
        more = f"\n  {architecture.class_name}, family {model.family.name}" if in_full else ""
        if in_full and model.traits.experts:
            more += f"\n  {model.active_parameters / 1e9:.2f}e9 active, without the table of words"
        limit = architecture.max_positions
        rows.append(
            (
                f"{model.name}{more}",
                architecture.dtype,
                f"{model.parameters:,}",
                "-" if limit is None else f"{limit}",
            )
        )
    titles = ("model", "dtype", "parameters", "positions")
    print_table(console, titles, rows, words=(0, 1), sentences=(0,))


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
    """Return the bytes that must be resident, against the capacity."""
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
    """Return an empty table whose first ``words`` columns hold words and the others numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for index, title in enumerate(titles):
        table.add_column(title, justify="left" if index < words else "right", no_wrap=True)
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


def _print_costs(analysis: Analysis, console: Console, *, by_op: bool) -> None:
    """Print rows with their total; operators stand below the first part of their paths."""
    costs = [row for row in (analysis.ops if by_op else analysis.by_class()) if row.count]
    latency = float(analysis.latency_s)
    room = max(_NARROWEST_PATH, console.width - _NUMBERS)
    rows: list[tuple[str, ...] | None] = []
    block = ""
    for cost in costs:
        first, dot, rest = cost.name.partition(".")
        if dot and first != block:
            rows.append((f"{first}:", *[""] * 7))
        block = first
        rows.append(_cost_row(cost, _in_lines(rest or first, room), latency))
    total = replace(reduce(add, costs), cost=analysis.cost)  # whose numbers are exact
    rows += [None, _cost_row(total, "total", latency)]
    what = "operator" if by_op else "class"
    titles = (what, "runs", "FLOPs", "bytes", "FLOP/B", "time", "share", "bound")
    print_table(console, titles, rows)


def _cost_row(row: OpCost, name: str, latency: float) -> tuple[str, ...]:
    moved, flops = float(row.moved_bytes), float(row.flops)
    return (
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

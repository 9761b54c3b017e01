"""Answers as text: the verdict first, then tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from memorywall.core.analysis import Analysis
from memorywall.core.model import Model
from memorywall.core.results import Footprint, OpCost
from memorywall.core.units import render, render_number
from memorywall.report.verdict import headline, verdict


def show_analysis(analysis: Analysis, console: Console, *, by_op: bool = False) -> None:
    """Print an analysis without arrays: verdict, costs, footprint, conventions, notes.

    ``by_op`` lists every operator that runs instead of every class of operators.
    """
    console.print(headline(analysis), style="bold", soft_wrap=True)
    console.print(verdict(analysis), soft_wrap=True)
    console.print()
    rows = [row for row in (analysis.ops if by_op else analysis.by_class()) if row.count]
    console.print(_cost_table(analysis, rows, "operator" if by_op else "class"))
    low, high = float(analysis.overlapped_s), float(analysis.serial_s)
    console.print(
        f"at best {render(low, 's')} (all traffic behind arithmetic or the reverse), at worst "
        f"{render(high, 's')} (one after the other); "
        f"MFU {analysis.mfu:.1%}, MBU {analysis.mbu:.1%}",
        style="dim", soft_wrap=True,
    )  # fmt: skip
    console.print()
    console.print(footprint_line(analysis.footprint), soft_wrap=True)
    _print_small_print(analysis, console)


def show_grid(analysis: Analysis, console: Console) -> None:
    """Print an analysis over a grid of batch sizes and lengths: one row a point."""
    lengths = [("batch", analysis.batch_size), ("seq", analysis.seq_len)]
    if analysis.source_len is not None:
        lengths.append(("source", analysis.source_len))
    if analysis.images is not None:
        lengths.append(("images", analysis.images))
    titles = (title for title, _ in lengths)
    unit, made = next(iter(analysis.rates.items()))
    what = f"{unit}/s"
    table = columns((*titles, "FLOP/B", "time", what, "MFU", "MBU", "memory", "bound"), words=0)
    grids = np.broadcast_arrays(
        *(values for _, values in lengths), analysis.arithmetic_intensity, analysis.latency_s,
        made, analysis.mfu, analysis.mbu, analysis.footprint.total,
        analysis.fits, analysis.bound,
    )  # fmt: skip
    for point in zip(*(grid.ravel() for grid in grids), strict=True):
        intensity, latency, rate, mfu, mbu, memory, fits, bound = point[len(lengths) :]
        table.add_row(
            *(f"{length:.0f}" for length in point[: len(lengths)]),
            render_number(intensity),
            render(latency, "s"),
            render_number(rate, 4),
            f"{mfu:.1%}",
            f"{mbu:.1%}",
            render(memory, "byte") + ("" if fits else " (does not fit)"),
            bound.removesuffix("_bound"),
        )
    title = f"{analysis.model} on {analysis.hardware}, {analysis.phase}"
    console.print(title, style="bold")
    console.print(table)
    _print_small_print(analysis, console)


def models_table(models: Iterable[Model]) -> Table:
    """Return models side by side: one row each."""
    table = columns(("model", "family", "class", "dtype", "parameters", "positions"), words=4)
    for model in models:
        architecture = model.architecture
        table.add_row(
            model.name,
            model.family.name,
            architecture.class_name,
            architecture.dtype,
            f"{model.parameters:,}",
            "-" if architecture.max_positions is None else f"{architecture.max_positions}",
        )
    return table


def remark(console: Console, word: str, text: str) -> None:
    """Print a remark with its first word in yellow: ``note: ...``; text is taken as it is."""
    console.print(Text.assemble((word, "yellow"), " ", text))


_ALWAYS = ("weights", "activations")
_PARTS = ("weights", "kv_cache", "state", "gradients", "optimizer_states", "activations")


def footprint_line(footprint: Footprint) -> str:
    """Return the resident memory and the capacity."""
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
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, title in enumerate(titles):
        table.add_column(title, justify="left" if index < words else "right", no_wrap=True)
    return table


def _print_small_print(analysis: Analysis, console: Console) -> None:
    silent = _silent(analysis)
    said = ((key, value) for key, value in analysis.conventions.items() if key not in silent)
    words = ", ".join(f"{key} {value}" for key, value in said)
    console.print(f"conventions: {words}", style="dim", soft_wrap=True)
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


def _cost_table(analysis: Analysis, rows: Sequence[OpCost], what: str) -> Table:
    titles = (what, "runs", "FLOPs", "bytes", "FLOP/B", "time", "share", "bound")
    table = columns(titles)
    for row in rows:
        _cost_row(table, row, float(analysis.latency_s))
    table.add_section()
    everything = rows[0]
    for row in rows[1:]:
        everything = everything + row
    total = replace(everything, name="total", cost=analysis.cost)
    _cost_row(table, total, float(analysis.latency_s))
    return table


def _cost_row(table: Table, row: OpCost, latency: float) -> None:
    moved, flops = float(row.moved_bytes), float(row.flops)
    table.add_row(
        row.name,
        f"{row.count}",
        render(flops, "FLOP"),
        render(moved, "byte") if moved else "-",
        render_number(flops / moved) if moved else "-",
        render(float(row.latency_s), "s"),
        f"{float(row.latency_s) / latency:.1%}",
        str(row.bound).removesuffix("_bound"),
    )

"""A trace as text: what it does, module by module, and where PyTorch's own traffic goes."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from memorywall.core.numbers import Number
from memorywall.core.traced import Traced
from memorywall.core.units import render, render_number
from memorywall.report.table import columns, remark, say

_MOST_MODULES = 24


def show_traced(
    traced: Traced, excess: Mapping[tuple[str, str], Number], console: Console, *, depth: int
) -> None:
    """Print a trace: totals, modules, what a fused engine would not move, coverage."""
    given = ", ".join(traced.inputs) or "no inputs"
    say(console, f"{traced.name}, {traced.phase} of {given}", style="bold")
    flops, moved = float(traced.flops), float(traced.moved_bytes)
    saved = float(sum(excess.values()))
    say(
        console,
        f"{traced.parameters:,} parameters ({traced.dtype}), {render(flops, 'FLOP')}, "
        f"{render(moved, 'byte')} as PyTorch's operators move them, "
        f"{render(moved - saved, 'byte')} fused",
    )
    console.print()
    console.print(modules(traced, depth))
    if saved:
        console.print()
        console.print(_excess(excess, moved))
    console.print()
    show_coverage(traced, console)


def modules(traced: Traced, depth: int) -> Table:
    """Return FLOPs and bytes by the first parts of modules' paths, most bytes first."""
    table = columns(("module", "FLOPs", "bytes", "FLOP/B", "share of bytes"))
    found = sorted(traced.by_module(depth).items(), key=lambda item: -float(item[1][1]))
    total = float(traced.moved_bytes) or 1.0
    for name, (flops, moved) in found[:_MOST_MODULES]:
        table.add_row(
            name,
            render(float(flops), "FLOP"),
            render(float(moved), "byte"),
            render_number(float(flops) / float(moved)) if moved else "-",
            f"{float(moved) / total:.1%}",
        )
    if len(found) > _MOST_MODULES:
        table.add_row(f"and {len(found) - _MOST_MODULES} more", "", "", "", "")
    return table


def _excess(excess: Mapping[tuple[str, str], Number], moved: float) -> Table:
    table = columns(("moved beyond a fused engine: class", "cause", "bytes", "share"), words=2)
    for (kind, cause), size in sorted(excess.items(), key=lambda item: -float(item[1])):
        table.add_row(
            kind, cause or "reads less", render(float(size), "byte"), f"{float(size) / moved:.1%}"
        )
    return table


def show_coverage(traced: Traced, console: Console) -> None:
    """Print how much has a FLOP formula, what has none, and what else to know."""
    coverage = traced.coverage
    say(
        console,
        f"coverage: {coverage.of_operators:.1%} of {coverage.operators} operators and "
        f"{coverage.of_bytes:.1%} of the bytes have a FLOP formula",
    )
    for unknown in coverage.unknown:
        remark(
            console, "no formula:",
            f"{unknown.op}, {unknown.calls} calls, {render(float(unknown.moved_bytes), 'byte')}, "
            f"first in {unknown.path or 'the module itself'}; its FLOPs are not counted. Give it "
            f"one with @memorywall.formula({unknown.op!r}).",
        )  # fmt: skip
    for note in traced.notes:
        remark(console, "note:", note)

"""The study of two roads as text: a row a pass, then what PyTorch moves beyond, and totals."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from memorywall.core.units import render
from memorywall.report.table import columns


def show_roads(
    found: list[Any], totals: dict[str, Any], failed: dict[str, str], out: Console, *, excess: bool
) -> None:
    """Print a row a pass, on request what PyTorch moves beyond in each, and the totals."""
    _show_table(found, out)
    if excess:
        _show_excess(found, out)
    _show_summary(totals, failed, out)


def _show_table(found: list[Any], out: Console) -> None:
    table = columns(
        ("model", "phase", "FLOPs, weights, cache, state", "bytes more than 2 % apart"), words=4
    )
    for one in found:
        apart = ", ".join(f"{kind} {share:+.1%}" for kind, share in one.outside.items())
        table.add_row(one.model, one.phase, ", ".join(one.unequal) or "equal", apart)
    out.print(table)


def _show_excess(found: list[Any], out: Console) -> None:
    for one in found:
        table = columns((f"{one.model}, {one.phase}: moved beyond", "bytes"))
        for cause, size in one.excess.items():
            table.add_row(cause, render(float(size), "byte"))
        out.print(table)


def _show_summary(totals: dict[str, Any], failed: dict[str, str], out: Console) -> None:
    out.print(f"{totals['equal']} of {totals['models']} models equal to the last digit")
    if totals["pairs"]:
        share = totals["within"] / totals["pairs"]
        out.print(f"{totals['within']} of {totals['pairs']} classes within 2 % ({share:.1%})")
    out.print("moved by PyTorch beyond a fused engine, all passes together:")
    for cause, size in totals["excess"].items():
        out.print(f"  {cause}: {render(float(size), 'byte')}")
    for what, why in failed.items():
        out.print(f"not traced: {what}: {why}", soft_wrap=True)

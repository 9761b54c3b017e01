"""The study of two roads as text: a row a pass, then what PyTorch moves beyond, and totals."""

from __future__ import annotations

from rich.console import Console

from memorywall.core.units import render
from memorywall.report.wide_table import print_table
from memorywall.studies.roads.findings import Roads, Totals


def show_roads(found: Roads, console: Console, *, excess: bool = False) -> None:
    """Print a row a pass, on request what PyTorch moves beyond in each, and the totals."""
    titles = ("model", "phase", "FLOPs, weights, cache, state", "bytes more than 2 % apart")
    rows = [
        (
            one.model,
            one.phase,
            ", ".join(one.unequal) or "equal",
            ", ".join(f"{kind} {share:+.1%}" for kind, share in one.outside.items()),
        )
        for one in found.passes
    ]
    print_table(console, titles, rows, words=(0, 1, 2, 3), sentences=(2, 3))
    for one in found.passes if excess else ():
        causes = [(cause, render(float(size), "byte")) for cause, size in one.excess.items()]
        print_table(console, (f"{one.model}, {one.phase}: moved beyond", "bytes"), causes)
    _show_totals(found.totals, console)
    for what, why in found.failed.items():
        console.print(f"not traced: {what}: {why}")


def _show_totals(totals: Totals, console: Console) -> None:
    console.print(f"{totals.equal} of {totals.models} models equal to the last digit")
    if totals.pairs:
        share = totals.within / totals.pairs
        console.print(f"{totals.within} of {totals.pairs} classes within 2 % ({share:.1%})")
    console.print("moved by PyTorch beyond a fused engine, all passes together:")
    for cause, size in totals.excess.items():
        console.print(f"  {cause}: {render(float(size), 'byte')}")

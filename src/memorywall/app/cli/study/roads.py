"""``memorywall study roads``: configs and traced modules, side by side."""

from __future__ import annotations

from typing import Any

import click

from memorywall.app.cli._shared import console, json_flag, print_json, progress_bar
from memorywall.core.errors import MemoryWallError
from memorywall.core.units import render
from memorywall.report.table import columns


@click.command("roads", short_help="Configs beside transformers' classes, traced.")
@click.argument("models", nargs=-1)
@click.option("--tokens", default=128, show_default=True, help="Positions of a pass.")
@click.option("--excess", is_flag=True, help="Say what PyTorch moves beyond, pass by pass.")
@json_flag
def COMMAND(  # noqa: N802
    models: tuple[str, ...], tokens: int, excess: bool, as_json: bool
) -> None:
    """Compare what a config says of MODELS with transformers' class, traced.

    Equal to the last digit should be FLOPs of products and scans, and bytes of weights, the cache
    and state, class by class; within 2 % fused bytes. By default all of the catalogue but what
    makes images of noise, which takes some minutes. Needs the extra `measure`.

    \b
    Examples:
      memorywall study roads gpt2 llama-3.2-1b
      memorywall study roads --tokens 512 --json
    """
    from memorywall.app.studies.roads import compare, passes, summary  # noqa: PLC0415 - an extra

    found, failed = [], {}
    cases = list(passes(models))
    with progress_bar("tracing") as progress:
        for done, (name, phase) in enumerate(cases):
            try:
                found.append(compare(name, phase, tokens))
            except MemoryWallError as error:
                failed[f"{name}, {phase}"] = error.message
            progress(done + 1, len(cases))
    totals = summary(found)
    if as_json:
        rows = [one.to_dict() for one in found]
        print_json({"tokens": tokens, "rows": rows, "failed": failed, **totals})
        return
    _print_table(found)
    if excess:
        _print_excess(found)
    _print_summary(totals, failed)


def _print_table(found: list[Any]) -> None:
    table = columns(
        ("model", "phase", "FLOPs, weights, cache, state", "bytes more than 2 % apart"), words=4
    )
    for one in found:
        apart = ", ".join(f"{kind} {share:+.1%}" for kind, share in one.outside.items())
        table.add_row(one.model, one.phase, ", ".join(one.unequal) or "equal", apart)
    console().print(table)


def _print_excess(found: list[Any]) -> None:
    for one in found:
        table = columns((f"{one.model}, {one.phase}: moved beyond", "bytes"))
        for cause, size in one.excess.items():
            table.add_row(cause, render(float(size), "byte"))
        console().print(table)


def _print_summary(totals: dict[str, Any], failed: dict[str, str]) -> None:
    out = console()
    out.print(f"{totals['equal']} of {totals['models']} models equal to the last digit")
    if totals["pairs"]:
        share = totals["within"] / totals["pairs"]
        out.print(f"{totals['within']} of {totals['pairs']} classes within 2 % ({share:.1%})")
    out.print("moved by PyTorch beyond a fused engine, all passes together:")
    for cause, size in totals["excess"].items():
        out.print(f"  {cause}: {render(float(size), 'byte')}")
    for what, why in failed.items():
        out.print(f"not traced: {what}: {why}", soft_wrap=True)

"""``memorywall trace``: any PyTorch module, counted without its weights."""

from __future__ import annotations

from typing import Any

import click

from memorywall.app.analyze import analyze
from memorywall.app.cli._shared import console, json_flag, print_json
from memorywall.report.table import show_analysis
from memorywall.report.traced import show_traced


@click.command("trace")
@click.argument("place", metavar="FILE.py:FACTORY")
@click.option(
    "--input", "inputs", multiple=True, metavar="DTYPE[SIZES]",
    help="An input, such as 'int64[1,512]'; once for every argument.",
)  # fmt: skip
@click.option("--on", metavar="DEVICE", help="Price it too: a device's name, or its TOML's path.")
@click.option("--phase", help="encode, prefill or decode.  [default: prefill, or encode]")
@click.option("--seq", "--seq-len", "seq_len", type=int, help="Positions a decode step attends to.")
@click.option("--cache", default="dynamic", show_default=True, help="dynamic or static.")
@click.option("--dtype", metavar="FORMAT", help="Build the module in it.  [default: its own]")
@click.option("--causal", default="half", show_default=True, help="half of the pairs, or full.")
@click.option("--traffic", default="fused", show_default=True, help="fused or unfused, with --on.")
@click.option("--depth", default=3, show_default=True, help="Parts of a module's path to group by.")
@click.option("--ops", is_flag=True, help="List every operator, with --on.")
@json_flag
def COMMAND(  # noqa: N802
    place: str,
    inputs: tuple[str, ...],
    on: str | None,
    traffic: str,
    depth: int,
    ops: bool,
    as_json: bool,
    **words: Any,
) -> None:
    """Count any PyTorch module: FLOPs, bytes, layers, without its weights.

    THIS RUNS THE FILE, and the factory's module, as you would: trace code that you trust. Code that
    came with a downloaded model is refused. The factory takes no argument and returns a
    torch.nn.Module; it is made and run on tensors that have shapes and no memory.

    \b
    Examples:
      memorywall trace model.py:make --input 'float32[8,3,224,224]'
      memorywall trace model.py:make --input 'int64[1,512]' --on h100-sxm --dtype bf16
      memorywall trace llama.py:make --input 'int64[1,1]' --phase decode --seq 2048 --cache static
    """
    from memorywall.app.trace import excess, load_factory, trace  # noqa: PLC0415 - seldom needed

    traced = trace(load_factory(place), *inputs, seq_len=words.pop("seq_len"), **words)
    priced = None if on is None else analyze(traced, on=on, traffic=traffic)
    if as_json:
        record = traced.to_dict()
        print_json(record if priced is None else {**record, "analysis": priced.to_dict()})
        return
    show_traced(traced, excess(traced), console(), depth=depth)
    if priced is not None:
        console().print()
        show_analysis(priced, console(), by_op=ops)

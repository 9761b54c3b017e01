"""``memorywall study long-context``: what decode and prefill cost from 1k to 1M positions."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from memorywall.app.cli._figures import draw_into, figure_option, print_drawn
from memorywall.app.cli._shared import LengthList, console, json_flag, print_json
from memorywall.studies.long_context import computation as study
from memorywall.studies.long_context.figure import draw_long_contexts
from memorywall.studies.long_context.record import long_contexts_record
from memorywall.studies.long_context.text import show_long_contexts

_SCHEMA = "memorywall.study.long-context/1"


@click.command("long-context", short_help="What a token costs from 1k to 1M positions.")
@click.option(
    "--models", metavar="MODEL[,MODEL...]",
    help="Decoders to compare.  [default: one of each kind, of 7 to 9 billion parameters]",
)  # fmt: skip
@click.option("--on", default="h100-sxm", show_default=True, metavar="DEVICE", help="A device.")
@click.option("--batch", "batch_size", default=1, show_default=True, help="Sequences of a step.")
@click.option(
    "--contexts", type=LengthList(),
    help="Positions, in rising order: 4096, or 4k,32k,1M.  [default: 1k, 2k, ... 1M]",
)  # fmt: skip
@click.option("--weights", default="bf16", show_default=True, help="Format of all weights.")
@click.option("--kv-cache", default="bf16", show_default=True, help="Format of the KV cache.")
@click.option("--state", help="Format of recurrent state.  [default: as prescribed]")
@figure_option()
@json_flag
def COMMAND(  # noqa: N802
    models: str | None,
    on: str,
    batch_size: int,
    contexts: list[int] | None,
    weights: str,
    kv_cache: str,
    state: str | None,
    figures: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Follow decode and prefill over the context, and say where each model leaves the memory roof.

    Full attention, grouped queries, latents, a sliding window, hybrids and pure state, side by
    side: bytes and time a token, memory, how many sequences fit and what that does to the roof,
    and time to first token.

    \b
    Examples:
      memorywall study long-context
      memorywall study long-context --on mi300x --batch 16 --figure long-context.svg
      memorywall study long-context --models llama-3.1-8b,zamba2-7b --contexts 4k,128k
      memorywall study long-context --kv-cache fp8 --state bf16 --json
    """
    found = study.long_contexts(
        study.MODELS if models is None else [name.strip() for name in models.split(",")],
        on=on,
        batch_size=batch_size,
        contexts=contexts or study.CONTEXTS,
        weights=weights,
        kv_cache=kv_cache,
        state=state,
    )
    line = draw_into(figures, partial(draw_long_contexts, found))
    if as_json:
        print_json({"schema": _SCHEMA, **long_contexts_record(found)})
        return
    out = console()
    show_long_contexts(found, out)
    print_drawn(line, out)

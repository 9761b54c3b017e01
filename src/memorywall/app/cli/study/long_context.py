"""``memorywall study long-context``: what decode and prefill cost from 1k to 1M positions."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from memorywall.app.cli._command import command
from memorywall.app.cli._figures import draw_into, figure_option, print_drawn
from memorywall.app.cli._options import DEVICE, FORMAT, MODELS, count, counts, names
from memorywall.app.cli._shared import console, json_flag, print_json
from memorywall.studies.long_context import computation as study
from memorywall.studies.long_context.figure import draw_long_contexts
from memorywall.studies.long_context.record import long_contexts_record
from memorywall.studies.long_context.text import show_long_contexts

_SCHEMA = "memorywall.study.long-context/1"


@command("long-context", "Learn", "What a token costs from 1k to 1M positions.")
@names(
    "--models",
    words=MODELS,
    help="Decoders to compare.  [default: one of each kind, of 7 to 9 billion parameters]",
)
@click.option("--on", type=DEVICE, default="h100-sxm", show_default=True, help="One device.")
@count(
    "--batch", "--batch-size", "batch_size", default="1", show_default=True,
    help="Sequences of a step.",
)  # fmt: skip
@counts("--contexts", length=True, help="Positions, in rising order.  [default: 1k, 2k, ... 1M]")
@click.option(
    "--weights", type=FORMAT, default="bf16", show_default=True, help="Format of all weights."
)
@click.option(
    "--kv-cache", type=FORMAT, default="bf16", show_default=True, help="Format of the KV cache."
)
@click.option("--state", type=FORMAT, help="Format of recurrent state.  [default: as prescribed]")
@figure_option()
@json_flag
def COMMAND(  # noqa: N802
    models: list[str],
    on: str,
    batch_size: int,
    contexts: list[int],
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
        models or study.MODELS,
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

"""``memorywall study roads``: configs and traced modules, side by side."""

from __future__ import annotations

import click

from memorywall.app.cli._command import command
from memorywall.app.cli._options import MODEL, count
from memorywall.app.cli._shared import console, json_flag, print_json, progress_bar
from memorywall.core.errors import InvalidInputError, MemoryWallError
from memorywall.studies.roads.text import show_roads


@command("roads", "Learn", "Configs beside transformers' classes, traced.")
@click.argument("models", nargs=-1, type=MODEL)
@count("--tokens", length=True, default="128", show_default=True, help="Positions of a pass.")
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
    if excess and as_json:
        raise InvalidInputError(
            "--excess conflicts with --json, which holds it always.", "Leave --excess out."
        )
    from memorywall.studies.roads.computation import compare, passes, summary  # noqa: PLC0415 - an extra

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
    show_roads(found, totals, failed, console(), excess=excess)

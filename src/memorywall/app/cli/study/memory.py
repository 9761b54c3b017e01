"""``memorywall study memory``: the training memory of "AI and Memory Wall"."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from memorywall.app.cli._command import command
from memorywall.app.cli._figures import draw_into, figure_option, print_drawn, refuse_figures
from memorywall.app.cli._shared import console, json_flag, print_json, progress_bar
from memorywall.core.errors import InvalidInputError
from memorywall.report.memory_timeline import draw_timeline
from memorywall.report.training_text import show_training
from memorywall.studies.memory import computation as memory
from memorywall.studies.memory.figure import draw_bars
from memorywall.studies.memory.question import ATTENDING, SOURCES
from memorywall.studies.memory.text import show_bars

_SCHEMA = "memorywall.study.memory/1"
_DEFAULT_FIGURES = ("study-memory.svg", "study-memory.png", "study-memory.pdf")


@command("memory", "Learn", "What training keeps of eight models (Fig. 4).")
@click.option(
    "--attention", type=click.Choice(memory.ATTENTION),
    help="Kernel of the three Transformers: fused, or one that keeps every score.  "
    "[default: sdpa]",
)  # fmt: skip
@click.option(
    "--model", type=click.Choice(tuple(SOURCES)),
    help="One of them, in full: its peak by role and module, and its timeline drawn.",
)  # fmt: skip
@figure_option(default="./study-memory.*")
@click.option("--no-figure", is_flag=True, help="Draw nothing.")
@json_flag
def COMMAND(  # noqa: N802
    attention: str | None,
    model: str | None,
    figures: tuple[Path, ...],
    no_figure: bool,
    as_json: bool,
) -> None:
    """Compute the paper's Fig. 4: what training keeps of eight models, from AlexNet to GPT-2.

    Two steps of each model are traced at the stated batch, input and optimizer, without memory for
    any of them: a minute or so. Features are what PyTorch keeps for the backward pass, the inputs
    apart. Needs the extra 'training'.

    \b
    Examples:
      memorywall study memory
      memorywall study memory --attention eager
      memorywall study memory --model VGG19
      memorywall study memory --json --figure memory.pdf
    """
    refuse_figures(figures, no_figure=no_figure)
    if attention is not None and model is not None and model not in ATTENDING:
        raise InvalidInputError(
            f"--attention requires a model with attention, got {model}.", "Leave --attention out."
        )
    kernel = attention or memory.ATTENTION[0]
    show: Callable[[Console], None]
    if model is not None:
        traced = memory.trace(model, None, kernel)
        record = traced.to_dict()
        draw, show = partial(draw_timeline, traced), partial(show_training, traced)
    else:
        with progress_bar("tracing the models") as progress:
            bars = memory.compare(kernel, progress)
        models = [bar.to_dict() for bar in bars]
        record = {"schema": _SCHEMA, "attention": kernel, "models": models}
        draw, show = partial(draw_bars, bars), partial(show_bars, bars)
    wanted = figures or (() if as_json or no_figure else tuple(map(Path, _DEFAULT_FIGURES)))
    line = draw_into(wanted, draw, must=bool(figures))
    if as_json:
        print_json(record)
        return
    show(console())
    print_drawn(line, console())

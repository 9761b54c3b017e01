"""``memorywall trace``: any PyTorch module, counted without its weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memorywall.answer.analyze import analyze
from memorywall.app.cli._figures import draw_into, figure_option, print_drawn
from memorywall.app.cli._shared import console, json_flag, print_json
from memorywall.core.errors import InvalidInputError
from memorywall.report.table import show_analysis
from memorywall.report.trace_text import show_traced
from memorywall.report.training_text import show_step

if TYPE_CHECKING:
    from memorywall.core.traced import Traced


@click.command("trace", short_help="Count any PyTorch module without its weights.")
@click.argument("place", metavar="FILE.py:FACTORY")
@click.option(
    "--input", "inputs", multiple=True, metavar="[NAME=]DTYPE[SIZES]",
    help="An input, such as 'int64[1,512]' or 'labels=int64[1,512]'; once for every argument.",
)  # fmt: skip
@click.option("--on", metavar="DEVICE", help="Price it too: a device's name, or its TOML's path.")
@click.option("--phase", help="encode, prefill, decode or train.  [default: prefill, or encode]")
@click.option("--seq", "--seq-len", "seq_len", type=int, help="Positions a decode step attends to.")
@click.option(
    "--cache", "caches", multiple=True, metavar="KIND|PATTERN",
    help="dynamic or static; of a module of your own its buffers of keys and values, such as "
    "'*.k_cache' (may be repeated).  [default: dynamic]",
)  # fmt: skip
@click.option("--dtype", metavar="FORMAT", help="Build the module in it.  [default: its own]")
@click.option("--causal", default="half", show_default=True, help="half of the pairs, or full.")
@click.option("--train", is_flag=True, help="As --phase train: forward, backward, optimizer.")
@click.option(
    "--optimizer", default="adamw", show_default=True, help="torch's or pytorch-optimizer's."
)
@click.option(
    "--loss", metavar="FILE.py:FUNCTION",
    help="Of the output.  [default: the output's own, else the sum of its first tensor]",
)  # fmt: skip
@click.option(
    "--autocast", metavar="FORMAT", help="bf16 or fp16, for the forward pass in training."
)
@click.option("--checkpointing", is_flag=True, help="Switch its gradient checkpointing on.")
@click.option("--accumulation", default=1, show_default=True, help="Batches to a training step.")
@click.option("--device", default="cpu", show_default=True, help="Where it would train: cpu, cuda.")
@figure_option("Draw the memory of training over time")
@click.option("--traffic", help="fused or unfused, with --on.  [default: fused]")
@click.option("--depth", default=3, show_default=True, help="Parts of a module's path to group by.")
@click.option("--ops", is_flag=True, help="List every operator, with --on.")
@json_flag
def COMMAND(  # noqa: N802
    place: str,
    inputs: tuple[str, ...],
    on: str | None,
    traffic: str | None,
    depth: int,
    ops: bool,
    as_json: bool,
    figures: tuple[Path, ...],
    caches: tuple[str, ...],
    **words: Any,
) -> None:
    """Count any PyTorch module: FLOPs, bytes, layers, without its weights.

    THIS RUNS THE FILE, and the factory's module, as you would: trace code that you trust. Code that
    downloaded with a model is refused. The factory takes no argument and returns a
    torch.nn.Module; it is made and run on tensors that have shapes and no memory. With --train,
    what training keeps in memory is counted too, and its peak.

    \b
    Examples:
      memorywall trace model.py:make --input 'float32[8,3,224,224]'
      memorywall trace model.py:make --input 'int64[1,512]' --on h100-sxm --dtype bf16
      memorywall trace llama.py:make --input 'int64[1,1]' --phase decode --seq 2048 --cache static
      memorywall trace own.py:make --input 'float32[1,1,64]' --phase decode --seq 2048 \\
        --cache '*.k_cache' --cache '*.v_cache'
      memorywall trace gpt2.py:make --input input_ids='int64[8,1024]' \\
        --input labels='int64[8,1024]' --train --autocast bf16 --checkpointing --figure memory.svg
    """
    from memorywall.answer.trace import excess, load_factory, trace  # noqa: PLC0415 - seldom needed

    if depth < 1:
        raise InvalidInputError(f"--depth must be a whole number from 1, got {depth}.")
    if on is None and (ops or traffic is not None):
        raise InvalidInputError("--ops and --traffic are of prices.", "Add --on DEVICE.")
    words["phase"] = _phase(words.pop("train"), words["phase"], figures)
    if words["loss"] is not None:
        words["loss"] = load_factory(words["loss"])
    if caches:
        words["cache"] = caches[0] if len(caches) == 1 else caches
    unnamed, named = _inputs(inputs)
    traced = trace(load_factory(place), *unnamed, named=named, **words)
    priced = None if on is None else analyze(traced, on=on, traffic=traffic or "fused")
    line = _draw(traced, figures)
    if as_json:
        record = traced.to_dict()
        print_json(record if priced is None else {**record, "analysis": priced.to_dict()})
        return
    show = show_traced if traced.memory is None else show_step
    show(traced, excess(traced), console(), depth=depth)
    if priced is not None:
        console().print()
        show_analysis(priced, console(), by_op=ops)
    print_drawn(line and f"\n{line}", console())


def _phase(train: bool, phase: str | None, figures: tuple[Path, ...]) -> str | None:
    """Return what is asked for by --train or by --phase."""
    if train and phase not in (None, "train"):
        raise InvalidInputError(f"--train and --phase {phase} are two questions.", "Ask for one.")
    phase = "train" if train else phase
    if figures and phase != "train":
        raise InvalidInputError("--figure draws the memory of training.", "Add --train.")
    return phase


def _inputs(texts: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """Return inputs by their place, and those that have a name by it."""
    named = dict(text.split("=", 1) for text in texts if "=" in text)
    return [text for text in texts if "=" not in text], named


def _draw(traced: Traced, figures: tuple[Path, ...]) -> str:
    from memorywall.report.memory_timeline import draw_timeline  # noqa: PLC0415 - seldom needed

    if traced.memory is None:
        return ""
    return draw_into(figures, partial(draw_timeline, traced.memory))

"""``memorywall trace``: any PyTorch module, counted without its weights."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from memorywall.answer.analyze import analyze
from memorywall.app.cli._command import command
from memorywall.app.cli._figures import check_drawable, draw_into, figure_option, print_drawn
from memorywall.app.cli._options import DEVICES, backend, choice, count, names
from memorywall.app.cli._shared import json_flag, page, print_json
from memorywall.core.errors import InvalidInputError, join_words
from memorywall.core.workload import Causal, Traffic
from memorywall.report.table import show_analysis
from memorywall.report.trace_text import show_traced
from memorywall.report.training_text import show_step
from memorywall.report.verdict import does_not_fit

if TYPE_CHECKING:
    from memorywall.core.analysis import Analysis
    from memorywall.core.traced import Traced

_DEPTH = 3
_OF_TRAINING = ("optimizer", "loss", "autocast", "checkpointing", "accumulation", "backend")

_HELP = """Count any PyTorch module: FLOPs, bytes, layers, without its weights.

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


@command("trace", "Ask", "Count any PyTorch module without its weights.", _HELP)
@click.argument("place", metavar="FILE.py:FACTORY")
@click.option(
    "--input", "inputs", multiple=True, metavar="[NAME=]DTYPE[SIZES]",
    help="An input, such as 'int64[1,512]' or 'labels=int64[1,512]'; once for every argument.",
)  # fmt: skip
@names("--on", words=DEVICES, help="Devices to price it on: names, or paths of TOMLs.")
@click.option(
    "--phase", type=choice(("encode", "prefill", "decode", "train")),
    help="Pass to trace.  [default: prefill for transformers' generative models, else encode]",
)  # fmt: skip
@count(
    "--seq", "--seq-len", "seq_len", length=True, help="Positions that a decode step attends to."
)
@click.option(
    "--cache", "caches", multiple=True, metavar="KIND|PATTERN",
    help="dynamic or static; for a custom module its buffers of keys and values, such as "
    "'*.k_cache' (can be repeated).  [default: dynamic]",
)  # fmt: skip
@click.option("--dtype", metavar="FORMAT", help="Build the module in it.  [default: its own]")
@click.option(
    "--causal", type=choice(get_args(Causal)), default="half", show_default=True,
    help="Count causal attention as half (masked pairs skipped) or full.",
)  # fmt: skip
@click.option("--train", is_flag=True, help="As --phase train: forward, backward, optimizer.")
@click.option("--optimizer", help="torch's or pytorch-optimizer's, with --train.  [default: adamw]")
@click.option(
    "--loss", metavar="FILE.py:FUNCTION",
    help="Of the output, with --train.  [default: the loss of the output, else the sum of its "
    "first tensor]",
)  # fmt: skip
@click.option(
    "--autocast", type=choice(("bf16", "fp16")), help="Of the forward pass, with --train."
)
@click.option(
    "--checkpointing", is_flag=True, help="Use the module's gradient checkpointing, with --train."
)
@count("--accumulation", help="Batches of a training step, with --train.  [default: 1]")
@backend("Backend of PyTorch in training, with --train.")
@figure_option("Draw the memory of training over time")
@click.option(
    "--traffic", type=choice(get_args(Traffic)), help="How traffic is counted, with --on.  "
    "[default: fused]",
)  # fmt: skip
@count("--depth", help="Parts of a module's path to group by.  [default: 3]")
@click.option("--ops", is_flag=True, help="List every operator, with --on.")
@json_flag
def COMMAND(  # noqa: N802
    place: str,
    inputs: tuple[str, ...],
    on: list[str],
    phase: str | None,
    train: bool,
    traffic: str | None,
    depth: int | None,
    ops: bool,
    as_json: bool,
    figures: tuple[Path, ...],
    caches: tuple[str, ...],
    **words: Any,
) -> None:
    from memorywall.answer.trace import excess, load_factory, trace  # noqa: PLC0415 - seldom needed

    _refuse_unused(on, ops=ops, traffic=traffic, depth=depth, as_json=as_json)
    if train and phase not in (None, "train"):
        raise InvalidInputError(f"--train conflicts with --phase {phase}.", "Give one of them.")
    given = {name: value for name, value in words.items() if value not in (None, False)}
    if train or phase == "train":
        given["phase"] = "train"
    else:
        _refuse_of_training(given, figures)
        given["phase"] = phase
    if caches:
        given["cache"] = caches[0] if len(caches) == 1 else caches
    unnamed, named = _inputs(inputs)
    check_drawable(figures)
    with redirect_stdout(sys.stderr):  # of the traced file, whose prints are not the answer
        if "loss" in given:
            given["loss"] = load_factory(given["loss"])
        traced = trace(load_factory(place), *unnamed, named=named, **given)
    priced = [analyze(traced, on=device, traffic=traffic) for device in on]
    line = _draw(traced, figures, priced)
    if as_json:
        print_json(_record(traced, priced))
        return
    out = page()
    show = show_traced if traced.memory is None else show_step
    for lacking in filter(None, map(does_not_fit, priced)):  # before any time
        out.print(lacking, style="bold")
    show(traced, excess(traced), out, depth=_DEPTH if depth is None else depth)
    for answer in priced:
        out.print()
        show_analysis(answer, out, by_op=ops)
    print_drawn(line and f"\n{line}", out)


def _refuse_unused(
    on: list[str], *, ops: bool, traffic: str | None, depth: int | None, as_json: bool
) -> None:
    """Refuse options that would change nothing.

    Raises:
        InvalidInputError: an option of prices without a device, or of tables beside a record.
    """
    if depth is not None and depth < 1:
        raise InvalidInputError(f"--depth must be a whole number from 1, got {depth}.")
    if not on and (ops or traffic is not None):
        raise InvalidInputError("--ops and --traffic require --on.", "Add --on DEVICE.")
    if as_json and (ops or depth is not None):
        raise InvalidInputError(
            "--ops and --depth conflict with --json, whose record lists every operator.",
            "Leave them out.",
        )


def _refuse_of_training(given: Mapping[str, Any], figures: tuple[Path, ...]) -> None:
    """Refuse options of training where no training step is traced.

    Raises:
        InvalidInputError: one is given.
    """
    flags = [f"--{name}" for name in _OF_TRAINING if name in given]
    if figures:
        flags.append("--figure")
    if flags:
        verb = "requires" if len(flags) == 1 else "require"
        raise InvalidInputError(f"{join_words(flags)} {verb} --train.", "Add --train.")


def _record(traced: Traced, answers: list[Analysis]) -> dict[str, Any]:
    """Return a trace as a record, with its price where it is asked for on one device or several."""
    record = traced.to_dict()
    priced = [answer.to_dict() for answer in answers]
    if not priced:
        return record
    return {**record, "analysis": priced[0] if len(priced) == 1 else priced}


def _inputs(texts: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """Return inputs by their place, and those that have a name by it."""
    named = dict(text.split("=", 1) for text in texts if "=" in text)
    return [text for text in texts if "=" not in text], named


def _draw(traced: Traced, figures: tuple[Path, ...], priced: list[Analysis]) -> str:
    from memorywall.report.memory_timeline import draw_timeline  # noqa: PLC0415 - seldom needed

    if traced.memory is None:
        return ""
    capacities = [
        (answer.hardware, float(capacity))
        for answer in priced
        if (capacity := answer.footprint.capacity) is not None
    ]
    return draw_into(figures, partial(draw_timeline, traced.memory, capacities))

"""``memorywall analyze``: what a model costs on a device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from memorywall.answer.analyze import analyze
from memorywall.app.cli._command import command
from memorywall.app.cli._options import MODEL, parameters
from memorywall.app.cli._shared import axis, json_flag, load_and_tell, page, print_json
from memorywall.core.errors import InvalidInputError, join_words
from memorywall.core.parameters import PARAMETERS
from memorywall.report.table import show_analysis, show_grid

_HELP = """Say what MODEL costs on a device: time, memory, and which wall binds.

MODEL is a name from `memorywall models`, the path of a config.json, of its folder, of a
safetensors or GGUF file (of which only headers are read), or a hub id. FLOPs and bytes are
counted operator by operator; each operator takes the longer of its arithmetic and its traffic.

\b
Examples:
  memorywall analyze gpt2 --on h100-sxm
  memorywall analyze llama-3.1-8b --on h100-sxm --phase prefill --seq 8192 --ops
  memorywall analyze ./config.json --on ./my-device.toml --weights int4 --json
  memorywall analyze llama-3.1-8b --on h200-sxm --batch 1,8,64 --seq 2k,32k
  memorywall analyze llama-3.1-8b --on h100-sxm,mi300x --phase prefill,decode
  memorywall analyze t5-large --on h100-sxm --phase generate --source 512 --new-tokens 64
  memorywall analyze vit-base-patch16-224 --on h100-sxm --batch 64 --image-size 384
  memorywall analyze llava-1.5-7b-hf --on h100-sxm --phase prefill --images 2 --seq 2048
  memorywall analyze stable-diffusion-3-medium --on h100-sxm --steps 28 --image-size 1024
"""


@command("analyze", "Ask", "Time, memory, and which wall binds.", _HELP)
@click.argument("model", type=MODEL)
@parameters
@click.option("--ops", is_flag=True, help="List every operator.")
@json_flag
def COMMAND(  # noqa: N802 - the constant that the subcommand is found by
    model: str, on: list[str], phase: list[str], ops: bool, as_json: bool, **words: Any
) -> None:
    grid = [name for name in _AXES if len(words[name]) > 1]
    if grid and ops:
        raise InvalidInputError(
            f"--ops conflicts with several values of {join_words(grid)}: it lists the operators of "
            "one point.",
            f"Give one value of {join_words(grid)}.",
        )
    if ops and as_json:
        raise InvalidInputError(
            "--ops conflicts with --json, whose record lists every operator.", "Leave --ops out."
        )
    loaded = load_and_tell(model)
    words |= _axes(words)
    phases: list[str | None] = [*phase] or [None]
    answers = [analyze(loaded, on=device, phase=name, **words) for device in on for name in phases]
    if as_json:
        records = [answer.to_dict() for answer in answers]
        print_json(records if len(records) > 1 else records[0])
        return
    out = page()
    for number, answer in enumerate(answers):
        if number:
            out.print()
        if grid:
            show_grid(answer, out)
        else:
            show_analysis(answer, out, by_op=ops)


_AXES = [parameter.name for parameter in PARAMETERS.values() if parameter.axis]


def _axes(words: Mapping[str, list[int]]) -> dict[str, Any]:
    """Return the numbers of every axis along a separate dimension; None where none is given.

    Batch sizes and lengths are the first two dimensions of every grid.
    """
    dimensions = [name for name in _AXES if words[name] or name in ("batch_size", "seq_len")]
    return {
        name: axis(words[name], dimensions.index(name), len(dimensions)) if words[name] else None
        for name in _AXES
    }

"""``memorywall analyze``: what a model costs on a device."""

from __future__ import annotations

from typing import Any

import click

from memorywall.answer.analyze import analyze
from memorywall.app.cli._shared import (
    Counts,
    Pixels,
    axis,
    json_flag,
    load_and_tell,
    one_of,
    print_json,
    terminal,
)
from memorywall.core.errors import InvalidInputError
from memorywall.core.workload import Causal, Guidance, LatentForm, Logits, Routing, Traffic
from memorywall.report.table import show_analysis, show_grid


@click.command("analyze", short_help="Time, memory, and which wall binds.")
@click.argument("model")
@click.option("--on", required=True, metavar="DEVICE", help="A device's name, or its TOML's path.")
@click.option(
    "--phase", metavar="PHASE",
    help="What the model does.  [default: decode, else what there is]",
)  # fmt: skip
@click.option(
    "--batch", "--batch-size", "batch_size", type=Counts(), help="Sequences.  [default: 1]",
)  # fmt: skip
@click.option(
    "--seq", "--seq-len", "seq_len", type=Counts(),
    help="Positions of each sequence.  [default: 2048, with an encoder 512]",
)  # fmt: skip
@click.option(
    "--source", "--source-len", "source_len", type=Counts(),
    help="Positions of each source, of an encoder-decoder.  [default: as --seq, or the model's]",
)  # fmt: skip
@click.option(
    "--image-size", type=Pixels(),
    help="Pixels of each image, 224 or 448x336.  [default: what the model was made for]",
)  # fmt: skip
@click.option(
    "--images", type=Counts(),
    help="Images of each sequence, of an image-text model.  [default: 1 where they are looked at]",
)  # fmt: skip
@click.option(
    "--steps", type=int,
    help="Denoising steps of a diffusion transformer.  [default: as it is usually run]",
)  # fmt: skip
@click.option(
    "--guidance", metavar=one_of(Guidance),
    help="Whether each step is taken with the prompt and without.  [default: as usually run]",
)  # fmt: skip
@click.option("--new-tokens", type=int, help="Tokens that generate makes.  [default: 128]")
@click.option("--weights", metavar="FORMAT", help="Format of all weights.  [default: as stored]")
@click.option("--activations", metavar="FORMAT", help="Format of activations and arithmetic.")
@click.option("--kv-cache", metavar="FORMAT", help="Format of the KV cache.")
@click.option(
    "--state", metavar="FORMAT",
    help="Format of recurrent state.  [default: as the architecture prescribes]",
)  # fmt: skip
@click.option(
    "--traffic", metavar=one_of(Traffic),
    help="Whether scores stay on chip, and cheap operators ride on their producer.",
)  # fmt: skip
@click.option(
    "--causal", metavar=one_of(Causal),
    help="Pairs of tokens that are counted where a token looks back alone.",
)  # fmt: skip
@click.option("--logits", metavar=one_of(Logits), help="Rows of the head.")
@click.option(
    "--routing", metavar=one_of(Routing),
    help="How tokens spread over experts.",
)  # fmt: skip
@click.option(
    "--mla", metavar=one_of(LatentForm),
    help="Form of latent attention.",
)  # fmt: skip
@click.option(
    "--cache-page", type=int, metavar="N",
    help="Set the cache aside N positions at a time, as an engine does (vLLM: 16), in layers with "
    "a window too.  [default: what the architecture needs]",
)  # fmt: skip
@click.option("--ops", is_flag=True, help="List every operator.")
@json_flag
def COMMAND(  # noqa: N802 - the constant that the subcommand is found by
    batch_size: list[int] | None,
    seq_len: list[int] | None,
    source_len: list[int] | None,
    images: list[int] | None,
    ops: bool,
    as_json: bool,
    **words: Any,
) -> None:
    """Say what MODEL costs on a device: time, memory, and which wall binds.

    MODEL is a name from `memorywall models`, the path of a config.json, of its folder, of a
    safetensors or GGUF file (of which only headers are read), or a hub id. FLOPs and bytes are
    counted operator by operator; each operator takes the longer of its arithmetic and its traffic.

    \b
    Examples:
      memorywall analyze gpt2 --on h100-sxm
      memorywall analyze llama-3.1-8b --on h100-sxm --phase prefill --seq 8192 --ops
      memorywall analyze ./config.json --on ./my-device.toml --weights int4 --json
      memorywall analyze llama-3.1-8b --on h200-sxm --batch 1,8,64 --seq 2048,32768
      memorywall analyze t5-large --on h100-sxm --phase generate --source 512 --new-tokens 64
      memorywall analyze vit-base-patch16-224 --on h100-sxm --batch 64 --image-size 384
      memorywall analyze llava-1.5-7b-hf --on h100-sxm --phase prefill --images 2 --seq 2048
      memorywall analyze stable-diffusion-3-medium --on h100-sxm --steps 28 --image-size 1024
    """
    grid = any(len(sizes or [0]) > 1 for sizes in (batch_size, seq_len, source_len, images))
    if grid and ops:
        raise InvalidInputError(
            "--ops lists the operators of one point.", "Give one --batch, --seq, --source."
        )
    axes = 2 + (source_len is not None) + (images is not None)
    answer = analyze(
        load_and_tell(words.pop("model")),
        batch_size=None if batch_size is None else axis(batch_size, 0, axes),
        seq_len=None if seq_len is None else axis(seq_len, 1, axes),
        source_len=None if source_len is None else axis(source_len, 2, axes),
        images=None if images is None else axis(images, axes - 1, axes),
        **words,
    )
    if as_json:
        print_json(answer.to_dict())
    elif grid:
        show_grid(answer, terminal())
    else:
        show_analysis(answer, terminal(), by_op=ops)

"""``memorywall fit``: whether a model fits a device, and how much of it."""

from __future__ import annotations

import click

from memorywall.answer.fit import CHUNK, fit
from memorywall.app.cli._command import command
from memorywall.app.cli._options import DEVICE, FORMAT, MODEL, count, names
from memorywall.app.cli._shared import json_flag, load_and_tell, page, print_json
from memorywall.report.fit_text import show_fits

_HELP = """Say whether MODEL fits a device in use, in which formats, and how far.

Weights, cache, the prefill that fills it, and the memory that an engine keeps for itself, against
the memory that the driver reports. For each format: the longest context at the batch, the largest
batch at the context, and the positions of cache that fit, as engines print them.

\b
Examples:
  memorywall fit llama-3.1-8b --on rtx-3090
  memorywall fit llama-3.1-70b --on h100-sxm --weights fp8,int4,q4_k_m --seq 8k
  memorywall fit qwen3-30b-a3b --on rtx-4090 --kv-cache q8_0 --batch 4
  memorywall fit gpt-oss-120b --on h100-sxm --utilisation 0.95 --chunk 8192
  memorywall fit ./config.json --on ./my-device.toml --json
"""


@command("fit", "Ask", "Whether a model fits, and how far.", _HELP)
@click.argument("model", type=MODEL)
@click.option("--on", "on", type=DEVICE, required=True, help="The device.")
@count("--batch", "--batch-size", "batch_size", help="Sequences.  [default: 1]")
@count(
    "--seq", "--seq-len", "seq_len", length=True,
    help="Positions of each sequence.  [default: that of analyze]",
)  # fmt: skip
@names(
    "--weights", words=FORMAT,
    help="Formats of the weights to try.  [default: the checkpoint's, 8 bits, Q4_K_M]",
)  # fmt: skip
@click.option("--kv-cache", type=FORMAT, help="Format of the cache.  [default: that of analyze]")
@click.option(
    "--utilisation", "--utilization", "utilisation", type=float, metavar="SHARE",
    help="Share of the memory that the engine takes.  [default: 0.9 on accelerators]",
)  # fmt: skip
@count(
    "--chunk",
    length=True,
    help="Positions that a prefill takes at once.  [default: 8192]",
)
@json_flag
def COMMAND(  # noqa: N802 - the constant that the subcommand is found by
    model: str,
    on: str,
    batch_size: int | None,
    seq_len: int | None,
    weights: list[str],
    kv_cache: str | None,
    utilisation: float | None,
    chunk: int | None,
    as_json: bool,
) -> None:
    found = fit(
        load_and_tell(model), on=on, batch_size=1 if batch_size is None else batch_size,
        seq_len=seq_len, weights=weights, kv_cache=kv_cache, utilisation=utilisation,
        chunk=CHUNK if chunk is None else chunk,
    )  # fmt: skip
    if as_json:
        print_json(found.to_dict())
    else:
        show_fits(found, page())

"""``memorywall profile``: real models on this machine, predicted beside measured."""

from __future__ import annotations

from pathlib import Path

import click

from memorywall.app.cli._command import command
from memorywall.app.cli._figures import check_drawable
from memorywall.app.cli._options import MODEL, backend, choice, counts, names
from memorywall.app.cli._shared import json_flag, page, print_json, stage_bar

_HELP = """Run MODEL here, and show what was predicted beside what was measured.

Weights are random, or those of a local checkpoint: a folder with a config.json and safetensors,
or a GGUF, whose weights are unpacked to the dtype.

The prediction is made and saved before the first pass runs; where this machine was not measured
at that many threads, `memorywall measure --quick` runs first. The stage of each case (loading,
warming, running) is shown on standard error, after an estimate of the whole. Needs the extra
`measure`.

\b
Examples:
  memorywall profile gpt2 --phase prefill,decode --seq 128,512 --threads 1
  memorywall profile gpt2 --phase prefill,decode --seq 64,256 --figure roofline.svg
  memorywall profile bert-large-uncased --dtype fp32,bf16 --batch 1,4 --threads 1,2
  memorywall profile ./my-checkpoint --phase decode
  memorywall profile ./model.gguf --phase decode --dtype bf16
"""


@command("profile", "Measure", "Run a model here, predicted beside measured.", _HELP)
@click.argument("model", type=MODEL)
@names(
    "--phase",
    "phases",
    words=choice(("encode", "prefill", "decode", "generate")),
    help="Phases to run.  [default: prefill and decode for generative models, otherwise encode]",
)
@counts(
    "--batch", "--batch-size", "batch_sizes", default=("1",), show_default=True, help="Sequences."
)
@counts(
    "--seq", "--seq-len", "seq_lens", length=True, default=("128",), show_default=True,
    help="Positions of each sequence.",
)  # fmt: skip
@names(
    "--dtype", "dtypes", words=choice(("fp32", "bf16", "fp16")), default=("fp32",),
    show_default=True, help="Formats of weights and arithmetic.",
)  # fmt: skip
@counts("--threads", help="Threads, each pinned.  [default: every usable core]")
@backend("Backend of PyTorch.", default="cpu")
@click.option(
    "--figure", type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the machine's roofs with the operators under them (.svg, .png or .pdf).",
)  # fmt: skip
@json_flag
def COMMAND(  # noqa: N802
    model: str,
    phases: list[str],
    batch_sizes: list[int],
    seq_lens: list[int],
    dtypes: list[str],
    threads: list[int],
    backend: str,
    figure: Path | None,
    as_json: bool,
) -> None:
    from memorywall.answer.profile import profile  # noqa: PLC0415 - with the extra only
    from memorywall.report.figures import draw_roofline, save  # noqa: PLC0415
    from memorywall.report.measured_machine import show_profile  # noqa: PLC0415

    check_drawable([] if figure is None else [figure])
    with stage_bar("running") as (progress, stage):
        found = profile(
            model,
            phases=phases or None,
            batch_sizes=batch_sizes,
            seq_lens=seq_lens,
            dtypes=dtypes,
            threads=threads or None,
            backend=backend,
            progress=progress,
            stage=stage,
        )
    if figure is not None:
        save(draw_roofline(found), figure)
    if as_json:
        print_json(found.to_dict())
    else:
        show_profile(found, page())

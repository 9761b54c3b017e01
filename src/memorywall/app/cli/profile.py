"""``memorywall profile``: real models on this machine, predicted beside measured."""

from __future__ import annotations

from pathlib import Path

import click

from memorywall.app.cli._shared import Counts, console, json_flag, print_json, progress_bar


@click.command("profile", short_help="Run a model here, predicted beside measured.")
@click.argument("model")
@click.option("--phase", "phases", help="encode, prefill, decode or generate; several with commas.")
@click.option("--batch", "batch_sizes", type=Counts(), default="1", show_default=True)
@click.option("--seq", "seq_lens", type=Counts(), default="128", show_default=True)
@click.option("--dtype", "dtypes", default="fp32", show_default=True, help="fp32, bf16 or fp16.")
@click.option(
    "--threads", type=Counts(), help="Threads, each pinned.  [default: every usable core]"
)
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option(
    "--figure", type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the machine's roofs with the operators under them (.svg, .png or .pdf).",
)  # fmt: skip
@json_flag
def COMMAND(  # noqa: N802
    model: str,
    phases: str | None,
    batch_sizes: list[int],
    seq_lens: list[int],
    dtypes: str,
    threads: list[int] | None,
    device: str,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Run MODEL here, and show what was predicted beside what was measured.

    Weights are random, or those of a local checkpoint: a folder with a config.json and safetensors,
    or a GGUF, whose weights are unpacked to the dtype.

    The prediction is made and saved before the first pass runs; where this machine was not measured
    at that many threads, `memorywall measure --quick` runs first. Needs the extra `measure`.

    \b
    Examples:
      memorywall profile gpt2 --phase prefill,decode --seq 128,512 --threads 1
      memorywall profile gpt2 --phase prefill,decode --seq 64,256 --figure roofline.svg
      memorywall profile bert-large-uncased --dtype fp32,bf16 --batch 1,4 --threads 1,2
      memorywall profile ./my-checkpoint --phase decode
      memorywall profile ./model.gguf --phase decode --dtype bf16
    """
    from memorywall.answer.profile import profile  # noqa: PLC0415 - with the extra only
    from memorywall.report.figures import draw_roofline, save  # noqa: PLC0415
    from memorywall.report.measured_machine import show_profile  # noqa: PLC0415

    with progress_bar("running") as progress:
        record = profile(
            model,
            phases=phases.split(",") if phases else None,
            batch_sizes=batch_sizes,
            seq_lens=seq_lens,
            dtypes=dtypes.split(","),
            threads=threads,
            device=device,
            progress=progress,
        )
    if figure is not None:
        save(draw_roofline(record), figure)
    if as_json:
        print_json(record)
    else:
        show_profile(record, console())

"""``memorywall study paper``: the case study of "AI and Memory Wall"."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from memorywall.app.cli._command import command
from memorywall.app.cli._figures import draw_into, figure_option, print_drawn, refuse_figures
from memorywall.app.cli._options import DEVICES, backend, count, counts, names
from memorywall.app.cli._shared import console, json_flag, print_json, progress_bar
from memorywall.core.errors import InvalidInputError
from memorywall.studies.paper import computation as paper
from memorywall.studies.paper.figure import draw_curves
from memorywall.studies.paper.findings import Latency, LengthCurve
from memorywall.studies.paper.latency_text import show_latencies
from memorywall.studies.paper.record import comparisons_record, latencies_record
from memorywall.studies.paper.text import show_comparisons, show_roofs

_SCHEMA = "memorywall.study.paper/1"
_DEFAULT_FIGURES = ("study-paper.svg", "study-paper.png", "study-paper.pdf")
_DEFAULT_DEVICES = (
    "xeon-gold-6242", "ryzen-9-7950x", "m4-max", "rtx-4090", "v100-sxm-32gb", "a100-sxm-80gb",
    "h100-sxm", "b200-sxm", "mi300x", "tpu-v5p",
)  # fmt: skip


@command("paper", "Learn", 'The case study of "AI and Memory Wall".')
@counts(
    "--batch",
    "--batch-size",
    "batch_sizes",
    help="Also show how GPT-2's decode waits on memory at these batch sizes, by device.",
)
@names(
    "--on", "devices", words=DEVICES, help="Devices for --batch.  [default: ten of the catalogue]"
)
@count("--seq", "--seq-len", "seq_len", length=True, help="Positions for --batch.  [default: 128]")
@figure_option(default="./study-paper.*")
@click.option(
    "--measured", is_flag=True,
    help="Run the three models here: 128 to 1024 tokens, batch 1 to 16 (about ten minutes).",
)  # fmt: skip
@click.option("--quick", is_flag=True, help="With --measured: 128 and 256 tokens, two minutes.")
@click.option("--full", is_flag=True, help="With --measured: up to 4096 tokens, an hour or more.")
@count("--threads", help="Threads for --measured, pinned.")
@backend("What PyTorch runs on, with --measured.")
@click.option("--no-figure", is_flag=True, help="Draw nothing.")
@json_flag
def COMMAND(  # noqa: N802
    batch_sizes: list[int],
    devices: list[str],
    seq_len: int | None,
    figures: tuple[Path, ...],
    measured: bool,
    quick: bool,
    full: bool,
    threads: int | None,
    backend: str | None,
    no_figure: bool,
    as_json: bool,
) -> None:
    """Compute the survey's Figs 4-6 and 9 and Tables 3, 10 and 11, and draw the four panels.

    BERT-Base, BERT-Large and GPT-2 at 128 to 4096 tokens, 8 bit, batch 1, the blocks only. Latency
    is predicted for the survey's Xeon Gold 6242 from its data sheet, in fp32, relative to
    BERT-Base at 128 tokens. With --measured the models run here instead, predicted first.

    \b
    Examples:
      memorywall study paper
      memorywall study paper --batch 1,4,16,64
      memorywall study paper --batch 1,64 --on h100-sxm --on ./mine.toml --seq 16
      memorywall study paper --measured --quick --threads 1
      memorywall study paper --json --figure paper.pdf
    """
    if not batch_sizes and (devices or seq_len is not None):
        raise InvalidInputError("--on and --seq require --batch.", "Add --batch 1,4,16,64.")
    if not measured and (quick or full or threads is not None or backend is not None):
        raise InvalidInputError(
            "--quick, --full, --threads and --backend require --measured.", "Add --measured."
        )
    if quick and full:
        raise InvalidInputError("--quick conflicts with --full.", "Give one of them.")
    refuse_figures(figures, no_figure=no_figure)
    cells, curves = paper.compare(), paper.curves()
    ran, rows = _run(quick, full, threads, backend or "cpu") if measured else ({}, [])
    curves = _with_measured(curves, rows)
    chosen = devices or _DEFAULT_DEVICES
    roofs = (
        []
        if not batch_sizes
        else paper.roofs(batch_sizes, chosen, 128 if seq_len is None else seq_len)
    )
    wanted = figures or (() if as_json or no_figure else tuple(map(Path, _DEFAULT_FIGURES)))
    line = draw_into(wanted, partial(draw_curves, curves), must=bool(figures))
    if as_json:
        print_json({"schema": _SCHEMA, **comparisons_record(cells, curves, roofs), "here": ran})
        return
    out = console()
    if measured:
        show_latencies(ran, rows, out)
    else:
        show_comparisons(cells, curves, out)
    if roofs:
        show_roofs(roofs, out)
    print_drawn(line, out)


def _run(
    quick: bool, full: bool, threads: int | None, backend: str
) -> tuple[dict[str, Any], list[Latency]]:
    """Run the experiment; return its record, the relative latencies among it, and these."""
    from memorywall.studies.paper import experiment  # noqa: PLC0415 - with the extra only

    grid = "quick" if quick else "full" if full else "default"
    with progress_bar("running the models") as progress:
        ran = experiment.measure(grid, threads=threads, backend=backend, progress=progress)
    rows = experiment.latencies(ran)
    return {**ran, "relative": latencies_record(rows)}, rows


def _with_measured(curves: list[LengthCurve], rows: list[Latency]) -> list[LengthCurve]:
    if not rows:
        return curves
    from memorywall.studies.paper import experiment  # noqa: PLC0415 - with the extra only

    return experiment.with_measured(curves, rows)

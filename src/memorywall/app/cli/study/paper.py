"""``memorywall study paper``: the case study of "AI and Memory Wall"."""

from __future__ import annotations

from pathlib import Path

import click

from memorywall.app.cli._shared import Counts, console, json_flag, print_json, progress_bar
from memorywall.app.studies import paper
from memorywall.core.comparison import Curve
from memorywall.core.errors import InvalidInputError, MissingDependencyError
from memorywall.report.comparison import comparisons_record, show_comparisons, show_roofs
from memorywall.report.figures import draw_curves, save

_SCHEMA = "memorywall.study.paper/1"
_DEFAULT_FIGURES = ("study-paper.svg", "study-paper.png", "study-paper.pdf")
_DEFAULT_DEVICES = (
    "xeon-gold-6242", "ryzen-9-7950x", "m4-max", "rtx-4090", "v100-sxm-32gb", "a100-sxm-80gb",
    "h100-sxm", "b200-sxm", "mi300x", "tpu-v5p",
)  # fmt: skip


def _measured(curves: list[Curve], lengths: list[int] | None, threads: int | None) -> list[Curve]:
    from memorywall.app.studies import measured  # noqa: PLC0415 - with the extra only

    asked = tuple(lengths or measured.LENGTHS)
    known = curves[0].lengths
    if asked != known[: len(asked)]:
        raise InvalidInputError(
            f"--lengths: expected a run of {', '.join(map(str, known))} from the first on, got "
            f"{', '.join(map(str, asked))}.",
            "Such as --lengths 128,256.",
        )
    with progress_bar("running the models") as progress:
        found = measured.measure(asked, threads=threads, progress=progress)
    return measured.with_measured(curves, found)


@click.command("paper")
@click.option(
    "--batch", "batch_sizes", type=Counts(),
    help="Also show how GPT-2's decode waits on memory at these batch sizes, by device.",
)  # fmt: skip
@click.option(
    "--on", "devices", multiple=True, metavar="DEVICE",
    help="Devices for --batch; may be repeated.  [default: ten of the catalogue]",
)  # fmt: skip
@click.option("--seq", "seq_len", type=int, help="Positions for --batch.  [default: 128]")
@click.option(
    "--figure", "figures", multiple=True, type=click.Path(dir_okay=False, path_type=Path),
    help="Where to draw (.svg, .png or .pdf; may be repeated).  [default: ./study-paper.*]",
)  # fmt: skip
@click.option("--measured", is_flag=True, help="Run the three models here too (some minutes).")
@click.option(
    "--lengths", type=Counts(), help="Tokens for --measured.  [default: 128,256,512,1024]"
)
@click.option("--threads", type=int, help="Threads for --measured, pinned.")
@click.option("--no-figure", is_flag=True, help="Draw nothing.")
@json_flag
def COMMAND(  # noqa: N802
    batch_sizes: list[int] | None,
    devices: tuple[str, ...],
    seq_len: int | None,
    figures: tuple[Path, ...],
    measured: bool,
    lengths: list[int] | None,
    threads: int | None,
    no_figure: bool,
    as_json: bool,
) -> None:
    """Compute the survey's Figs 4-6 and 9 and Tables 3, 10 and 11, and draw the four panels.

    BERT-Base, BERT-Large and GPT-2 at 128 to 4096 tokens, 8 bit, batch 1, the blocks only. Latency
    is predicted for the survey's Xeon Gold 6242 from its data sheet, in fp32, relative to
    BERT-Base at 128 tokens.

    \b
    Examples:
      memorywall study paper
      memorywall study paper --batch 1,4,16,64
      memorywall study paper --batch 1,64 --on h100-sxm --on ./mine.toml --seq 16
      memorywall study paper --measured --threads 1 --lengths 128,256
      memorywall study paper --json --figure paper.pdf
    """
    if batch_sizes is None and (devices or seq_len is not None):
        raise InvalidInputError(
            "--on and --seq say more about --batch, which is not given.", "Add --batch 1,4,16,64."
        )
    cells, curves = paper.compare(), paper.curves()
    if measured:
        curves = _measured(curves, lengths, threads)
    chosen = devices or _DEFAULT_DEVICES
    roofs = (
        []
        if batch_sizes is None
        else paper.roofs(batch_sizes, chosen, 128 if seq_len is None else seq_len)
    )
    drawn: list[Path] = []
    wanted = figures or (() if as_json or no_figure else tuple(map(Path, _DEFAULT_FIGURES)))
    missing = ""
    try:
        drawn = [save(draw_curves(curves), path) for path in wanted]
    except MissingDependencyError as error:
        if figures:
            raise
        missing = str(error)
    if as_json:
        print_json({"schema": _SCHEMA, **comparisons_record(cells, curves, roofs)})
        return
    out = console()
    show_comparisons(cells, curves, out)
    if roofs:
        show_roofs(roofs, out)
    where = ", ".join(str(path.resolve()) for path in drawn)
    if drawn or missing:
        out.print(f"Drawn: {where}" if drawn else missing, soft_wrap=True)

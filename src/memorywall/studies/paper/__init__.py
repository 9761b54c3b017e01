"""The case study of "AI and Memory Wall": BERT and GPT-2 beside what it printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from memorywall.core.study import Option, Study, Watch
from memorywall.studies.paper.computation import compare, curves, roofs
from memorywall.studies.paper.figure import draw_curves
from memorywall.studies.paper.findings import CaseStudy
from memorywall.studies.paper.text import show_case_study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DEVICES = (
    "xeon-gold-6242", "ryzen-9-7950x", "m4-max", "rtx-4090", "v100-sxm-32gb", "a100-sxm-80gb",
    "h100-sxm", "b200-sxm", "mi300x", "tpu-v5p",
)  # fmt: skip


def _run(
    *,
    watch: Watch,
    batch_sizes: Sequence[int] = (),
    devices: Sequence[str] = _DEVICES,
    seq_len: int = 128,
    measured: bool = False,
    quick: bool = False,
    long: bool = False,
    threads: int | None = None,
    backend: str = "cpu",
) -> CaseStudy:
    found = CaseStudy(tuple(compare()), tuple(curves()))
    if measured:
        grid = "quick" if quick else "long" if long else "default"
        found = _with_experiment(found, grid, threads, backend, watch)
    if batch_sizes:
        found = replace(found, roofs=tuple(roofs(batch_sizes, devices, seq_len)))
    return found


def _with_experiment(
    found: CaseStudy, grid: str, threads: int | None, backend: str, watch: Watch
) -> CaseStudy:
    from memorywall.studies.paper import experiment  # noqa: PLC0415 - with the extra only

    here = experiment.measure(
        grid, threads=threads, backend=backend, progress=watch.progress, stage=watch.stage
    )
    drawn = experiment.with_measured(found.curves, here.relative)
    return replace(found, curves=tuple(drawn), here=here)


def _draw(found: CaseStudy) -> Figure:
    return draw_curves(found.curves)


STUDY = Study(
    name="paper",
    question='Do our counts agree with the study in "AI and Memory Wall"?',
    about="""The survey's Figs 4-6 and 9 and Tables 3, 10 and 11, compared in five lines.

    BERT-Base, BERT-Large and GPT-2 at 128 to 4096 tokens, 8 bit, batch 1, the blocks only. Latency
    is predicted for the survey's Xeon Gold 6242 from its data sheet, in fp32, relative to
    BERT-Base at 128 tokens. --full prints every number beside the printed one, --figure draws the
    four panels. With --measured the models run here instead, predicted first.""",
    result=CaseStudy,
    run=_run,
    show=show_case_study,
    options=(
        Option(
            "batch_sizes",
            "Also show how GPT-2's decode waits on memory at these batch sizes, by device.",
            "counts", flags=("--batch", "--batch-size"),
        ),
        Option(
            "devices", "Devices for --batch.", "names", "ten of the catalogue", flags=("--on",),
            names="device", requires="batch_sizes",
        ),
        Option(
            "seq_len", "Positions for --batch.", "length", "128", flags=("--seq", "--seq-len"),
            requires="batch_sizes",
        ),
        Option(
            "full", "Print every table, and the reason of each exception.", "flag", text=True,
            conflicts=("measured",),
        ),
        Option(
            "measured",
            "Run the three models here: 128 to 1024 tokens, batch 1 to 16 (about ten minutes).",
            "flag",
        ),
        Option(
            "quick", "128 and 256 tokens, two minutes.", "flag", requires="measured",
            conflicts=("long",),
        ),
        Option("long", "Up to 4096 tokens, an hour or more.", "flag", requires="measured"),
        Option(
            "threads", "Threads, pinned.", "count", "every usable core", requires="measured"
        ),
        Option(
            "backend", "Backend of PyTorch.", "name", "cpu", names="backend",
            requires="measured",
        ),
    ),
    figures={"paper": _draw},
    examples=(
        "", "--full --figure paper.svg", "--batch 1,4,16,64",
        "--batch 1,64 --on h100-sxm --on ./mine.toml --seq 16", "--measured --quick --threads 1",
        "--json --figure paper.pdf",
    ),
    waits="running the models",
)  # fmt: skip

"""``memorywall measure``: this machine's real ceilings."""

from __future__ import annotations

import click

from memorywall.app.cli._command import command
from memorywall.app.cli._options import backend, count
from memorywall.app.cli._shared import json_flag, page, print_json, progress_bar, stage_bar
from memorywall.catalog.measured import check_data_folder
from memorywall.core.errors import InvalidInputError

_HELP = """Measure this machine, so that `--on here` prices models on it.

Memory streams over every cache level, matrix products by dtype, attention, functions, the
latency of memory and the cost of a launch; what the framework takes for itself. The ceilings
are compared with the last measurement's: those that moved are listed with what is known of why.
Needs the extra `measure`.

With --brief, what NumPy's BLAS reaches on one core in fp32: reading from memory, a matrix
product, products with one row. The record is saved; `--on here` stays the last full
measurement.

\b
Examples:
  memorywall measure --brief
  memorywall measure --quick
  memorywall measure --threads 1
  memorywall measure --backend cuda
  memorywall measure --quick --processes 2
  memorywall analyze gpt2 --on here
"""


@command("measure", "Measure", "Measure this machine's ceilings.", _HELP)
@click.option("--quick", is_flag=True, help="Fewer sizes: under a minute in place of under ten.")
@click.option(
    "--brief", is_flag=True,
    help="In NumPy alone, at most 15 seconds, without the extra; a record, and no device.",
)  # fmt: skip
@count("--threads", help="Threads, each pinned.  [default: every usable core]")
@backend("Backend of PyTorch.", default="cpu")
@count(
    "--processes",
    default="1",
    show_default=True,
    help="Processes; with two or more, collectives between them are measured as well (gloo on "
    "cores, NCCL on GPUs).",
)
@json_flag
def COMMAND(  # noqa: N802
    quick: bool, brief: bool, threads: int | None, backend: str, processes: int, as_json: bool
) -> None:
    from memorywall.answer.measure import measure_machine, save  # noqa: PLC0415 - with the extra only
    from memorywall.report.measured_machine import show_machine  # noqa: PLC0415

    check_data_folder()
    if brief:
        if quick or threads not in (None, 1) or backend != "cpu" or processes != 1:
            raise InvalidInputError(
                "--brief measures one thread of the processor: it conflicts with --quick, "
                "--threads, --backend and --processes.",
                "Without them: memorywall measure --brief",
            )
        _measure_briefly(as_json=as_json)
        return
    with stage_bar("measuring") as (progress, stage):
        record = measure_machine(
            quick=quick, threads=threads, backend=backend, processes=processes, progress=progress,
            stage=stage,
        )  # fmt: skip
    saved = save(record)
    if as_json:
        print_json(saved.to_dict())
    else:
        show_machine(record, saved.device, saved.agreement, page())
        page().print(f"Saved: {saved.toml} (--on here) and {saved.record}")


def _measure_briefly(*, as_json: bool) -> None:
    from memorywall.answer.measure import measure_briefly, save_brief  # noqa: PLC0415
    from memorywall.report.measured_machine import show_brief  # noqa: PLC0415

    with progress_bar("measuring briefly") as progress:
        record = measure_briefly(progress)
    path = save_brief(record)
    if as_json:
        print_json({**record.to_dict(), "record": str(path)})
        return
    title = f"{record.machine['cpu']}, 1 thread, {record.machine['library']}"
    show_brief(title, list(record.decode_rates()), record.warnings, page())
    page().print(f"Saved: {path} (not used by --on here)")

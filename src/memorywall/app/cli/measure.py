"""``memorywall measure``: this machine's real ceilings."""

from __future__ import annotations

import click

from memorywall.app.cli._command import command
from memorywall.app.cli._options import backend, count
from memorywall.app.cli._shared import console, json_flag, print_json, progress_bar


@command("measure", "Measure", "Measure this machine's ceilings.")
@click.option("--quick", is_flag=True, help="Fewer sizes: under a minute in place of under ten.")
@count("--threads", help="Threads, each pinned.  [default: every usable core]")
@backend("What PyTorch runs on.", default="cpu")
@count(
    "--processes",
    default="1",
    show_default=True,
    help="Processes; with two or more, collectives between them are measured as well (gloo on "
    "cores, NCCL on GPUs).",
)
@json_flag
def COMMAND(  # noqa: N802
    quick: bool, threads: int | None, backend: str, processes: int, as_json: bool
) -> None:
    """Measure this machine, so that `--on here` prices models on it.

    Memory streams over every cache level, matrix products by dtype, attention, functions, the
    latency of memory and the cost of a launch; what the framework takes for itself. The ceilings
    are compared with the last measurement's: those that moved are listed with what is known of why.
    Needs the extra `measure`.

    \b
    Examples:
      memorywall measure --quick
      memorywall measure --threads 1
      memorywall measure --backend cuda
      memorywall measure --quick --processes 2
      memorywall analyze gpt2 --on here
    """
    from memorywall.answer.measure import measure_machine, save  # noqa: PLC0415 - with the extra only
    from memorywall.report.measured_machine import show_machine  # noqa: PLC0415

    with progress_bar("measuring") as progress:
        record = measure_machine(
            quick=quick, threads=threads, backend=backend, processes=processes, progress=progress
        )
    saved = save(record)
    if as_json:
        print_json(
            {
                **record.to_dict(),
                "hardware": saved.toml,
                "record": saved.record,
                "agreement": saved.agreement,
            }
        )
    else:
        show_machine(record.to_dict(), saved.hardware, saved.agreement, console())
        console().print(f"Saved: {saved.toml} (--on here) and {saved.record}", soft_wrap=True)

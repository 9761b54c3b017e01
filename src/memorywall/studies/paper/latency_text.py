"""The case study run here, as text: published, predicted and measured latency side by side."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rich.console import Console

from memorywall.core.units import render, render_number
from memorywall.report.measured_machine import warn_of_company
from memorywall.report.table import remark
from memorywall.report.wide_table import print_table
from memorywall.studies.paper.findings import Experiment, Latency


def show_latencies(measured: Experiment, console: Console) -> None:
    """Print what the experiment shows, then every run, then what differs from the survey's."""
    rows = measured.relative
    ran = [row for row in rows if row.measured]
    console.print(_verdict(measured, ran), style="bold")
    console.print("\nTimes BERT-Base over the first length; the survey's Fig. 9 at batch 1\n")
    titles = (
        "model", "tokens", "batch", "printed", "predicted", "measured", "predicted", "measured",
        "ratio",
    )  # fmt: skip
    print_table(console, titles, [_row(row) for row in rows], keys=3)
    console.print()
    machine = measured.machine
    warn_of_company(machine, console)
    remark(
        console,
        "differs:",
        f"{measured.hardware} in {measured.dtype} by eager PyTorch "
        f"{machine['libraries']['torch']}, whole models with embedding and head; printed is an "
        "Intel Xeon Gold 6242, whose precision, threads and framework the survey does not give, "
        "blocks only",
    )
    for model, cases in measured.cases.items():
        for case in cases:
            if case.error:
                where = f"{model}, {case.seq_len} tokens, batch {case.batch_size}"
                remark(console, "did not run:", f"{where}: {case.error}")


def _row(row: Latency) -> tuple[str, ...]:
    return (
        row.model,
        str(row.seq_len),
        str(row.batch_size),
        "-" if row.published is None else f"{row.published:g}",
        render_number(row.predicted),
        "-" if row.measured is None else render_number(row.measured),
        render(row.predicted_s, "s"),
        "-" if row.measured_s is None else render(row.measured_s, "s"),
        "-" if row.measured_s is None else f"{row.predicted_s / row.measured_s:.2f}",
    )


def _verdict(measured: Experiment, ran: Sequence[Latency]) -> str:
    generating = next((row for row in ran if row.model == "GPT-2"), None)
    if generating is None or generating.measured is None:
        return f"On {measured.hardware} GPT-2 did not run."
    xeon = generating.published
    survey = "" if xeon is None else f", and the survey's Xeon took {xeon:g}"
    errors = [abs(row.predicted_s / row.measured_s - 1) for row in ran if row.measured_s]
    return (
        f"On {measured.hardware} GPT-2 takes {generating.measured:.0f} times as long to "
        f"generate {generating.seq_len} tokens as BERT-Base to encode them, with like FLOPs; "
        f"{generating.predicted:.0f} times was predicted before it ran{survey}. Predicted seconds "
        f"are off by {statistics.median(errors):.0%} in the middle and {max(errors):.0%} at most."
    )

"""A measured machine, and real models on it, as text."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from memorywall.core.hardware import Hardware
from memorywall.core.units import render
from memorywall.report.table import columns, remark

_BUSY = 0.15


def show_machine(
    record: Mapping[str, Any],
    device: Hardware,
    agreement: Mapping[str, Any] | None,
    console: Console,
) -> None:
    """Print a machine's ceilings, the balance that follows, and what makes them doubtful."""
    ceilings = record["ceilings"]
    read = ceilings["dram"].get("read", 0.0)
    fp32 = ceilings["gemm"].get("fp32", 0.0)
    pages = record["page_size"]
    console.print(
        f"{device.title}: {render(fp32, 'FLOP/s')} in fp32 and "
        f"{render(read, 'byte/s')} from memory, balanced at {fp32 / read:.1f} FLOP per byte",
        style="bold", soft_wrap=True,
    )  # fmt: skip
    if pages:
        console.print(f"streams ran on pages of {render(float(pages), 'byte')}")
    console.print()
    console.print(_ceilings_table(ceilings))
    console.print()
    calibration = device.calibration
    if calibration is not None:
        console.print(
            f"calibrated on {calibration.points} micro-benchmarks; predictions carry "
            f"{calibration.low - 1:+.0%} to {calibration.high - 1:+.0%}",
            style="dim",
        )
    _show_agreement(agreement, console)
    for warning in record["warnings"]:
        remark(console, "warning:", warning)
    for failure in record["failures"]:
        remark(console, "did not run:", failure)


def _ceilings_table(ceilings: Mapping[str, Any]) -> Table:
    table = columns(("ceiling", "rate"))
    for function, rate in ceilings["dram"].items():
        table.add_row(f"memory, {function.replace('_', ', ')}", render(rate, "byte/s"))
    for level, rate in ceilings["caches"].items():
        table.add_row(f"{level}, read", render(rate, "byte/s"))
    for dtype, rate in ceilings["gemm"].items():
        mark = " (no arithmetic of its own here)" if dtype in ceilings["crawling"] else ""
        table.add_row(f"matrix product, {dtype}{mark}", render(rate, "FLOP/s"))
    for dtype, rate in ceilings["gemv"].items():
        table.add_row(f"weights of one row's product, {dtype}", render(rate, "byte/s"))
    for function, rate in ceilings["collectives"].items():
        table.add_row(f"{function.replace('_', ' ')}, bus", render(rate, "byte/s"))
    for nbytes, seconds in ceilings["latency_s"].items():
        table.add_row(f"latency in {render(float(nbytes), 'byte')}", render(seconds, "s"))
    if ceilings["launch_s"]:
        table.add_row("asking for one operator", render(ceilings["launch_s"], "s"))
    if ceilings["launch_graph_s"]:
        table.add_row("replaying it from a graph", render(ceilings["launch_graph_s"], "s"))
    return table


def _show_agreement(agreement: Mapping[str, Any] | None, console: Console) -> None:
    """Print which ceilings moved since the last measurement, and what is known of why."""
    if agreement is None:
        return
    moved, compared = agreement["moved"], agreement["compared"]
    last = f"the measurement of {agreement['created']}"
    if not moved:
        console.print(f"all {compared} ceilings within 5 % of {last}", style="dim")
        return
    listed = ", ".join(f"{path} {move['ratio'] - 1:+.0%}" for path, move in moved.items())
    remark(console, "warning:", f"{len(moved)} of {compared} ceilings moved since {last}: {listed}")
    for reason in agreement["reasons"]:
        remark(console, "because", reason)


def show_profile(record: Mapping[str, Any], console: Console) -> None:
    """Print how good the predictions were, then every case, then time by class."""
    cases = record["cases"]
    ran = [case for case in cases if case["measured_s"]]
    console.print(_profile_verdict(record, ran), style="bold", soft_wrap=True)
    console.print()
    table = columns(
        ("phase", "dtype", "threads", "batch", "seq", "predicted", "from", "to", "measured",
         "ratio", "roof", "MFU", "MBU", "bound"),
        words=2,
    )  # fmt: skip
    for case in cases:
        table.add_row(*_profile_row(case))
    console.print(table)
    console.print()
    _show_classes(ran, console)
    warn_of_company(record["machine"], console)
    for case in cases:
        if case["error"]:
            where = f"{case['phase']}, batch {case['batch_size']}, seq {case['seq_len']}"
            remark(console, "did not run:", f"{where}: {case['error']}")
        if case["over_the_roof"]:
            remark(
                console,
                "warning:",
                f"{case['phase']}, batch {case['batch_size']}: an attained rate is above the "
                "measured ceiling; measure anew: memorywall measure",
            )
    console.print(f"Saved: {record['record']}", soft_wrap=True)


def warn_of_company(machine: Mapping[str, Any], console: Console) -> None:
    """Say that others kept the machine busy when a run began, if they did."""
    busy = machine.get("busy_cores_before")
    if busy is not None and busy > _BUSY:
        remark(
            console,
            "warning:",
            f"Others used {busy:.1f} cores when this began: neither the measurement nor what it is "
            "compared with can be trusted. Run it again on a quiet machine.",
        )


def _profile_verdict(record: Mapping[str, Any], ran: Sequence[Mapping[str, Any]]) -> str:
    if not ran:
        return f"{record['model']}: no case ran"
    errors = [abs(case["ratio"] - 1) for case in ran]
    inside = sum(case["low_s"] <= case["measured_s"] <= case["high_s"] for case in ran)
    return (
        f"{record['model']} on {record['hardware']}: predictions are off by {max(errors):.0%} at "
        f"most and {statistics.median(errors):.0%} in the middle; {inside} of {len(ran)} lie in "
        "their interval"
    )


def _profile_row(case: Mapping[str, Any]) -> tuple[str, ...]:
    measured = case["measured_s"]
    return (
        case["phase"],
        case["dtype"],
        str(case["threads"]),
        str(case["batch_size"]),
        str(case["seq_len"]),
        render(case["predicted_s"], "s"),
        render(case["low_s"], "s"),
        render(case["high_s"], "s"),
        render(measured, "s") if measured else "-",
        f"{case['ratio']:.2f}" if measured else "-",
        render(case["roofline_s"], "s"),
        f"{case['mfu']:.0%}" if measured else "-",
        f"{case['mbu']:.0%}" if measured else "-",
        case["bound"].removesuffix("_bound"),
    )


def _show_classes(ran: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print predicted and measured seconds by class, over all cases."""
    kinds: dict[str, list[float]] = {}
    for case in ran:
        for side, name in enumerate(("predicted_by_class", "measured_by_class")):
            for kind, seconds in case[name].items():
                kinds.setdefault(kind, [0.0, 0.0])[side] += seconds
    if not kinds:
        return
    table = columns(("class, all cases", "predicted", "measured", "ratio"))
    for kind, (predicted, measured) in sorted(kinds.items(), key=lambda item: -item[1][1]):
        ratio = f"{predicted / measured:.2f}" if measured else "-"
        table.add_row(kind, render(predicted, "s"), render(measured, "s"), ratio)
    console.print(table)
    console.print()

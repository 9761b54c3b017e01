"""A measured machine, and real models on it, as text."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console

from memorywall.bench.agreement import Agreement
from memorywall.bench.profiles import Profile, ProfiledCase
from memorywall.bench.samples import Ceilings, MachineRecord
from memorywall.core.calibration import Rate
from memorywall.core.hardware import Hardware
from memorywall.core.units import render, render_count
from memorywall.report.table import remark
from memorywall.report.wide_table import print_table

_BUSY = 0.15


def show_machine(
    record: MachineRecord, device: Hardware, agreement: Agreement | None, console: Console
) -> None:
    """Print a machine's ceilings, the balance that follows, and what makes them doubtful."""
    ceilings = record.ceilings
    read, fp32 = ceilings.dram.get("read", 0.0), ceilings.gemm.get("fp32", 0.0)
    console.print(
        f"{device.title}: {render(fp32, 'FLOP/s')} in fp32 and "
        f"{render(read, 'byte/s')} from memory, balanced at {fp32 / read:.1f} FLOP per byte",
        style="bold",
    )
    if record.page_size:
        console.print(f"streams ran on pages of {render(float(record.page_size), 'byte')}")
    console.print()
    print_table(console, ("ceiling", "rate"), list(_ceilings(ceilings)))
    console.print()
    calibration = device.calibration
    if calibration is not None:
        console.print(
            f"calibrated on {calibration.points} micro-benchmarks; predictions carry "
            f"{calibration.low - 1:+.0%} to {calibration.high - 1:+.0%}",
            style="dim",
        )
    _show_agreement(agreement, console)
    for warning in record.warnings:
        remark(console, "warning:", warning)
    for failure in record.failures:
        remark(console, "did not run:", failure)


def show_brief(
    title: str, rates: Sequence[Rate], warnings: Sequence[str], console: Console
) -> None:
    """Print what a brief measurement found: each rate with its spread, then what is doubtful."""
    console.print(title, style="bold")
    rows = [
        (
            rate.what,
            *(render(value, rate.unit) for value in (rate.median, rate.low, rate.high)),
            str(rate.samples),
        )
        for rate in rates
    ]
    print_table(console, ("rate", "median", "10 %", "90 %", "n"), rows)
    for warning in warnings:
        remark(console, "warning:", warning)


def _ceilings(ceilings: Ceilings) -> Iterator[tuple[str, str]]:
    for function, rate in ceilings.dram.items():
        yield f"memory, {function.replace('_', ', ')}", render(rate, "byte/s")
    for level, rate in ceilings.caches.items():
        yield f"{level}, read", render(rate, "byte/s")
    for dtype, rate in ceilings.gemm.items():
        mark = " (no native arithmetic here)" if dtype in ceilings.crawling else ""
        yield f"matrix product, {dtype}{mark}", render(rate, "FLOP/s")
    for dtype, rate in ceilings.gemv.items():
        yield f"weights of one row's product, {dtype}", render(rate, "byte/s")
    for function, rate in ceilings.collectives.items():
        yield f"{function.replace('_', ' ')}, bus", render(rate, "byte/s")
    for nbytes, seconds in ceilings.latency_s.items():
        yield f"latency in {render(float(nbytes), 'byte')}", render(seconds, "s")
    if ceilings.launch_s:
        yield "asking for one operator", render(ceilings.launch_s, "s")
    if ceilings.launch_graph_s:
        yield "replaying it from a graph", render(ceilings.launch_graph_s, "s")


def _show_agreement(agreement: Agreement | None, console: Console) -> None:
    """Print which ceilings moved since the last measurement, and what is known of why."""
    if agreement is None:
        return
    moved, compared = agreement.moved, agreement.compared
    last = f"the measurement of {agreement.created}"
    if not moved:
        console.print(f"all {compared} ceilings within 5 % of {last}", style="dim")
        return
    listed = ", ".join(f"{path} {move.ratio - 1:+.0%}" for path, move in moved.items())
    remark(console, "warning:", f"{len(moved)} of {compared} ceilings moved since {last}: {listed}")
    for reason in agreement.reasons:
        remark(console, "because", reason)


def show_profile(found: Profile, console: Console) -> None:
    """Print how good the predictions were, then every case, then time by class."""
    console.print(_profile_verdict(found), style="bold")
    console.print()
    common = _common(found.cases)
    if common:
        console.print(f"every case: {', '.join(common.values())}", style="dim")
    asked = [title for title in _ASKED if title not in common]
    titles = (
        *asked, "predicted", "from", "to", "measured", "ratio", "roof", "MFU", "MBU", "bound"
    )  # fmt: skip
    rows = [
        (*(_ASKED[title](case) for title in asked), *_profile_row(case)) for case in found.cases
    ]
    words = [at for at, title in enumerate(asked) if title in ("phase", "dtype")]
    print_table(console, titles, rows, keys=len(asked), words=words)
    console.print()
    _show_classes(found.ran, console)
    warn_of_company(found.machine, console)
    for case in found.cases:
        where = f"{case.phase}, batch {case.batch_size}"
        if case.error:
            remark(console, "did not run:", f"{where}, seq {case.seq_len}: {case.error}")
        if case.over_the_roof:
            remark(
                console,
                "warning:",
                f"{where}: an attained rate is above the measured ceiling; measure again: "
                "memorywall measure",
            )
    console.print(f"Saved: {found.record}")


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


def _profile_verdict(found: Profile) -> str:
    ran = found.ran
    if not ran:
        return f"{found.model}: no case ran"
    errors = [abs(case.ratio - 1) for case in ran if case.ratio]
    inside = sum(case.inside for case in ran)
    return (
        f"{found.model} on {found.hardware}: predictions are off by {max(errors):.0%} at "
        f"most and {statistics.median(errors):.0%} in the middle; {inside} of {len(ran)} lie in "
        "their interval"
    )


# The settings of a case, by the title of their column.
_ASKED: dict[str, Callable[[ProfiledCase], str]] = {
    "phase": lambda case: case.phase,
    "dtype": lambda case: case.dtype,
    "threads": lambda case: str(case.threads),
    "batch": lambda case: str(case.batch_size),
    "seq": lambda case: str(case.seq_len),
}


def _common(cases: Sequence[ProfiledCase]) -> dict[str, str]:
    """Return the dtype and threads that several cases share, as text by title."""
    if len(cases) < 2:
        return {}
    first = cases[0]
    words = {"dtype": first.dtype, "threads": render_count(first.threads, "thread")}
    return {
        title: text
        for title, text in words.items()
        if len({_ASKED[title](case) for case in cases}) == 1
    }


def _profile_row(case: ProfiledCase) -> tuple[str, ...]:
    seconds, ratio, mfu, mbu = case.measured_s, case.ratio, case.mfu, case.mbu
    return (
        render(case.predicted_s, "s"),
        render(case.low_s, "s"),
        render(case.high_s, "s"),
        "-" if seconds is None else render(seconds, "s"),
        "-" if ratio is None else f"{ratio:.2f}",
        render(case.roofline_s, "s"),
        "-" if mfu is None else f"{mfu:.0%}",
        "-" if mbu is None else f"{mbu:.0%}",
        case.bound.removesuffix("_bound"),
    )


def _show_classes(ran: Sequence[ProfiledCase], console: Console) -> None:
    """Print predicted and measured seconds by class, over all cases."""
    kinds: dict[str, list[float]] = {}
    for case in ran:
        for side, by_class in enumerate((case.predicted_by_class, case.measured_by_class)):
            for kind, seconds in by_class.items():
                kinds.setdefault(kind, [0.0, 0.0])[side] += seconds
    if not kinds:
        return
    rows = [
        (
            kind,
            render(predicted, "s"),
            render(measured, "s"),
            f"{predicted / measured:.2f}" if measured else "-",
        )
        for kind, (predicted, measured) in sorted(kinds.items(), key=lambda item: -item[1][1])
    ]
    print_table(console, ("class, all cases", "predicted", "measured", "ratio"), rows)
    console.print()

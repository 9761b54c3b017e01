"""Public measurements beside ours, as text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console

from memorywall.core.units import render_number
from memorywall.report.wide_table import print_table
from memorywall.studies.cases.findings import Case, Cases, Reported

TITLES = ("on", "asked", "reported", "ours", "of it", "source")


def show_cases(cases: Cases, console: Console) -> None:
    """Print how many cases agree, every case, its source, and the misses with their reasons."""
    console.print(verdict(cases), style="bold")
    listed = sources(cases)
    for (model, quantity, unit), group in groupby(cases.cases, _group):
        console.print()
        console.print(f"{model}: {quantity}{f', {unit}' if unit else ''}", style="bold")
        print_table(console, TITLES, [row(one, listed) for one in group], words=(0, 1))
    console.print(
        "\nof it: the deviation of a count that must be equal, else the share of the bound that "
        "the run reached. >= and <= mark bounds; ! marks a miss.\n",
        style="dim",
    )
    for one in cases.misses():
        console.print(miss(one))
    for number, source in enumerate(listed, start=1):
        console.print(f"[{number}] {source}", style="dim")


def _group(one: Case) -> tuple[str, str, str]:
    case = one.case
    return case.model, case.quantity.rpartition(".")[2].replace("_", " "), printed_unit(case)


def printed_unit(case: Reported) -> str:
    """Return the unit of a number as printed."""
    return case.text.partition(" ")[2]


def verdict(cases: Cases) -> str:
    """Return the sentence that a person reads first."""
    parts = []
    counted, bounds = cases.counted(), cases.bounds()
    if counted:
        exact = sum(one.verdict == "agrees" for one in counted)
        near = sum(one.verdict == "within 1 %" for one in counted)
        parts.append(
            f"of {len(counted)} counts {exact} agree to the last printed digit, {near} within 1 %"
        )
    if bounds:
        hold = sum(one.verdict == "holds" for one in bounds)
        parts.append(f"of {len(bounds)} bounds {hold} hold")
    shares = sorted(cases.attained())
    if shares:
        parts.append(
            f"runs reach {shares[0]:.2f} to {shares[-1]:.2f} of a data sheet's bound, median "
            f"{cases.median_attained():.2f}"
        )
    return f"{len(cases.cases)} public measurements: {'; '.join(parts)}."


def sources(cases: Cases) -> list[str]:
    """Return the sources, in the order in which they first appear."""
    return list(dict.fromkeys(one.case.source for one in cases.cases))


def row(one: Case, listed: Sequence[str]) -> tuple[str, ...]:
    """Return the cells of a case; its model, quantity and unit stand above the table."""
    case = one.case
    return (
        case.device or "any",
        asked(case),
        case.text.partition(" ")[0],
        ours(one),
        compared(one),
        f"[{listed.index(case.source) + 1}]",
    )


def asked(case: Reported) -> str:
    """Return the question in short: phase, batch, lengths and the formats that differ."""
    words = case.words
    lengths = "+".join(words[name] for name in ("seq_len", "new_tokens") if name in words)
    batch = f"{words['batch_size']} x " if "batch_size" in words else ""
    parts = [f"{words.get('phase', '')} {batch}{lengths}".strip(), words.get("weights", "")]
    if case.quantity == "footprint.kv_cache":
        parts.append(f"cache {words.get('kv_cache', 'as the model')}")
    return ", ".join(part for part in parts if part)


def ours(one: Case) -> str:
    """Return our number in the printed unit, with its sign as a bound."""
    if one.ours is None:
        return "refused"
    number = one.ours * float(one.case.text.partition(" ")[0]) / one.reported
    sign = {"equal": "", "at most": "<= ", "at least": ">= "}[one.case.ours_is]
    return f"{sign}{render_number(number, 4 if sign else 6)}"


def compared(one: Case) -> str:
    """Return the deviation of a count, or the share of a bound that the run reached."""
    if one.ours is None:
        return "-"
    mark = "! " if one.verdict == "misses" else ""
    if one.attained is not None:
        return f"{mark}{one.attained:.2f}"
    return f"{mark}=" if one.verdict == "agrees" else f"{mark}{one.deviation:+.1%}"


def miss(one: Case) -> str:
    """Return a sentence on a case that misses."""
    case = one.case
    name = f"{case.model} on {case.device}" if case.device else case.model
    why = one.refusal or case.reason or "the reason is not known"
    return f"! {name}, {asked(case)}: reported {case.text}, ours {ours(one)}: {why}"

"""Published numbers beside ours, as text and as a record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from rich.console import Console

from memorywall.core.comparison import AGREES, DIFFERS, EXPLAINED, UNDEFINED, WITHIN, Comparison
from memorywall.core.units import render_number
from memorywall.report.wide_table import print_table
from memorywall.studies.paper.findings import CaseStudy, LengthCurve, Roof
from memorywall.studies.paper.latency_text import show_latencies

_MARKS = {AGREES: "  ", WITHIN: "  ", EXPLAINED: " *", UNDEFINED: " ~", DIFFERS: " !"}


def show_case_study(found: CaseStudy, console: Console, *, full: bool = False) -> None:
    """Print the study in five lines, or with every table; then decode by batch, if asked for."""
    if found.here is not None:
        show_latencies(found.here, console)
    elif full:
        show_comparisons(found.cells, found.curves, console)
    else:
        console.print("\n".join(summary_lines(found.cells, found.curves)))
        console.print("Every number: --full. The four panels: --figure paper.svg", style="dim")
    if found.roofs:
        show_roofs(found.roofs, console)


def summary_lines(cells: Sequence[Comparison], curves: Sequence[LengthCurve]) -> list[str]:
    """Return the case study in five lines of at most 80 columns: counts first, then time."""
    count = Counter(cell.verdict for cell in cells)
    at_first = {(curve.quantity, curve.model): curve.ours[0] for curve in curves}
    flops, moved, slower = (
        at_first[quantity, "GPT-2"] / at_first[quantity, "BERT-Base"]
        for quantity in ("GFLOPs", "GMOPs", "latency")
    )
    first = next(c for c in curves if (c.quantity, c.model) == ("latency", "GPT-2"))
    errors = _latency_errors(curves)
    slips = sum(cell.ours_as_configured is not None for cell in cells)
    unexplained = f"; {count[DIFFERS]} differ" if count[DIFFERS] else ""
    counts = (
        f"Of {len(cells)} printed counts {count[AGREES]} agree to the last digit and "
        f"{count[WITHIN]} within 1.5 %;"
    )
    others = (
        f"{count[EXPLAINED]} are exceptions with a reason, {count[UNDEFINED]} are of an operator "
        f"that is not defined{unexplained}."
    )
    work = (
        f"GPT-2 at {first.lengths[0]} tokens: {flops:.1f} times the FLOPs of BERT-Base, "
        f"{moved:.0f} times the bytes,"
    )
    slow = (
        f"{slower:.0f} times the time by a data sheet, {first.published[0]:.0f} times on the "
        "survey's Xeon."
    )
    all_of_them = (
        f"Latencies are off by {min(errors):+.0%} to {max(errors):+.0%}; {slips} counts repeat a "
        "slip of the survey's."
    )
    return [counts, others, work, slow, all_of_them]


def show_comparisons(
    cells: Sequence[Comparison], curves: Sequence[LengthCurve], console: Console
) -> None:
    """Print how many numbers agree, then ours beside the printed ones, then every reason."""
    console.print(_verdict(cells, curves), style="bold")
    console.print(
        "GMOPs are 10^9 bytes. = agrees to the last printed digit, else the deviation; "
        "* exception, ~ not defined, both explained below\n",
        style="dim",
    )
    for (table, model), group in groupby(
        sorted(cells, key=_printed_order), lambda cell: (cell.table, cell.model)
    ):
        console.print(f"{table}, {model}", style="bold")
        _print_counts(list(group), console)
        console.print()
    _show_latency([curve for curve in curves if curve.quantity == "latency"], console)
    _show_reasons(cells, console)


def _printed_order(cell: Comparison) -> tuple[int, str]:
    """Keep tables as they are, and put the figures' models together."""
    tables = ("Table 3", "Table 10", "Table 11", "Figs 4-6")
    return tables.index(cell.table), cell.model


def _print_counts(cells: Sequence[Comparison], console: Console) -> None:
    quantities = list(dict.fromkeys(cell.quantity for cell in cells))
    titles = [title for q in quantities for title in (q, "printed", "")]
    rows = [
        (str(seq_len), operator, *(text for cell in row for text in _beside(cell)))
        for (seq_len, operator), row in groupby(cells, lambda cell: (cell.seq_len, cell.operator))
    ]
    titles = ["tokens", "operator", *titles]
    joined = [index for index, title in enumerate(titles) if title in ("printed", "")]
    print_table(console, titles, rows, keys=2, words=(0, 1), joined=joined)


def show_roofs(roofs: Sequence[Roof], console: Console) -> None:
    """Print how decode waits on memory by batch, and where it stops."""
    first = roofs[0]
    console.print(
        f"GPT-2's decode at {first.seq_len} positions: share of the time that waits on memory",
        style="bold",
    )
    batches = [f"batch {batch}" for batch in first.batch_sizes]
    rows = [
        (roof.device, roof.dtype, *(f"{share:.1%}" for share in roof.waiting), _leaves(roof))
        for roof in roofs
    ]
    last = len(batches) + 2
    titles = ("device", "in", *batches, "leaves the memory roof")
    print_table(console, titles, rows, keys=2, words=(0, 1, last), sentences=(last,))
    console.print(
        "A batch shares the weights but not the cache: past some context none leaves the roof.\n",
        style="dim",
    )


def _leaves(roof: Roof) -> str:
    if roof.leaves_at is not None:
        return f"at batch {roof.leaves_at}"
    if roof.longest_leaving:
        return f"at no batch; at contexts up to {roof.longest_leaving} it would"
    return "at no batch and no context"


def _verdict(cells: Sequence[Comparison], curves: Sequence[LengthCurve]) -> str:
    count = Counter(cell.verdict for cell in cells)
    ours = {curve.model: curve.ours[0] for curve in curves if curve.quantity == "latency"}
    times = {curve.model: curve.published[0] for curve in curves if curve.quantity == "latency"}
    errors = _latency_errors(curves)
    low, high = min(errors), max(errors)
    slips = sum(cell.ours_as_configured is not None for cell in cells)
    differs = f", {count[DIFFERS]} differ without a reason" if count[DIFFERS] else ""
    return (
        f"Of {len(cells)} printed counts {count[AGREES]} agree to half a unit of the last digit "
        f"and {count[WITHIN]} within 1.5 %; {count[EXPLAINED]} are exceptions with a reason and "
        f"{count[UNDEFINED]} are of an operator that is not defined{differs}. GPT-2 is predicted "
        f"to take {ours['GPT-2']:.0f} times as long to generate 128 tokens as BERT-Base to encode "
        f"them with the same FLOPs; {times['GPT-2']:.0f} times was measured "
        f"on the survey's Xeon, "
        f"and over all lengths the predicted latencies are {low:+.0%} to {high:+.0%} of the "
        f"measured. {slips} of the counts that agree are BERT-Large's, and do so only with an "
        "error of the survey's, described below."
    )


def _latency_errors(curves: Sequence[LengthCurve]) -> list[float]:
    """Return how far each predicted latency lies from the published one, as a share of it."""
    return [
        our / their - 1
        for curve in curves
        if curve.quantity == "latency"
        for our, their in zip(curve.ours, curve.published, strict=True)
    ]


def _beside(cell: Comparison) -> tuple[str, str, str]:
    """Return ours, what is printed, and how they compare."""
    ours = f"{cell.ours:.4g}" if cell.ours >= 0.01 else f"{cell.ours:.2g}"
    compared = "=" if cell.verdict == AGREES else f"{cell.deviation:+.1%}"
    return ours, cell.published, compared + _MARKS[cell.verdict]


def _show_latency(curves: Sequence[LengthCurve], console: Console) -> None:
    console.print("Latency relative to BERT-Base at 128 tokens: ours / as printed (Fig. 9)")
    rows = [
        (
            curve.model,
            *(
                f"{render_number(our)} / {their:g} {our / their - 1:+.0%}"
                for our, their in zip(curve.ours, curve.published, strict=True)
            ),
        )
        for curve in curves
    ]
    print_table(console, ("model", *(str(length) for length in curves[0].lengths)), rows)
    console.print(
        "Ours: data-sheet roofline of the Xeon Gold 6242 in fp32, blocks only, unfused. The survey "
        "gives neither precision, threads nor framework of its run.\n",
        style="dim",
    )


def _show_reasons(cells: Sequence[Comparison], console: Console) -> None:
    exceptions = [cell for cell in cells if cell.verdict == EXPLAINED]
    undefined = next((cell.reason for cell in cells if cell.verdict == UNDEFINED), "")
    console.print("* exceptions:")
    for cell in exceptions:
        console.print(f"  {_where(cell)}: printed {cell.published}; {cell.reason}")
    console.print(f"~ Other: {undefined}")
    remarks = [c for c in cells if c.reason and c.verdict in (AGREES, WITHIN)]
    for cell in remarks:
        if cell.model != "BERT-Large":
            console.print(f"  {_where(cell)}: printed {cell.published}; {cell.reason}")
    slips = [cell for cell in remarks if cell.model == "BERT-Large"]
    if slips:
        console.print(f"BERT-Large, such as {_where(slips[0])}: {slips[0].reason}")
    console.print()


def _where(cell: Comparison) -> str:
    return f"{cell.table}, {cell.model}, {cell.seq_len} tokens, {cell.operator}, {cell.quantity}"

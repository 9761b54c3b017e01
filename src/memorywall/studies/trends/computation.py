"""The growth rates of "AI and Memory Wall": printed, recomputed, and refitted to today."""

from __future__ import annotations

from memorywall.answer.fit_trends import out_of_sample, trends
from memorywall.catalog.trends import read
from memorywall.core.growth import IntervalCoverage
from memorywall.studies.trends.findings import PaperFigures, PrintedBar, Refit, RefittedTrends
from memorywall.trends.paper_series import PRINTED
from memorywall.trends.selection import Selection
from memorywall.trends.series import find_series

# The current series for each of the paper's, by a stated definition, not the paper's.
_TODAY = {
    "flops": "peak",
    "dram": "bandwidth",
    "interconnect": "link",
    "transformer-size": "parameters",
    "accelerator-memory": "capacity",
    "training-compute": "training-compute",
}
_TESTED = (
    "peak", "bandwidth", "capacity", "link", "lane-rate", "power", "ridge", "read-all",
    "bandwidth-per-watt", "training-compute", "parameters",
)  # fmt: skip

# Where a definition of the paper is not what a reader would take it for.
PECULIARITIES = (
    (
        "interconnect is the signalling rate of one lane in one direction (PCIe 2.5 to 64 GT/s, "
        "NVLink 20 to 100), not the GB/s of a device, which also grew by lanes"
    ),
    (
        "peak mixes fp32 peaks of processors and accelerators (to 2016) with fp16 and bf16 tensor "
        "peaks (from P100 on), so part of the 3.0x is narrower numbers"
    ),
    (
        "memory of an accelerator is its GB divided by 6, in billions of parameters, and 2x is "
        "printed for 1.86x"
    ),
    "each series is over its own first point, so heights of different series do not compare",
    (
        "the 20-year factors are the same slopes to the tenth power, not changes seen over 20 "
        "years, and DRAM's points span 18"
    ),
    "Transformers' 410x and 750x are of ten models each, of four years and less",
)


def compute() -> RefittedTrends:
    """Return the whole study."""
    return RefittedTrends(tuple(compare()), tuple(tested()), PECULIARITIES)


def compare() -> list[Refit]:
    """Return every printed rate beside its fit, the paper's series to today, and today's own."""
    rows = []
    for key, today in _TODAY.items():
        rows.append(_printed("paper", key))
        rows.append(Refit(key, "paper continued", trends((f"continued-{key}",))[0]))
        rows.append(Refit(key, "today", trends((today,))[0]))
    rows += [_printed("blog", key) for key in _TODAY]
    return rows


def tested() -> list[IntervalCoverage]:
    """Return how lines up to 2018, 2020 and 2022 predicted later devices and models."""
    return out_of_sample(_TESTED)


def _printed(book: str, key: str) -> Refit:
    printed = PRINTED[f"{book}-{key}"]
    growth = trends((f"{book}-{key}",))[0]
    return Refit(key, book, growth, printed.per_2_years, printed.per_20_years)


def paper_figures() -> PaperFigures:
    """Return what the paper's figures show: its points, the lines through them, its bars."""
    growths = {growth.series.name: growth for growth in trends(("paper",), to=2024)}
    unfitted = ("paper-vision-size", "paper-recommender-size", "paper-other-compute")
    marks = {name: find_series(name, Selection()) for name in unfitted}
    columns = ("parameters_gb", "optimizer_gb", "features_gb", "gpu_limit_gb")
    bars = tuple(
        PrintedBar(row["name"], int(row["year"]), *(float(row[column]) for column in columns))
        for row in read("paper_memory")
    )
    return PaperFigures(growths, marks, bars)

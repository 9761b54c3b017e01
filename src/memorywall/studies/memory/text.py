"""The study of training memory as text: ours beside the printed numbers."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from memorywall.core.comparison import AGREES, EXPLAINED
from memorywall.core.errors import join_words
from memorywall.report.table import remark
from memorywall.report.wide_table import print_table
from memorywall.studies.memory.findings import Bar, TrainingBars


def show_bars(found: TrainingBars, console: Console) -> None:
    """Print the memory figure: ours beside the printed numbers, then every reason."""
    bars = found.bars
    console.print(_bars_headline(bars), style="bold")
    console.print(
        "GiB, 32 bits. = agrees to the last printed digit, else the deviation; * exception, "
        "explained below. Gradients and the peak of two steps are not in the figure.\n",
        style="dim",
    )
    parts = list(bars[0].published)
    of_parts = (title for part in parts for title in (part, "printed", ""))
    rows = [
        (
            bar.model,
            bar.setting,
            bar.optimizer,
            *(text for part in parts for text in _beside(bar, part)),
            f"{bar.gradients:.2f}",
            f"{bar.peak:.2f}",
        )
        for bar in bars
    ]
    titles = ("model", "batch x input", "by", *of_parts, "gradients", "peak")
    joined = [index for index, title in enumerate(titles) if title in ("printed", "")]
    print_table(console, titles, rows, words=(0, 1, 2), joined=joined)
    for bar in bars:
        if bar.reason:
            remark(console, f"{bar.model}:", bar.reason)


def _bars_headline(bars: Sequence[Bar]) -> str:
    outside = [bar.model for bar in bars if _exceptions(bar)]
    within = f"{len(bars) - len(outside)} of {len(bars)} models"
    but = f"; {join_words(outside)} not, for a reason" if outside else ""
    return (
        f"Fig. 4: parameters and optimizer of {within} within 3 %, features within 15 %{but}. "
        f"In {sum(_more_features(bar) for bar in bars)} of {len(bars)} features are more than "
        "parameters and optimizer together."
    )


def _more_features(bar: Bar) -> bool:
    return bar.ours["features"] > bar.ours["parameters"] + bar.ours["optimizer"]


def _exceptions(bar: Bar) -> bool:
    return any(verdict not in (AGREES, "within tolerance") for verdict in bar.verdicts.values())


def _beside(bar: Bar, part: str) -> tuple[str, str, str]:
    verdict = bar.verdicts[part]
    compared = "=" if verdict == AGREES else f"{bar.deviations[part]:+.1%}"
    mark = " *" if verdict == EXPLAINED else "" if verdict == AGREES else "  "
    return f"{bar.ours[part]:.3f}", bar.published[part], compared + mark

"""The growth rates of "AI and Memory Wall": printed, recomputed, and refitted to today."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from memorywall.answer.fit_trends import trends
from memorywall.core.study import Study, Watch
from memorywall.report.growth_figure import draw_growths
from memorywall.studies.trends.computation import compute, paper_figures
from memorywall.studies.trends.figure import PAPER_FIGURES
from memorywall.studies.trends.findings import PaperFigures, RefittedTrends
from memorywall.studies.trends.text import show_study

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _run(*, watch: Watch) -> RefittedTrends:  # noqa: ARG001 - it takes no time
    return compute()


def _draw_paper(draw: Callable[[PaperFigures], Figure], _found: RefittedTrends) -> Figure:
    return draw(paper_figures())


def _draw_today(_found: RefittedTrends) -> Figure:
    return draw_growths(trends())


STUDY = Study(
    name="trends",
    question="Do the paper's growth rates hold for its points, and today?",
    about="""The rates of "AI and Memory Wall", refitted to today's devices and models.

    Every printed growth rate beside the least-squares line of the points that were drawn, the same
    series continued to 2026, and a series of today of one stated definition. Then how lines fitted
    up to 2018, 2020 and 2022 predicted what came later.""",
    result=RefittedTrends,
    run=_run,
    show=show_study,
    figures={
        **{name: partial(_draw_paper, draw) for name, draw in PAPER_FIGURES.items()},
        "today": _draw_today,
    },
    examples=("", "--json", "--figures out/"),
)

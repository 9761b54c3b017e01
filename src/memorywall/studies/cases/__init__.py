"""Public measurements beside ours: what people printed, what we say, and how far apart."""

from __future__ import annotations

from collections.abc import Sequence

from memorywall.core.study import Option, Study, Watch
from memorywall.studies.cases.computation import compute_cases
from memorywall.studies.cases.figure import draw_cases
from memorywall.studies.cases.findings import Cases
from memorywall.studies.cases.text import show_cases


def _run(*, watch: Watch, models: Sequence[str] = ()) -> Cases:
    return compute_cases(models, watch.progress)


STUDY = Study(
    name="cases",
    question="Do public measurements agree with our numbers?",
    about="""Public measurements of models on devices, each asked as a user would ask it.

    Sizes of files, caches and states must be equal. Rates and times at a data sheet are bounds, of
    which real runs reach a share; peaks of memory are bounds as well, since engines add their own.
    Every case is listed, those that miss among them. The same table: docs/reference/cases.md.""",
    result=Cases,
    run=_run,
    show=show_cases,
    options=(Option("models", "Models of the cases.", "names", names="model", argument=True),),
    figures={"cases": draw_cases},
    examples=("", "gpt-oss-20b", "--figure cases.svg"),
    waits="analysing",
    brief={"models": ("gpt-oss-120b",)},
)

"""``memorywall study trends``: the paper's growth rates, recomputed and refitted to today."""

from __future__ import annotations

from pathlib import Path

import click

from memorywall.answer.fit_trends import trends
from memorywall.app.cli._command import command
from memorywall.app.cli._figures import drawn, print_drawn, refuse_figures
from memorywall.app.cli._shared import console, json_flag, print_json
from memorywall.core.errors import MissingDependencyError
from memorywall.report.figures import save
from memorywall.report.growth_figure import draw_growths
from memorywall.studies.trends import computation as study
from memorywall.studies.trends.computation import paper_figures
from memorywall.studies.trends.figure import PAPER_FIGURES
from memorywall.studies.trends.record import study_record
from memorywall.studies.trends.text import show_study

_SCHEMA = "memorywall.study.trends/1"
_FOLDER = Path("study-trends")


@command("trends", "Learn", "The paper's growth rates, refitted to today.")
@click.option(
    "--figures", "folder", type=click.Path(file_okay=False, path_type=Path),
    help="Folder to draw Figs 1, 2a, 2b, 4 and today's in.  [default: ./study-trends]",
)  # fmt: skip
@click.option("--no-figure", is_flag=True, help="Draw nothing.")
@json_flag
def COMMAND(folder: Path | None, no_figure: bool, as_json: bool) -> None:  # noqa: N802
    """Recompute the rates of "AI and Memory Wall" and refit them to today's devices and models.

    Every printed growth rate beside the least-squares line of the points that were drawn, the same
    series continued to 2026, and a series of today of one stated definition. Then how lines fitted
    up to 2018, 2020 and 2022 predicted what came later.

    \b
    Examples:
      memorywall study trends
      memorywall study trends --json
      memorywall study trends --figures out/
    """
    refuse_figures((folder,) if folder else (), no_figure=no_figure, option="--figures")
    rows, tested = study.compare(), study.tested()
    line = ""
    if not no_figure and (folder or not as_json):
        try:
            line = drawn(_draw(folder or _FOLDER))
        except MissingDependencyError as error:
            if folder:
                raise
            line = str(error)
    if as_json:
        print_json({"schema": _SCHEMA, **study_record(rows, tested, study.PECULIARITIES)})
        return
    out = console()
    show_study(rows, tested, study.PECULIARITIES, out)
    print_drawn(line, out)


def _draw(folder: Path) -> list[Path]:
    data = paper_figures()
    paths = [save(draw(data), folder / f"{name}.svg") for name, draw in PAPER_FIGURES.items()]
    return [*paths, save(draw_growths(trends()), folder / "today.svg")]

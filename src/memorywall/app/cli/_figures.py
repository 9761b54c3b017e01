"""Common parts of subcommands that draw: the option, the files, and the line with their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from memorywall.core.errors import InvalidInputError, MissingDependencyError
from memorywall.report.figures import check_figure, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_option(what: str = "Where to draw", default: str = "") -> Callable[[Any], Any]:
    """Return the option ``--figure``, with what it draws and where unless it is given."""
    unless = f"  [default: {default}]" if default else ""
    return click.option(
        "--figure", "figures", multiple=True, type=click.Path(dir_okay=False, path_type=Path),
        help=f"{what} (.svg, .png or .pdf; can be repeated).{unless}",
    )  # fmt: skip


def refuse_figures(figures: Sequence[Path], *, no_figure: bool, option: str = "--figure") -> None:
    """Refuse --no-figure beside figures.

    Raises:
        InvalidInputError: both are given.
    """
    if figures and no_figure:
        raise InvalidInputError(f"{option} conflicts with --no-figure.", "Give one of them.")


def check_drawable(paths: Sequence[Path]) -> None:
    """Refuse figures that could not be drawn after the work, before it.

    Raises:
        MemoryWallError: a suffix, a place, or a library that is missing.
    """
    for path in paths:
        check_figure(path)


def draw_into(paths: Sequence[Path], draw: Callable[[], Figure], *, must: bool = True) -> str:
    """Draw into files, and return the line that names them.

    ``must``: whether a figure was asked for; else the line says what is missing to draw one.
    """
    try:
        return drawn([save(draw(), path) for path in paths])
    except MissingDependencyError as error:
        if must:
            raise
        return str(error)


def drawn(paths: Sequence[Path]) -> str:
    """Return the line that names the files that were drawn; "" for none."""
    return f"Drawn: {', '.join(str(path.resolve()) for path in paths)}" if paths else ""


def print_drawn(line: str, out: Console) -> None:
    """Print such a line, whole, if there is one."""
    if line:
        out.print(line, soft_wrap=True)

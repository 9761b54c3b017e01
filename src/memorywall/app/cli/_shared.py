"""Common parts of subcommands: output, JSON, and the axes of a grid."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

import click

from memorywall.core.errors import visible
from memorywall.core.model import Model
from memorywall.frontends.hf import load_model
from memorywall.report.json_records import to_json

if TYPE_CHECKING:
    from rich.console import Console

json_flag = click.option("--json", "as_json", is_flag=True, help="One JSON record, for machines.")

_WIDTH = 1000
_PAGE = 80
_ECHO_EVERY_S = 10.0


def console() -> Console:
    """Return standard output, wider than any table, and blind to markup in names.

    A narrower terminal wraps a wide table's lines; to squeeze them would cut digits and units.
    """
    return _console(sys.stdout, _WIDTH)


def page() -> Console:
    """Return standard output as wide as the terminal, or 80 columns where there is none.

    It is blind to markup in names. Sentences wrap; tables that are wider go on below.
    """
    if sys.stdout.isatty():
        return _console(sys.stdout, None)
    return _console(cast("IO[str]", _Trimmed()), _PAGE)


def _console(file: IO[str], width: int | None) -> Console:
    from memorywall.report.pages import Page  # noqa: PLC0415 - JSON needs none

    return Page(file=file, highlight=False, markup=False, emoji=False, width=width)


class _Trimmed(io.TextIOBase):
    """Standard output without the spaces that fill a line up."""

    def write(self, text: str) -> int:
        """Write whole lines."""
        return sys.stdout.write("\n".join(line.rstrip() for line in text.split("\n")))


def load_and_tell(name: str) -> Model:
    """Return a model, and report on standard error if it is traced from transformers."""
    model = load_model(name)
    if model.traits.traced:
        note(f"{model.architecture.notes[0]} Each pass takes seconds.")
    return model


def note(text: str) -> None:
    """Print a line on standard error, without characters that steer a terminal."""
    click.echo(visible(text), err=True)


def print_json(record: Any) -> None:
    """Print a record as JSON and nothing else."""
    sys.stdout.write(to_json(record) + "\n")


def axis(values: list[int], position: int, axes: int) -> Any:
    """Return one number as it is, and several as an array along one axis of a grid."""
    if len(values) == 1:
        return values[0]
    shape = [1] * axes
    shape[position] = len(values)
    import numpy as np  # noqa: PLC0415 - one point needs no NumPy

    return np.array(values, dtype=np.float64).reshape(shape)


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far a long command is, on standard error; yield what to call with (done, total)."""
    with stage_bar(what) as (report, _):
        yield report


@contextmanager
def stage_bar(
    what: str,
) -> Iterator[tuple[Callable[[int, int], None], Callable[[str], None]]]:
    """Show how far a long command is and its stage, on standard error.

    Yield a callback of (done, total), and a callback of the name of a stage. A terminal shows the
    stage next to the bar; elsewhere each stage is a line, and the progress one every 10 s.
    """
    from rich.console import Console  # noqa: PLC0415 - slow to import, and not needed by all
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    console = Console(file=sys.stderr, highlight=False, markup=False)
    with Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
        TimeElapsedColumn(), console=console, transient=True,
        disable=not console.is_terminal,
    ) as bars:  # fmt: skip
        task = bars.add_task(what, total=None)
        echoed = time.monotonic()

        def report(done: int, total: int) -> None:
            nonlocal echoed
            bars.update(task, completed=done, total=total)
            if not console.is_terminal and time.monotonic() - echoed > _ECHO_EVERY_S:
                note(f"{what}: {done} of {total}")
                echoed = time.monotonic()

        def enter(stage: str) -> None:
            if console.is_terminal:
                bars.update(task, description=stage)
            else:
                note(stage)

        yield report, enter

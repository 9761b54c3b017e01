"""What several subcommands share: parameter types, where output goes, how JSON leaves."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, ClassVar, cast, get_args

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from memorywall.core.model import Model
from memorywall.frontends.hf import load_model
from memorywall.report.json_records import to_json

json_flag = click.option("--json", "as_json", is_flag=True, help="One JSON record, for machines.")

_MOST_LISTED = 64
_WIDTH = 1000
_PAGE = 80
_ECHO_EVERY_S = 10.0


def one_of(choices: object, *, without: Sequence[str] = ()) -> str:
    """Return the words of a ``Literal`` as help lists a choice; the library checks them."""
    return f"[{'|'.join(word for word in get_args(choices) if word not in without)}]"


def console() -> Console:
    """Return standard output, wider than any table, and blind to markup in names.

    A narrower terminal wraps a wide table's lines; to squeeze them would cut digits and units.
    """
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False, width=_WIDTH)


def page() -> Console:
    """Return standard output as wide as the terminal, or 80 columns where there is none.

    It is blind to markup in names. Sentences wrap; tables that are wider go on below.
    """
    terminal = sys.stdout.isatty()
    file = sys.stdout if terminal else cast("IO[str]", _Trimmed())
    return Console(
        file=file, highlight=False, markup=False, emoji=False, width=None if terminal else _PAGE
    )


class _Trimmed(io.TextIOBase):
    """Standard output without the spaces that fill a line up."""

    def write(self, text: str) -> int:
        """Write whole lines."""
        return sys.stdout.write("\n".join(line.rstrip() for line in text.split("\n")))


def load_and_tell(name: str) -> Model:
    """Return a model, and say so where transformers' own class stands in for a family."""
    model = load_model(name)
    if model.traits.traced:
        click.echo(f"{model.architecture.notes[0]} Each pass takes seconds.", err=True)
    return model


def print_json(record: Any) -> None:
    """Print a record as JSON and nothing else."""
    sys.stdout.write(to_json(record) + "\n")


class Counts(click.ParamType[list[int]]):
    """``8`` or ``1,4,16`` as a list of whole numbers; ranges are checked where they are used."""

    name = "N[,N...]"
    such_as = "8, or 1,4,16"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[int]:
        """Read the text; anything but whole numbers ends the command with exit code 2."""
        if isinstance(value, list):
            return value
        parts = str(value).split(",")
        if len(parts) > _MOST_LISTED:
            self.fail(f"at most {_MOST_LISTED} numbers, got {len(parts)}", param, ctx)
        numbers = []
        for part in parts:
            digits, unit = self.split(part.strip().replace("_", ""))
            unsigned = digits.removeprefix("-")
            if not (unsigned.isascii() and unsigned.isdigit() and len(unsigned) <= 30):
                shown = repr(part if len(part) < 40 else part[:40] + "...")
                self.fail(f"{shown} is not a whole number; give {self.such_as}", param, ctx)
            numbers.append(int(digits) * unit)
        return numbers

    def split(self, text: str) -> tuple[str, int]:
        """Return the digits of a number, and what they are multiplied by."""
        return text, 1


class LengthList(Counts):
    """``4096`` or ``4k,32k,1M``: k is 1024 positions and M 1024 k, as contexts are called."""

    such_as = "4096, or 4k,32k,1M"
    _UNITS: ClassVar = {"k": 2**10, "m": 2**20}

    def split(self, text: str) -> tuple[str, int]:
        """Return the digits of a number, and what they are multiplied by."""
        unit = self._UNITS.get(text[-1:].casefold())
        return (text, 1) if unit is None else (text[:-1], unit)


class Pixels(click.ParamType[tuple[int, int]]):
    """``224`` or ``448x336``, height by width, as two whole numbers."""

    name = "HEIGHT[xWIDTH]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Read the text; anything but one or two whole numbers ends the command with code 2."""
        if isinstance(value, tuple):
            return value
        sides = str(value).casefold().split("x")
        good = all(side.isascii() and side.isdigit() and len(side) <= 12 for side in sides)
        if not good or len(sides) > 2:
            shown = repr(value if len(value) < 40 else value[:40] + "...")
            self.fail(f"{shown} is no size in pixels; give 224, or 448x336", param, ctx)
        return int(sides[0]), int(sides[-1])


def axis(values: list[int], position: int, axes: int) -> Any:
    """Return one number as it is, and several as an array along one axis of a grid."""
    if len(values) == 1:
        return values[0]
    shape = [1] * axes
    shape[position] = len(values)
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

    Yield what to call with (done, total), and what to call with a stage in words. A terminal shows
    the stage beside the bar; elsewhere each stage is a line, and how far it is one every 10 s.
    """
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
                click.echo(f"{what}: {done} of {total}", err=True)
                echoed = time.monotonic()

        def enter(stage: str) -> None:
            if console.is_terminal:
                bars.update(task, description=stage)
            else:
                click.echo(stage, err=True)

        yield report, enter

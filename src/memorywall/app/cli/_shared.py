"""What several subcommands share: parameter types, where output goes, how JSON leaves."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, get_args

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress

from memorywall.core.model import Model
from memorywall.frontends.hf import load_model
from memorywall.report.json_records import to_json
from memorywall.report.table import WIDTH

json_flag = click.option("--json", "as_json", is_flag=True, help="One JSON record, for machines.")

_MOST_LISTED = 64
_WIDTH = 1000


def one_of(choices: object, *, without: Sequence[str] = ()) -> str:
    """Return the words of a ``Literal`` as help lists a choice; the library checks them."""
    return f"[{'|'.join(word for word in get_args(choices) if word not in without)}]"


def console() -> Console:
    """Return standard output, wider than any table, and blind to markup in names.

    A narrower terminal wraps a wide table's lines; to squeeze them would cut digits and units.
    """
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False, width=_WIDTH)


def terminal() -> Console:
    """Return standard output as wide as the terminal: 80 columns where there is none.

    A table is at least 80 wide: a narrower terminal wraps its lines, which keeps digits whole.
    """
    out = sys.stdout
    width = shutil.get_terminal_size((WIDTH, 24)).columns if out.isatty() else WIDTH
    return Console(file=out, highlight=False, markup=False, emoji=False, width=max(WIDTH, width))


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
    with Progress(console=Console(file=sys.stderr), transient=True) as bars:
        task = bars.add_task(what, total=None)

        def report(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        yield report

"""What several subcommands share: parameter types, where output goes, how JSON leaves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress

from memorywall.report.record import to_json

json_flag = click.option("--json", "as_json", is_flag=True, help="One JSON record, for machines.")

_MOST_LISTED = 64
_WIDTH = 1000


def console() -> Console:
    """Return standard output, wider than any table, and blind to markup in names.

    A narrower terminal wraps a wide table's lines; to squeeze them would cut digits and units.
    """
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False, width=_WIDTH)


def print_json(record: Any) -> None:
    """Print a record as JSON and nothing else."""
    sys.stdout.write(to_json(record) + "\n")


class Counts(click.ParamType[list[int]]):
    """``8`` or ``1,4,16`` as a list of whole numbers; ranges are checked where they are used."""

    name = "N[,N...]"

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
            digits = part.strip().replace("_", "")
            unsigned = digits.removeprefix("-")
            if not (unsigned.isascii() and unsigned.isdigit() and len(unsigned) <= 30):
                shown = repr(part if len(part) < 40 else part[:40] + "...")
                self.fail(f"{shown} is not a whole number; give 8, or 1,4,16", param, ctx)
            numbers.append(int(digits))
        return numbers


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

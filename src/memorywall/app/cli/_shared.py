"""What several subcommands share: where output goes, how JSON leaves, the axes of a grid."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress

from memorywall.core.model import Model
from memorywall.frontends.hf import load_model
from memorywall.report.json_records import to_json

json_flag = click.option("--json", "as_json", is_flag=True, help="One JSON record, for machines.")

_WIDTH = 1000


def console() -> Console:
    """Return standard output, wider than any table, and blind to markup in names.

    A narrower terminal wraps a wide table's lines; to squeeze them would cut digits and units.
    """
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False, width=_WIDTH)


def load_and_tell(name: str) -> Model:
    """Return a model, and say so where transformers' own class stands in for a family."""
    model = load_model(name)
    if model.traits.traced:
        click.echo(f"{model.architecture.notes[0]} Each pass takes seconds.", err=True)
    return model


def print_json(record: Any) -> None:
    """Print a record as JSON and nothing else."""
    sys.stdout.write(to_json(record) + "\n")


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

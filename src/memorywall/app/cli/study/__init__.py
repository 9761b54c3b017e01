"""``memorywall study``: a paper's argument computed anew, beside what it printed."""

from __future__ import annotations

import click

from memorywall.app.cli._groups import Subcommands


@click.group(cls=Subcommands.of(__name__))
def COMMAND() -> None:  # noqa: N802 - the constant that the subcommand is found by
    """Compute a published study anew, and show ours beside what was printed."""

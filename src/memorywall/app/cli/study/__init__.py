"""``memorywall study``: one argument at length, a paper's beside what it printed or our own."""

from __future__ import annotations

import click

from memorywall.app.cli._groups import Subcommands


@click.group(
    cls=Subcommands.of(__name__), heading="Learn", short_help="One argument at length, drawn."
)
def COMMAND() -> None:  # noqa: N802 - the constant that the subcommand is found by
    """Follow one argument at length: a published one beside what was printed, or one of ours."""

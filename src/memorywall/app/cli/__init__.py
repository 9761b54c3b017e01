"""The command: one file a subcommand, holding ``COMMAND`` and calling its twin in the library."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from memorywall.app.cli._groups import Subcommands
from memorywall.core.errors import MemoryWallError


@click.group(cls=Subcommands.of(__name__), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="memorywall")
def app() -> None:
    """Find the bottleneck of a model on a machine, its size, and the cheapest way past it.

    \b
    Try:
      memorywall analyze gpt2 --on h100-sxm
      memorywall study paper
      memorywall models
      memorywall hardware

    Names of models and devices complete in a shell: see docs/reference/command.md.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0, or 2 with a message on standard error for errors that the user can fix.
    """
    try:
        app(args=arguments, prog_name="memorywall")
    except SystemExit as leaving:  # click's own way out, with its own messages
        return leaving.code if isinstance(leaving.code, int) else 1
    except MemoryWallError as error:
        print(f"memorywall: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        return 2
    return 0

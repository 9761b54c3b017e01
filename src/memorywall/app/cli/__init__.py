"""The command: one file a subcommand, holding ``COMMAND`` and calling its twin in the library."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from memorywall.app.cli._groups import Subcommands
from memorywall.core.errors import MemoryWallError, shown, visible

INTERRUPTED = 130  # as a shell reports SIGINT: 128 + 2


_HELP = """Find the bottleneck of a model on a machine, its size, and the cheapest way past it.

\b
Try:
  memorywall analyze gpt2 --on h100-sxm
  memorywall study paper
  memorywall models
  memorywall hardware

Names of models and devices complete in a shell: see docs/reference/command.md.
"""


@click.group(
    cls=Subcommands.of(__name__),
    context_settings={"help_option_names": ["-h", "--help"]},
    help=_HELP,
)
@click.version_option(package_name="memorywall")
def app() -> None:
    """Run a subcommand."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0; 2 with a message on standard error for errors that the user can fix, output that cannot be
    written among them; 130 if it is interrupted.
    """
    try:
        _require_output()
        code = app.main(args=arguments, prog_name="memorywall", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted", code=INTERRUPTED)
    except click.ClickException as error:  # a usage error, with the usage
        error.show()
        return error.exit_code
    except SystemExit as leaving:  # a reader that closed the pipe: click leaves in silence
        return leaving.code if isinstance(leaving.code, int) else 1
    except MemoryWallError as error:
        return _fail(error.message, error.hint)
    except OSError as error:
        _discard_output()
        place = shown(error.filename) if error.filename else "standard output"
        return _fail(f"{place} cannot be written: {error.strerror}.")
    return code if isinstance(code, int) else 0


def _fail(message: str, hint: str = "", code: int = 2) -> int:
    if sys.stderr is not None:
        print(visible(f"memorywall: {message}"), file=sys.stderr)
        if hint:
            print(visible(f"  {hint}"), file=sys.stderr)
    return code


def _require_output() -> None:
    if sys.stdout is None:  # closed by the shell: >&-
        raise MemoryWallError("standard output is closed.", "Open it, or send it to a file.")


def _discard_output() -> None:
    """Send what is buffered nowhere: Python flushes it at its exit, and would fail again."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # no file descriptor, as in tests
        return

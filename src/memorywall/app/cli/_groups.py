"""A group of subcommands that are modules of one folder: long-context is long_context.py."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any, cast, get_args

import click

from memorywall.app.cli._command import Command, Heading
from memorywall.core.plugin import find


class Subcommands(click.Group):
    """Subcommands by the module of their name, each holding ``COMMAND``; imported when called."""

    room = ""  # the package they are modules of, set by ``of``

    def __init__(self, *args: Any, heading: Heading = "Ask", **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.heading = heading

    @classmethod
    def of(cls, room: str) -> type[Subcommands]:
        """Return a group class for the modules of one package."""
        return type("Subcommands", (cls,), {"room": room})

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the modules' names, without the private ones, with dashes."""
        modules = pkgutil.iter_modules(import_module(self.room).__path__)
        names = (module.name for module in modules if not module.name.startswith("_"))
        return sorted(name.replace("_", "-") for name in names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return one of them, or None."""
        module = cmd_name.replace("-", "_")
        return cast("click.Command | None", find(self.room, module, "COMMAND"))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the subcommands under their headings, where there are several of these."""
        rows: dict[str, list[tuple[str, str]]] = {heading: [] for heading in get_args(Heading)}
        for name in self.list_commands(ctx):
            found = self.get_command(ctx, name)
            if isinstance(found, Command | Subcommands):
                rows[found.heading].append((name, found.get_short_help_str(formatter.width)))
        filled = {heading: listed for heading, listed in rows.items() if listed}
        for heading, listed in filled.items():
            with formatter.section(heading if len(filled) > 1 else "Commands"):
                formatter.write_dl(listed)

"""The class of every subcommand: under a heading of the help, with options given once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import click

from memorywall.core.errors import InvalidInputError

Heading: TypeAlias = Literal["Ask", "Measure", "Learn"]


class Command(click.Command):
    """A subcommand; an option that takes one value is refused where it is repeated."""

    def __init__(self, *args: Any, heading: Heading, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.heading = heading

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, as click does.

        Raises:
            InvalidInputError: an option that takes one value is given more than once; click alone
                would take the last.
        """
        if not ctx.resilient_parsing:
            _, _, order = self.make_parser(ctx).parse_args(list(args))
            for option in order:
                if isinstance(option, click.Option) and not option.multiple and not option.is_flag:
                    given = order.count(option)
                    if given > 1:
                        raise InvalidInputError(
                            f"{option.opts[0]} requires one value, got {given}.",
                            f"Give {option.opts[0]} once.",
                        )
        return super().parse_args(ctx, args)


def command(name: str, heading: Heading, short_help: str, text: str) -> Callable[[Any], Command]:
    """Return the decorator that makes a subcommand of a function.

    ``text`` is its help. A docstring would be removed by Python under -OO.
    """
    return click.command(name, cls=Command, heading=heading, short_help=short_help, help=text)

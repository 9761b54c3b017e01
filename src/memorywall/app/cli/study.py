"""``memorywall study``: a command for every study, made of what its folder holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click

from memorywall.app.cli._command import Command
from memorywall.app.cli._figures import check_drawable, draw_into, figure_option, print_drawn
from memorywall.app.cli._groups import Subcommands
from memorywall.app.cli._options import (
    DEVICE,
    DEVICES,
    FORMAT,
    MODEL,
    MODELS,
    backend,
    count,
    counts,
    names,
    quantity,
    shares,
)
from memorywall.app.cli._shared import json_flag, page, print_json, stage_bar
from memorywall.core.errors import InvalidInputError
from memorywall.core.records import to_record
from memorywall.core.study import Option, Study, Watch
from memorywall.studies import find_study, studies


class Studies(Subcommands):
    """A subcommand for every study that is found."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the studies' names."""
        return [study.name for study in studies()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a study, or None."""
        return _command(find_study(cmd_name)) if cmd_name in self.list_commands(ctx) else None


@click.group(
    cls=Studies, heading="Learn", short_help="One argument at length, drawn.",
    help="Follow one argument at length: a published one beside what was printed, or one of ours.",
)  # fmt: skip
def COMMAND() -> None:  # noqa: N802 - the constant that the subcommand is found by
    """Run a study."""


def _command(study: Study[Any]) -> click.Command:
    """Return the command of a study: its options, where to draw, and --json."""
    command = Command(
        study.name, heading="Learn", callback=partial(_run, study), help=_help(study),
        short_help=study.question, params=[],
    )  # fmt: skip
    for option in study.options:
        _declare(option, study)(command)
    if len(study.figures) == 1:
        figure_option()(command)
    elif study.figures:
        click.option(
            "--figures", "folder", type=click.Path(file_okay=False, path_type=Path),
            help=f"Folder to draw in: {', '.join(study.figures)}.",
        )(command)  # fmt: skip
    json_flag(command)
    return command


def _help(study: Study[Any]) -> str:
    examples = "\n".join(
        f"  memorywall study {study.name} {one}".rstrip() for one in study.examples
    )
    return f"{study.question}\n\n{cleandoc(study.about)}\n\n\b\nExamples:\n{examples}"


def _declare(option: Option, study: Study[Any]) -> Callable[[Any], Any]:
    """Return what adds an option to the command of its study."""
    if option.argument:
        return click.argument(option.name, nargs=-1, type=_ONE[option.names])
    requires = f"  [requires {study.option(option.requires).flag}]" if option.requires else ""
    default = f"  [default: {option.default}]" if option.default else ""
    text = option.help + requires + default
    if option.names == "backend":
        return backend(option.help + requires)
    declared = (*(option.flags or (option.flag,)), option.name)
    decorator: Callable[[Any], Any] = _DECLARED[option.kind](option, declared)(help=text)
    return decorator


_ONE = {"model": MODEL, "device": DEVICE, "format": FORMAT}
_SEVERAL = {"model": MODELS, "device": DEVICES}
_SHARES = "SHARE[,SHARE...]"

# By the kind of an option: what declares it, given its help.
_DECLARED: Mapping[str, Callable[[Option, tuple[str, ...]], Callable[..., Any]]] = {
    "count": lambda _, declared: partial(count, *declared),
    "counts": lambda _, declared: partial(counts, *declared),
    "length": lambda _, declared: partial(count, *declared, length=True),
    "lengths": lambda _, declared: partial(counts, *declared, length=True),
    "number": lambda _, declared: partial(click.option, *declared, type=float),
    "shares": lambda _, declared: partial(shares, *declared, metavar=_SHARES),
    "quantity": lambda option, declared: partial(
        quantity, *declared, unit=option.unit, metavar=f"QUANTITY in {option.unit}"
    ),
    "name": lambda option, declared: partial(click.option, *declared, type=_ONE[option.names]),
    "names": lambda option, declared: partial(names, *declared, words=_SEVERAL[option.names]),
    "flag": lambda _, declared: partial(click.option, *declared, is_flag=True, default=None),
    "choice": lambda option, declared: partial(
        click.option, *declared, type=click.Choice(option.choices)
    ),
}


def _run(
    study: Study[Any],
    *,
    as_json: bool,
    figures: tuple[Path, ...] = (),
    folder: Path | None = None,
    **words: Any,
) -> None:
    given = {name: value for name, value in words.items() if value not in (None, (), [])}
    study.check(given)
    options = {option.name: option for option in study.options}
    shown = {name: given.pop(name) for name in list(given) if options[name].text}
    if as_json and shown:
        flag = options[next(iter(shown))].flag
        raise InvalidInputError(f"{flag} conflicts with --json.", f"Leave {flag} out.")
    if folder is not None:
        wanted = [(folder / f"{name}.svg", draw) for name, draw in study.figures.items()]
    else:
        wanted = [(path, draw) for path in figures for draw in study.figures.values()]
    check_drawable([path for path, _ in wanted])
    answer = _ask(study, given)
    lines = [draw_into([path], partial(draw, answer)) for path, draw in wanted]
    if as_json:
        print_json(to_record(answer))
        return
    out = page()
    study.show(answer, out, **shown)
    for line in lines:
        print_drawn(line, out)


def _ask(study: Study[Any], given: Mapping[str, Any]) -> Any:
    if not study.waits:
        return study.ask(**given)
    with stage_bar(study.waits) as (progress, stage):
        return study.ask(Watch(progress, stage), **given)

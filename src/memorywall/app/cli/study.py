"""``memorywall study``: a command for every study, made of what its folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click

from memorywall.app.cli._figures import draw_into, print_drawn
from memorywall.app.cli._shared import Counts, LengthList, page, print_json, stage_bar
from memorywall.core.errors import InvalidInputError
from memorywall.core.records import to_record
from memorywall.core.study import Option, Study, Watch
from memorywall.studies import find_study, studies


class Studies(click.Group):
    """A subcommand for every study that is found."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the studies' names."""
        return [study.name for study in studies()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a study, or None."""
        return _command(find_study(cmd_name)) if cmd_name in self.list_commands(ctx) else None


@click.group(cls=Studies, short_help="One argument at length, drawn.")
def COMMAND() -> None:  # noqa: N802 - the constant that the subcommand is found by
    """Follow one argument at length: a published one beside what was printed, or one of ours."""


def _command(study: Study[Any]) -> click.Command:
    """Return the command of a study: its options, where to draw, and --json."""
    params: list[click.Parameter] = [_parameter(option, study) for option in study.options]
    path = click.Path(path_type=Path)
    if len(study.figures) == 1:
        help_ = "Where to draw (.svg, .png or .pdf; can be repeated)."
        params.append(click.Option(["--figure", "figures"], multiple=True, type=path, help=help_))
    elif study.figures:
        help_ = f"Folder to draw in: {', '.join(study.figures)}."
        params.append(click.Option(["--figures", "folder"], type=path, help=help_))
    help_ = "One JSON record, for machines."
    params.append(click.Option(["--json", "as_json"], is_flag=True, help=help_))
    return click.Command(
        study.name, callback=partial(_run, study), help=_help(study), short_help=study.question,
        params=params,
    )  # fmt: skip


def _help(study: Study[Any]) -> str:
    examples = "\n".join(
        f"  memorywall study {study.name} {one}".rstrip() for one in study.examples
    )
    return f"{study.question}\n\n{cleandoc(study.about)}\n\n\b\nExamples:\n{examples}"


def _parameter(option: Option, study: Study[Any]) -> click.Parameter:
    if option.argument:
        return click.Argument([option.name], nargs=-1)
    flags = option.flags or (option.flag,)
    declared = [*flags, option.name]
    default = f"  [default: {option.default}]" if option.default else ""
    requires = f"  [requires {study.option(option.requires).flag}]" if option.requires else ""
    text = option.help + requires + default
    if option.kind == "flag":
        return click.Option(declared, is_flag=True, default=None, help=text)
    return click.Option(
        declared, type=_type(option), multiple=option.kind in ("names", "numbers"),
        metavar=_METAVARS.get(option.names), help=text,
    )  # fmt: skip


_METAVARS = {
    "model": "MODEL[,MODEL...]",
    "device": "DEVICE",
    "format": "FORMAT",
    "backend": "[cpu|cuda]",
}


def _type(option: Option) -> click.ParamType[Any] | type:
    types: Mapping[str, click.ParamType[Any] | type] = {
        "count": int, "counts": Counts(), "length": int, "lengths": LengthList(), "number": float,
        "numbers": float, "choice": click.Choice(option.choices),
    }  # fmt: skip
    return types.get(option.kind, str)


def _run(
    study: Study[Any],
    *,
    as_json: bool,
    figures: tuple[Path, ...] = (),
    folder: Path | None = None,
    **words: Any,
) -> None:
    given = {name: value for name, value in words.items() if value not in (None, ())}
    study.check(given)
    options = {option.name: option for option in study.options}
    shown = {name: given.pop(name) for name in list(given) if options[name].text}
    if as_json and shown:
        flag = options[next(iter(shown))].flag
        raise InvalidInputError(f"{flag} conflicts with --json.", f"Leave {flag} out.")
    for name, value in given.items():
        if options[name].kind == "names":
            given[name] = [word.strip() for text in value for word in text.split(",")]
    answer = _ask(study, given)
    if folder is not None:
        wanted = [(folder / f"{name}.svg", draw) for name, draw in study.figures.items()]
    else:
        wanted = [(path, draw) for path in figures for draw in study.figures.values()]
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

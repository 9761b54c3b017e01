"""Options that subcommands share: lists, numbers, names that a shell completes, the parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from memorywall.catalog.configs import config_names
from memorywall.catalog.device_names import device_names
from memorywall.core.errors import InvalidInputError, shown
from memorywall.core.parameters import PARAMETERS, Parameter
from memorywall.core.recipes import format_names
from memorywall.core.units import parse, read_counts
from memorywall.phases import phase_names

_Function = TypeVar("_Function", bound=Callable[..., Any])

_COUNTS = "N[,N...]"
_LENGTHS = "N[k|M][,...]"


class Words(click.ParamType[str]):
    """A word, or several between commas; the shell completes them, and the library checks them.

    ``files``: whether a path is accepted in place of a name.
    """

    def __init__(
        self, known: Callable[[], Iterable[str]], metavar: str = "", *, files: bool = False
    ) -> None:
        self.name = metavar or "text"
        self._metavar = metavar
        self._known = known
        self._files = files

    def get_metavar(
        self,
        param: click.Parameter,  # noqa: ARG002 - click's signature
        ctx: click.Context,  # noqa: ARG002
    ) -> str:
        """Return what help shows for it: the words themselves where no other text is given."""
        return self._metavar or f"[{'|'.join(self._known())}]"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return what the last of the words may become, after those before it."""
        before, comma, last = incomplete.rpartition(",")
        found = [CompletionItem(before + comma + word) for word in _beginning(self._known(), last)]
        if self._files and not comma:
            found.append(CompletionItem(incomplete, type="file"))
        return found


def _beginning(known: Iterable[str], start: str) -> Iterator[str]:
    """Yield the names that begin with a text, case ignored, an owner before a slash left aside."""
    folded = start.casefold()
    for name in known:
        short = name.rpartition("/")[2]
        if name.casefold().startswith(folded):
            yield name
        elif short.casefold().startswith(folded):
            yield short


MODEL = Words(config_names, "MODEL", files=True)
MODELS = Words(config_names, "MODEL[,MODEL...]", files=True)
DEVICE = Words(lambda: ("here", *device_names()), "DEVICE", files=True)
DEVICES = Words(lambda: ("here", *device_names()), "DEVICE[,DEVICE...]", files=True)
PHASES = Words(phase_names)
FORMAT = Words(lambda: format_names("weights"), "FORMAT")
BACKEND = Words(lambda: ("cpu", "cuda"))


def choice(words: Iterable[str]) -> Words:
    """Return the type of an option that is one of some words."""
    known = tuple(words)
    return Words(lambda: known)


def names(*flags: str, words: Words, **settings: Any) -> Callable[[_Function], _Function]:
    """Return an option of names: several between commas, and a repetition adds to them."""
    return click.option(*flags, type=words, multiple=True, callback=_split, **settings)


def counts(*flags: str, length: bool = False, **settings: Any) -> Callable[[_Function], _Function]:
    """Return an option of whole numbers: several between commas, and a repetition adds to them.

    ``length``: k is 1024 and M is 1024 k.
    """
    return click.option(
        *flags,
        metavar=_LENGTHS if length else _COUNTS,
        multiple=True,
        callback=partial(_read_several, length=length),
        **settings,
    )


def count(*flags: str, length: bool = False, **settings: Any) -> Callable[[_Function], _Function]:
    """Return an option of one whole number; ``length`` as of ``counts``."""
    return click.option(
        *flags,
        metavar="N[k|M]" if length else "N",
        callback=partial(_read_one, length=length),
        **settings,
    )


def quantity(*flags: str, unit: str, **settings: Any) -> Callable[[_Function], _Function]:
    """Return an option of a number with a unit, such as ``95 ns``; the value is in base units."""
    return click.option(*flags, callback=partial(_read_quantity, unit=unit), **settings)


def shares(*flags: str, **settings: Any) -> Callable[[_Function], _Function]:
    """Return an option of decimal numbers, with commas between them; a repetition adds to them."""
    return click.option(*flags, multiple=True, callback=_read_shares, **settings)


def backend(what: str, **settings: Any) -> Callable[[_Function], _Function]:
    """Return the option ``--backend``, and the refusal of its old spelling."""

    def decorate(function: _Function) -> _Function:
        old = click.option(
            "--device", hidden=True, expose_value=False, multiple=True, callback=_refuse_device
        )
        return old(click.option(
            "--backend", type=BACKEND, help=f"{what}  [default: cpu]", **settings
        )(function))  # fmt: skip

    return decorate


def parameters(function: _Function) -> _Function:
    """Add an option for every parameter of the table."""
    for parameter in reversed(PARAMETERS.values()):
        function = _option(parameter)(function)
    return function


def _option(parameter: Parameter) -> Callable[[_Function], _Function]:
    declared, text = (*parameter.flags, parameter.name), _help(parameter)
    if parameter.kind == "device":
        return names(*declared, words=DEVICES, required=True, help=text)
    if parameter.kind == "phase":
        return names(*declared, words=PHASES, help=text)
    if parameter.kind in ("length", "count"):
        of_numbers = counts if parameter.axis else count
        return of_numbers(*declared, length=parameter.kind == "length", help=text)
    if parameter.kind == "rate":
        return click.option(*declared, metavar="PER_SECOND", help=text)
    if parameter.kind == "pixels":
        return click.option(*declared, metavar="HEIGHT[xWIDTH]", help=text)
    if parameter.kind == "format":
        words = Words(partial(format_names, parameter.name), "FORMAT")
    else:
        words = choice(parameter.choices)
    return click.option(*declared, type=words, help=text)


def _help(parameter: Parameter) -> str:
    """Return a parameter's help, with what it requires and its default."""
    required = "" if parameter.requires is None else f"  [requires {parameter.requires.words}]"
    default = f"  [default: {parameter.default}]" if parameter.default else ""
    return f"{parameter.help}{required}{default}"


def _split(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> list[str]:
    return [word.strip() for text in given for word in text.split(",")]


def _read_several(
    _ctx: click.Context, param: click.Parameter, given: tuple[str, ...], *, length: bool
) -> list[int]:
    return [n for text in given for n in read_counts(text, param.opts[0], length=length)]


def _read_one(
    _ctx: click.Context, param: click.Parameter, given: str | None, *, length: bool
) -> int | None:
    if given is None:
        return None
    numbers = read_counts(given, param.opts[0], length=length)
    if len(numbers) > 1:
        raise InvalidInputError(f"{param.opts[0]} requires one value, got {len(numbers)}.")
    return numbers[0]


def _read_quantity(
    _ctx: click.Context, param: click.Parameter, given: str | None, *, unit: str
) -> float | None:
    return None if given is None else parse(given, unit, param.opts[0])


def _read_shares(
    _ctx: click.Context, param: click.Parameter, given: tuple[str, ...]
) -> list[float]:
    found = []
    for word in (word for text in given for word in text.split(",")):
        try:
            found.append(float(word))
        except ValueError:
            raise InvalidInputError(
                f"{param.opts[0]} must be a number, got {shown(word)}.", "Such as 0.8, or 0.8,0.95."
            ) from None
    return found


def _refuse_device(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> None:
    """Refuse --device, which was the option's name.

    Raises:
        InvalidInputError: it is given.
    """
    if given:
        raise InvalidInputError(
            "--device is not an option: a device is hardware, and PyTorch's cpu or cuda a backend.",
            f"Write --backend {given[0]}.",
        )

"""A study: one question followed at length, held by the folder of its name.

A study is found by its folder, which holds one constant, ``STUDY``. Its command, its help, its page
of the reference and its contract tests follow from that constant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

from memorywall.core.errors import InvalidInputError, UnknownNameError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_Result = TypeVar("_Result")

Kind: TypeAlias = Literal[
    "count",
    "counts",
    "length",
    "lengths",
    "number",
    "shares",
    "quantity",
    "name",
    "names",
    "flag",
    "choice",
]
Names: TypeAlias = Literal["", "model", "device", "format", "backend"]


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a study: a keyword of its run, and a flag of its command.

    Attributes:
        name: the keyword.
        help: what it sets, in one sentence.
        kind: ``count`` and ``counts``: whole numbers, one or several; ``length`` and ``lengths``:
            whole numbers of positions (k is 1024); ``number``: with a fraction; ``shares``: several
            of those; ``quantity``: a number with a unit, in base units where it is used; ``name``
            and ``names``: words; ``flag``: true where it is given; ``choice``: one of ``choices``.
        default: the value if it is not given, as text.
        flags: of the command; by default the keyword with dashes.
        names: the kind of things that its names denote.
        unit: the base unit of a quantity.
        choices: the accepted values.
        requires: the option without which it has no effect.
        conflicts: options that cannot be combined with it.
        argument: whether the command takes it without a flag.
        text: whether it affects only the text, not the computation.
    """

    name: str
    help: str
    kind: Kind
    default: str = ""
    flags: tuple[str, ...] = ()
    names: Names = ""
    unit: str = ""
    choices: tuple[str, ...] = ()
    requires: str = ""
    conflicts: tuple[str, ...] = ()
    argument: bool = False
    text: bool = False

    @property
    def flag(self) -> str:
        """The flag that messages name."""
        if self.argument:
            return (self.names or self.name).upper()  # as the usage line shows it
        return self.flags[0] if self.flags else f"--{self.name.replace('_', '-')}"


@dataclass(frozen=True, slots=True)
class Watch:
    """The receivers of a long run's reports.

    Attributes:
        progress: called with the number of parts that are done, and the number of all.
        stage: called with the name of the stage that begins.
    """

    progress: Callable[[int, int], object] = lambda _done, _total: None
    stage: Callable[[str], object] = lambda _stage: None


@dataclass(frozen=True, slots=True)
class Study(Generic[_Result]):
    """A question, its computation, and the presentation of its answer.

    Attributes:
        name: of its folder, with dashes.
        question: the question in one line.
        about: the computation and its interpretation: paragraphs.
        result: the type of the answer, whose record ``core.records`` writes and reads.
        run: the options that are given, by keyword, and a ``Watch``; the answer out.
        show: prints an answer on a page; the options of the text by keyword.
        options: of the question.
        figures: functions that draw an answer, by the name of the picture.
        examples: arguments of the command.
        waits: stages of a run that take longer than a few seconds, such as ``tracing``.
        brief: options under which it answers within seconds; contract tests give them.
    """

    name: str
    question: str
    about: str
    result: type[_Result]
    run: Callable[..., _Result]
    show: Callable[..., None]
    options: tuple[Option, ...] = ()
    figures: Mapping[str, Callable[[_Result], Figure]] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    waits: str = ""
    brief: Mapping[str, Any] = field(default_factory=dict)

    def option(self, name: str) -> Option:
        """Return an option by its keyword."""
        return next(option for option in self.options if option.name == name)

    def ask(self, watch: Watch | None = None, **given: Any) -> _Result:
        """Return the answer to the question, with the given options.

        Raises:
            UnknownNameError: no such option.
            InvalidInputError: an option without effect on the computation.
            MemoryWallError: a value that cannot be used; see its hint.
        """
        asked = {option.name for option in self.options if not option.text}
        for name in given:
            if name not in asked:
                raise UnknownNameError(f"option of the study {self.name}", name, asked)
        self.check(given)
        return self.run(watch=watch or Watch(), **given)

    def check(self, given: Mapping[str, Any]) -> None:
        """Refuse an option that has no effect in combination with the others.

        Raises:
            InvalidInputError: an option without the one that it requires, or with one that
                conflicts.
        """
        for option in map(self.option, given):
            if option.requires and option.requires not in given:
                required = self.option(option.requires).flag
                raise InvalidInputError(f"{option.flag} requires {required}.", f"Add {required}.")
            for other in option.conflicts:
                if other in given:
                    raise InvalidInputError(
                        f"{option.flag} conflicts with {self.option(other).flag}.",
                        "Give one of them.",
                    )

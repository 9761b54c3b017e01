"""The parameters of a question as asked: workload, formats and conventions.

None means that a parameter was not given. No default is stored here: ``settle`` fills them in.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from memorywall.core.errors import InvalidInputError, UnknownNameError, shown
from memorywall.core.numbers import LARGEST, Number, as_count
from memorywall.core.recipes import FORMAT_READERS
from memorywall.core.units import read_counts

Guidance: TypeAlias = Literal["on", "off"]
Traffic: TypeAlias = Literal["fused", "unfused"]
Causal: TypeAlias = Literal["half", "full"]
Logits: TypeAlias = Literal["last", "all", "none"]
Routing: TypeAlias = Literal["uniform", "skewed"]
LatentForm: TypeAlias = Literal["auto", "absorbed", "expanded", "reexpanded"]
Ceilings: TypeAlias = Literal["calibrated", "spec"]
Launch: TypeAlias = Literal["graph", "eager"]
Engine: TypeAlias = Literal["trtllm", "vllm", "sglang"]

# One step per new token is priced; above this number the answer would take too long.
MOST_NEW_TOKENS = 2**22
# Denoising steps are identical, and a few thousand are the most in use.
MOST_STEPS = 2**20
# The parameters that count positions, where k is 1024.
LENGTHS = ("seq_len", "source_len", "new_tokens", "cache_page", "input_len", "output_len")
# More requests in flight, or a second, than any deployment has.
MOST_REQUESTS = 2**24
_SMALL = 2**30


@dataclass(frozen=True, slots=True)
class Workload:
    """The work of the model; ``core/parameters.py`` defines each parameter.

    Numbers may be given as text, such as ``"128k"``, and are kept as numbers.

    Attributes:
        phase: the name of a phase; a file of ``memorywall/phases`` each.
        batch_size, seq_len, source_len, images: whole numbers, or arrays of them.
        new_tokens, steps: whole numbers.
        image_size: height and width in pixels, or one number for both.
        guidance: ``on`` or ``off``.
        input_len, output_len: tokens of a request's prompt, and of its answer.
        concurrency: requests in flight over all devices.
        request_rate: requests that arrive per second.
        engine: of ``Engine``.
    """

    phase: str | None = None
    batch_size: Number | None = None
    seq_len: Number | None = None
    new_tokens: int | None = None
    source_len: Number | None = None
    image_size: int | tuple[int, int] | None = None
    images: Number | None = None
    steps: int | None = None
    guidance: str | None = None
    input_len: int | None = None
    output_len: int | None = None
    concurrency: int | None = None
    request_rate: float | None = None
    engine: str | None = None

    def __post_init__(self) -> None:
        if self.guidance is not None:
            choose("guidance", self.guidance, get_args(Guidance))
        self._check("batch_size", self.batch_size, 1)
        self._check("seq_len", self.seq_len, 0)
        self._check("source_len", self.source_len, 1)
        images: object = self.images
        # The number may be 0, no image: the towers stay resident and do not run.
        self._check("images", self.images, 0 if isinstance(images, int | str) else 1)
        if self.image_size is not None:
            object.__setattr__(self, "image_size", as_image_size(self.image_size))
        if self.engine is not None:
            choose("engine", self.engine, get_args(Engine))
        if self.request_rate is not None:
            object.__setattr__(self, "request_rate", as_rate(self.request_rate, "request_rate"))
        for name, most in _ONE:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, one_count(_read(value, name), name, 1, most))

    def _check(self, name: str, value: Number | None, least: int) -> None:
        """Check a number or an array of whole numbers; most are small integers already."""
        if value is not None and not (type(value) is int and least <= value < _SMALL):
            object.__setattr__(self, name, as_count(_read(value, name), name, least))


_ONE = (
    ("new_tokens", MOST_NEW_TOKENS), ("steps", MOST_STEPS), ("input_len", MOST_NEW_TOKENS),
    ("output_len", MOST_NEW_TOKENS), ("concurrency", MOST_REQUESTS),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Precision:
    """Formats in memory, by name."""

    weights: str | None = None
    activations: str | None = None
    kv_cache: str | None = None
    state: str | None = None

    def __post_init__(self) -> None:
        for word, read in FORMAT_READERS.items():
            name = getattr(self, word)
            if name is not None:
                read(name)


@dataclass(frozen=True, slots=True)
class Conventions:
    """How things are counted."""

    traffic: str | None = None
    causal: str | None = None
    logits: str | None = None
    routing: str | None = None
    mla: str | None = None
    cache_page: int | None = None
    ceilings: str | None = None
    launch: str | None = None

    def __post_init__(self) -> None:
        given = (
            self.traffic, self.causal, self.logits, self.routing, self.mla, self.ceilings,
            self.launch,
        )  # fmt: skip
        for value, (name, choices) in zip(given, _CHOICES, strict=True):
            if value is not None:
                choose(name, value, choices)
        if self.cache_page is not None:
            page = one_count(_read(self.cache_page, "cache_page"), "cache_page", 0, LARGEST)
            object.__setattr__(self, "cache_page", page)


_CHOICES = (
    ("traffic", get_args(Traffic)),
    ("causal", get_args(Causal)),
    ("logits", get_args(Logits)),
    ("routing", get_args(Routing)),
    ("mla", get_args(LatentForm)),
    ("ceilings", get_args(Ceilings)),
    ("launch", get_args(Launch)),
)


def _read(value: object, name: str) -> object:
    """Return a text as its number or numbers, and any other value unchanged."""
    if not isinstance(value, str):
        return value
    numbers = read_counts(value, name, length=name in LENGTHS)
    return numbers[0] if len(numbers) == 1 else numbers


def as_image_size(size: object) -> tuple[int, int]:
    """Return height and width in pixels, of one whole number or two, or of a text: ``448x336``.

    Raises:
        InvalidInputError: anything else.
    """
    if isinstance(size, str) and "," not in size:
        sides = [read_counts(side, "image_size")[0] for side in size.casefold().split("x")]
        size = sides if len(sides) > 1 else sides[0]
    pair = tuple(size) if isinstance(size, list | tuple) else (size, size)
    if len(pair) == 2:
        height, width = (as_count(side, "image_size") for side in pair)
        if isinstance(height, int) and isinstance(width, int):
            return height, width
    raise InvalidInputError(
        f"image_size must be a whole number of pixels, or height and width, got {shown(size)}"
    )


def as_rate(value: object, name: str) -> float:
    """Return a positive number per second, of a number or of its text.

    Raises:
        InvalidInputError: anything else.
    """
    rate = 0.0
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        with suppress(ValueError):
            rate = float(value)
    if not 0 < rate <= MOST_REQUESTS:
        raise InvalidInputError(
            f"{name} must be a number per second over 0, up to {MOST_REQUESTS:,}, got "
            f"{shown(value)}"
        )
    return rate


def one_count(value: object, name: str, least: int, most: int) -> int:
    """Check one whole number from ``least`` to ``most``.

    Raises:
        InvalidInputError: an array, a fraction, or out of range.
    """
    number = as_count(value, name, least)
    if not isinstance(number, int) or number > most:
        raise InvalidInputError(
            f"{name} must be one whole number from {least} to {most}, got {shown(value)}"
        )
    return number


def choose(name: str, value: object, known: tuple[str, ...]) -> None:
    """Check that a value is one of the known ones.

    Raises:
        UnknownNameError: it is not.
    """
    if not isinstance(value, str) or value not in known:
        raise UnknownNameError(name, value, known, f"One of {', '.join(known)}.")

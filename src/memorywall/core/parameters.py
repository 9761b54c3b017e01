"""The parameters of a question, each declared once: library keyword, flag, axis, documentation.

``settle`` refuses a parameter that has no effect on a model or in a phase; the command's flags, the
library's keywords and ``docs/reference/parameters.md`` come from this table. A parameter with an
``effect`` is complete with its entry; the others are fields that a phase, a family or a cost reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, get_args

from memorywall.core.errors import InvalidInputError, UnknownNameError, shown
from memorywall.core.numbers import LARGEST, Number, plain
from memorywall.core.recipes import FORMAT_READERS
from memorywall.core.traits import Traits
from memorywall.core.units import read_counts
from memorywall.core.workload import (
    Causal,
    Ceilings,
    Engine,
    Guidance,
    LatentForm,
    Launch,
    Logits,
    Routing,
    Traffic,
    as_image_size,
    as_rate,
    choose,
    one_count,
)

if TYPE_CHECKING:
    from memorywall.core.question import Question

Part: TypeAlias = Literal[
    "hardware", "layout", "workload", "precision", "conventions", "adjustments"
]
Kind: TypeAlias = Literal[
    "device", "phase", "length", "count", "rate", "pixels", "format", "choice"
]
Numbers: TypeAlias = "Number | str | Sequence[int]"


@dataclass(frozen=True, slots=True)
class Requirement:
    """A property that a model must have for a parameter: as text, and as a test of its traits."""

    words: str
    holds: Callable[[Traits], bool]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter.

    Attributes:
        name: keyword of the library, field of the scenario, and flag with dashes.
        part: the value of ``Scenario`` that holds it; ``adjustments`` if it has an ``effect``.
        kind: ``device``: a name or a file; ``phase``: a file of ``memorywall/phases``;
            ``length``: whole numbers, of which k is 1024 and M is 1024 k; ``count``: whole numbers;
            ``rate``: a number per second;
            ``pixels``: height and width; ``format``: a name of ``core/formats.py``,
            for weights of ``core/recipes.py`` too; ``choice``: one
            of ``choices``.
        help: what it sets, in one sentence.
        default: the value if none is given, as text; empty if the parameter is required.
        requires: the property that a model must have for it; None where it applies to every model.
        choices: the words of a choice.
        aliases: other names that the command and the library accept.
        unit: of its number.
        axis: whether it may be an array, an axis of a grid; an adjustment is one value.
        phases: the names of the phases in which it applies, in addition to those whose ``words``
            have it.
        effect: of an adjustment: the settled question and the value in, the question as the value
            changes it out. May raise InvalidInputError for a value that conflicts with the
            question.
    """

    name: str
    part: Part
    kind: Kind
    help: str
    default: str
    requires: Requirement | None = None
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    unit: str = ""
    axis: bool = False
    phases: tuple[str, ...] = ()
    effect: Callable[[Question, Any], Question] | None = None

    @property
    def flags(self) -> tuple[str, ...]:
        """Its flags in the command, the shortest first."""
        return tuple(f"--{name.replace('_', '-')}" for name in (*self.aliases, self.name))

    @property
    def listed(self) -> bool:
        """Whether the command takes several of it: axes of a grid, or answers one by one."""
        return self.axis or self.kind in ("device", "phase")

    def read(self, value: Any) -> Any:
        """Return one value as its kind, with text as a number: ``"4k"`` of a length is 4096.

        Raises:
            InvalidInputError: no whole number from 1, or no size of an image.
            UnknownNameError: no number format, or none of the choices.
        """
        if self.kind == "pixels":
            return as_image_size(value)
        if self.kind == "rate":
            return as_rate(value, self.name)
        if self.kind == "format":
            return FORMAT_READERS[self.name](value).name
        if self.kind in ("length", "count"):
            if isinstance(value, str):
                numbers = read_counts(value, self.name, length=self.kind == "length")
                value = numbers[0] if len(numbers) == 1 else numbers
            return one_count(value, self.name, 1, LARGEST)
        choose(self.name, value, self.choices)
        return value

    def adjust(self, question: Question, value: Any) -> Question:
        """Return a settled question as a value of this parameter changes it."""
        return question if self.effect is None else self.effect(question, value)


TEXT = Requirement("a text", lambda traits: traits.reads_text)
SOURCE = Requirement("an encoder with a decoder", lambda traits: traits.source is not None)
IMAGES = Requirement("images", lambda traits: traits.images is not None)
IMAGES_BESIDE_TEXT = Requirement(
    "images beside a text", lambda traits: traits.images is not None and traits.images.with_text
)
DENOISING = Requirement("denoising", lambda traits: traits.denoising is not None)
CACHE = Requirement("a KV cache", lambda traits: traits.caches)
STATE = Requirement(
    "recurrent state", lambda traits: traits.state is not None and traits.state.dtype is not None
)
MASKS = Requirement("masked attention", lambda traits: traits.masks)
HEAD = Requirement("a head", lambda traits: traits.head)
EXPERTS = Requirement("a mixture of experts", lambda traits: traits.experts)
LATENT = Requirement("latent attention", lambda traits: traits.latent)


PARAMETERS: dict[str, Parameter] = {
    parameter.name: parameter
    for parameter in (
        Parameter(
            "on", "hardware", "device",
            "Device: a name, the path of a TOML, here (this machine, measured), forecast:2030.",
            "",
        ),
        Parameter(
            "phase", "workload", "phase", "The work that the model does.",
            "decode for generative models, denoise for diffusion models, otherwise encode",
        ),
        Parameter(
            "batch_size", "workload", "count", "Sequences; for models without text, images.",
            "1", aliases=("batch",), unit="sequences", axis=True,
        ),
        Parameter(
            "seq_len", "workload", "length",
            "Positions of each sequence, those of its images included; for an encoder-decoder, of "
            "the decoder.",
            "2048; for encoders and encoder-decoders 512; with images only, the image's positions",
            TEXT, aliases=("seq",), unit="positions", axis=True,
        ),
        Parameter(
            "source_len", "workload", "length", "Positions of each source of an encoder-decoder.",
            "the model's fixed number, otherwise as seq_len", SOURCE, aliases=("source",),
            unit="positions", axis=True,
        ),
        Parameter(
            "image_size", "workload", "pixels", "Height and width of each image.",
            "the size that the model was made for", IMAGES, unit="pixels",
        ),
        Parameter(
            "images", "workload", "count", "Images of each sequence.", "1",
            IMAGES_BESIDE_TEXT, unit="images", axis=True,
        ),
        Parameter(
            "new_tokens", "workload", "length", "Tokens that generate makes for each sequence.",
            "128", unit="tokens",
        ),
        Parameter(
            "steps", "workload", "count", "Denoising steps.", "as in the usual pipeline",
            DENOISING, unit="steps",
        ),
        Parameter(
            "guidance", "workload", "choice",
            "Whether each denoising step runs with the prompt and without it.",
            "as in the usual pipeline", DENOISING, choices=get_args(Guidance),
        ),
        Parameter(
            "input_len", "workload", "length", "Tokens of the prompt of a request.", "1024",
            TEXT, unit="tokens",
        ),
        Parameter(
            "output_len", "workload", "length", "Tokens that a request is answered with.", "1024",
            TEXT, unit="tokens",
        ),
        Parameter(
            "concurrency", "workload", "count",
            "Requests in flight over all devices; with request_rate, the most of them.",
            "1; with request_rate, as many as the memory holds", TEXT, unit="requests",
        ),
        Parameter(
            "request_rate", "workload", "rate",
            "Requests that arrive per second, at random; without it a finished request is replaced "
            "at once.",
            "none", TEXT, unit="requests/s",
        ),
        Parameter(
            "engine", "workload", "choice", "Engine that serves.", "vllm", TEXT,
            choices=get_args(Engine),
        ),
        Parameter(
            "devices", "layout", "count",
            "Devices: tensor x pipeline x attention_data. A degree that is missing is derived.",
            "1", unit="devices",
        ),
        Parameter(
            "tensor", "layout", "count", "Devices that share each product and each head's work.",
            "devices over the other degrees", unit="devices",
        ),
        Parameter(
            "pipeline", "layout", "count", "Stages of layers; over 1 is not divided yet.", "1",
            unit="devices",
        ),
        Parameter(
            "expert", "layout", "count",
            "Groups of devices among which whole experts are divided; the devices of a group share "
            "each of them.",
            "1", EXPERTS, unit="devices",
        ),
        Parameter(
            "attention_data", "layout", "count",
            "Groups of devices, each of which attends to a part of the sequences.", "1",
            unit="devices",
        ),
        Parameter(
            "weights", "precision", "format", "Format of all weights, or a recipe: Q4_K_M.",
            "as stored",
        ),
        Parameter(
            "activations", "precision", "format", "Format of activations and of arithmetic.",
            "the config's dtype",
        ),
        Parameter(
            "kv_cache", "precision", "format", "Format of the KV cache.",
            "the checkpoint's, else the config's dtype",
            CACHE,
        ),
        Parameter(
            "state", "precision", "format", "Format of recurrent state.",
            "as the architecture prescribes", STATE,
        ),
        Parameter(
            "traffic", "conventions", "choice",
            "fused: attention scores stay on chip, and elementwise operators are fused into their "
            "producer; unfused: every operator reads its inputs and writes its outputs.",
            "fused", choices=get_args(Traffic),
        ),
        Parameter(
            "causal", "conventions", "choice",
            "Count masked attention as half (masked pairs skipped) or full.", "half",
            MASKS, choices=get_args(Causal),
        ),
        Parameter(
            "logits", "conventions", "choice",
            "Rows of the head: last, one a sequence; all, every token; none, no head.", "last",
            HEAD, choices=get_args(Logits),
        ),
        Parameter(
            "routing", "conventions", "choice",
            "How tokens choose experts: uniform, all equally likely; skewed, some are more "
            "popular.",
            "uniform", EXPERTS, choices=get_args(Routing),
        ),
        Parameter(
            "mla", "conventions", "choice",
            "Form of latent attention: absorbed, heads attend to cached latents; expanded, keys "
            "and values of every head are cached; reexpanded, latents are projected in every pass.",
            "auto: absorbed in decode and where tokens select, else reexpanded", LATENT,
            choices=get_args(LatentForm),
        ),
        Parameter(
            "cache_page", "conventions", "length",
            "Positions of the KV cache that an engine reserves at a time (vLLM: 16); beside a "
            "window it keeps 1,024 positions of a prefill.",
            "exactly the positions that the architecture needs", CACHE, unit="positions",
        ),
        Parameter(
            "ceilings", "conventions", "choice",
            "calibrated: predict the time by constants fitted to measurements of the device or of "
            "its class; spec: the bound at the data sheet alone.",
            "calibrated", choices=get_args(Ceilings),
        ),
        Parameter(
            "launch", "conventions", "choice",
            "graph: kernels are launched by the device, from a captured graph or by an engine; "
            "eager: by a framework, operator by operator.",
            "graph", choices=get_args(Launch),
        ),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Adjustments:
    """The parameters with an ``effect`` that were given.

    Attributes:
        given: names and values, in the order of the table; texts are kept as numbers.
    """

    given: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if not self.given:
            return
        known = [p.name for p in PARAMETERS.values() if p.part == "adjustments"]
        for name, _ in self.given:
            if name not in known:
                raise UnknownNameError("adjustment", name, known)
        read = ((name, PARAMETERS[name].read(value)) for name, value in self.given)
        ordered = sorted(read, key=lambda pair: known.index(pair[0]))
        object.__setattr__(self, "given", tuple(ordered))


class Words(TypedDict, total=False):
    """The keywords of ``memorywall.analyze`` except model and device, with their aliases.

    It is for type checkers, which know no other keyword; at run time the table decides.
    """

    phase: str | None
    batch_size: Numbers | None
    batch: Numbers | None
    seq_len: Numbers | None
    seq: Numbers | None
    source_len: Numbers | None
    source: Numbers | None
    image_size: int | str | Sequence[int] | None
    images: Numbers | None
    new_tokens: int | str | None
    steps: int | str | None
    guidance: str | None
    weights: str | None
    activations: str | None
    kv_cache: str | None
    state: str | None
    traffic: str | None
    causal: str | None
    logits: str | None
    routing: str | None
    mla: str | None
    cache_page: int | str | None
    ceilings: str | None
    launch: str | None
    input_len: int | str | None
    output_len: int | str | None
    concurrency: int | str | None
    request_rate: float | str | None
    engine: str | None
    devices: int | str | None
    tensor: int | str | None
    pipeline: int | str | None
    expert: int | str | None
    attention_data: int | str | None


_NAME_OF = {
    word: parameter.name
    for parameter in PARAMETERS.values()
    if parameter.part != "hardware"
    for word in (parameter.name, *parameter.aliases)
}


def by_part(words: Mapping[str, Any]) -> dict[Part, dict[str, Any]]:
    """Return words, each under its parameter's name, by the part of the scenario that holds them.

    Raises:
        UnknownNameError: no parameter has that name.
        InvalidInputError: a parameter given under two names.
    """
    parts: dict[Part, dict[str, Any]] = {
        "layout": {}, "workload": {}, "precision": {}, "conventions": {}, "adjustments": {},
    }  # fmt: skip
    for word, value in words.items():
        if value is None:
            continue
        name = _NAME_OF.get(word)
        if name is None:
            raise UnknownNameError("parameter", word, _NAME_OF)
        part = parts[PARAMETERS[name].part]
        if name in part:
            aliases = " and ".join(w for w in words if _NAME_OF.get(w) == name)
            raise InvalidInputError(
                f"{aliases} are one parameter, got {shown(plain(part[name]))} and "
                f"{shown(plain(value))}.",
                f"Give {name} alone.",
            )
        part[name] = value
    return parts

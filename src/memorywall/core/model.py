"""What a model is to the rest of the program: an architecture that can be lowered."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

from memorywall.core.formats import FORMATS, Format
from memorywall.core.numbers import Number, halved, maximum, minimum
from memorywall.core.program import Program
from memorywall.core.storage import Storage, Stored


@dataclass(slots=True, eq=False)
class Forward:
    """One forward pass: ``batch`` sequences of ``tokens`` new tokens each on ``past`` cached ones.

    Attributes:
        full: pair every token with every position, as an eager kernel under a mask does.
        logits: rows of the head: ``last``, ``all`` or ``none``.
        routing: how tokens choose experts: ``uniform`` or ``skewed``.
        mla: the form of latent attention: ``absorbed``, ``expanded`` or ``reexpanded``.
        cache_page: positions that the cache grows by; 0 for one at a time, no more than a window.
        source: positions that the encoder of an encoder-decoder makes of one source.
        stacks: which halves of an encoder-decoder run: ``both``, ``encoder`` or ``decoder``; what
            does not run stays resident.
        storage: formats of single weights, where they do not all have the format ``weights``.
    """

    batch: Number
    tokens: Number
    past: Number
    weights: Format
    activations: Format
    kv_cache: Format
    full: bool = False
    logits: str = "last"
    routing: str = "uniform"
    mla: str = "reexpanded"
    cache_page: int = 0
    source: Number = 1
    stacks: str = "both"
    storage: Storage | None = None

    @property
    def encodes(self) -> bool:
        """Whether the encoder runs, and the cross-attention's keys and values are made."""
        return self.stacks != "decoder"

    @property
    def decodes(self) -> bool:
        """Whether the decoder runs."""
        return self.stacks != "encoder"

    def of_source(self) -> Forward:
        """Return the encoder's part of this pass: the source are its tokens, and it has no past."""
        return replace(self, tokens=self.source, past=0)

    def keys(self, window: int | None = None, chunk: int | None = None) -> Number:
        """Positions that the new tokens attend to, all of them together."""
        if chunk is not None:
            # A framework passes over the last positions as over a window's, and masks.
            past = minimum(self.past, chunk - 1) if self.full else self.past % chunk
        else:
            past = self.past if window is None else minimum(self.past, window - 1)
        return past + self.tokens

    def pairs(self, causal: bool, window: int | None = None, chunk: int | None = None) -> Number:
        """Count the (query, key) pairs of one sequence and head.

        The i-th of T tokens on P cached attends to min(P + i, window) positions: the first
        ``growing`` tokens to one more each, the rest to a full window. Who looks both ways looks
        back twice and meets itself once. Of chunks a token attends to the positions of its own up
        to itself.
        """
        if self.full or (not causal and window is None):
            return self.tokens * self.keys(window, chunk)
        if chunk is not None:
            return _chunk_pairs(self.past + self.tokens, chunk) - _chunk_pairs(self.past, chunk)
        growing = self.tokens
        if window is not None:
            growing = maximum(minimum(self.tokens, window - self.past), 0)
        pairs = growing * self.past + halved(growing * (growing + 1))
        if window is not None:
            pairs = pairs + (self.tokens - growing) * window
        return pairs if causal else 2 * pairs - self.tokens

    def cached(self, window: int | None = None) -> Number:
        """Positions of one sequence that the cache must hold after this pass.

        An engine that pages sets whole pages aside, and in layers with a window as many as in the
        others (hf-mem#70: so does vLLM).
        """
        held = self.past + self.tokens
        if self.cache_page:
            return self.paged(held)
        return held if window is None else minimum(held, window)

    def paged(self, positions: Number) -> Number:
        """Return positions rounded up to whole pages."""
        page = self.cache_page or 1
        return -(-positions // page) * page

    @property
    def rows(self) -> Number:
        """Tokens of all sequences."""
        return self.batch * self.tokens

    @property
    def head_rows(self) -> Number:
        """Rows that the head is computed for."""
        return {"last": self.batch, "all": self.rows, "none": 0}[self.logits]


def _chunk_pairs(positions: Number, chunk: int) -> Number:
    """Count the pairs of the first so many positions: 1 + ... + chunk, and again."""
    whole, rest = positions // chunk, positions % chunk
    return whole * (chunk * (chunk + 1) // 2) + halved(rest * (rest + 1))


class Architecture(Hashable, Protocol):
    """What every family knows of a model beside its operators; read from its config."""

    @property
    def class_name(self) -> str:
        """The transformers class whose weights are counted."""

    @property
    def causal(self) -> bool:
        """Whether it generates: it then has a cache and the phases prefill and decode."""

    @property
    def dtype(self) -> str:
        """The format that the config names, or ``bf16``."""

    @property
    def max_positions(self) -> int | None:
        """Positions it was made for; None where the architecture sets no limit."""

    @property
    def windows(self) -> tuple[int, ...]:
        """Lengths past which some layer no longer looks back."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed or left out when the config was read."""


@runtime_checkable
class EncoderDecoder(Protocol):
    """What an architecture knows beside where an encoder reads a source for its decoder."""

    @property
    def fixed_source(self) -> int | None:
        """Positions that every source has (Whisper's 1500); None where the text decides."""


@dataclass(frozen=True, slots=True)
class Family:
    """A way of reading configs and of lowering what was read: one file in ``families``.

    Attributes:
        name: its module's name.
        model_types: the ``model_type`` of the configs that it reads.
        read: config and the place it came from, in; architecture out. Raises InvalidInputError
            with every fault of the config, or UnsupportedError.
        lower: architecture and forward pass in; unfused program out.
    """

    name: str
    model_types: tuple[str, ...]
    read: Callable[[Mapping[str, Any], str], Any]
    lower: Callable[[Any, Forward], Program]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a config was read; nested keys have dots.

    Attributes:
        used: keys that were looked at, with their values.
        assumed: keys that were looked for and are absent or null, with what was taken instead.
        unused: keys that nothing looked at, with their values.
    """

    used: tuple[tuple[str, Any], ...] = ()
    assumed: tuple[tuple[str, Any], ...] = ()
    unused: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """A named architecture with the family that lowers it.

    Attributes:
        config: what it was read from.
        reading: how that was read.
        storage: the formats of its weights, where they are not all in the config's dtype.
        stored: what its files hold, where there are files.
        reads_source: whether an encoder reads a source for it, as long as ``source_len`` says.
        fixed_source: positions that every source has; None where there is none or they vary.
    """

    name: str
    family: Family
    architecture: Architecture
    config: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    reading: Reading = field(default=Reading(), compare=False, repr=False)
    storage: Storage | None = None
    stored: Stored | None = None
    reads_source: bool = field(init=False, compare=False, repr=False)
    fixed_source: int | None = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        reads_source, fixed_source = False, None
        if isinstance(self.architecture, EncoderDecoder):  # asked once, since it is slow to tell
            reads_source, fixed_source = True, self.architecture.fixed_source
        object.__setattr__(self, "reads_source", reads_source)
        object.__setattr__(self, "fixed_source", fixed_source)

    @property
    def causal(self) -> bool:
        """Whether it generates."""
        return self.architecture.causal

    @property
    def dtype(self) -> str:
        """The format that its config names, or ``bf16``."""
        return self.architecture.dtype

    def lower(self, forward: Forward) -> Program:
        """Return the operators of one forward pass, unfused."""
        return self.family.lower(self.architecture, forward)

    @property
    def parameters(self) -> int:
        """Weights of ``class_name``: counted from the operators' own tensors, never stored."""
        return _parameters(self.family, self.architecture)[0]

    @property
    def active_parameters(self) -> int:
        """Weights that a single token uses: all but those of the experts that it does not choose.

        Embedding tables count whole, as model cards count them.
        """
        return _parameters(self.family, self.architecture)[1]


@lru_cache(maxsize=1024)
def _parameters(family: Family, architecture: Architecture) -> tuple[int, int]:
    """Return all the weights, and those that one token uses."""
    any_format = FORMATS["bf16"]
    one_token = Forward(1, 1, 0, any_format, any_format, any_format)
    program = family.lower(architecture, one_token)
    return program.parameters, program.parameters - program.idle_parameters

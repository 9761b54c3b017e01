"""What a model is to the rest of the program: an architecture that can be lowered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from memorywall.core.architecture import (
    Architecture,
    Denoiser,
    EncoderDecoder,
    Recurrent,
    SeesImages,
)
from memorywall.core.formats import FORMATS
from memorywall.core.forward import Forward
from memorywall.core.program import Program
from memorywall.core.storage import Storage, Stored


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
        images: what it knows of images; None where it sees none.
        recurrent: whether layers keep state in place of a cache, or beside one.
        state_dtype: the format that the architecture keeps it in; None for the activations'.
        denoiser: what it knows of denoising; None where it does not denoise.
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
    images: SeesImages | None = field(init=False, compare=False, repr=False)
    recurrent: bool = field(init=False, compare=False, repr=False)
    state_dtype: str | None = field(init=False, compare=False, repr=False)
    denoiser: Denoiser | None = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        reads_source, fixed_source = False, None
        if isinstance(self.architecture, EncoderDecoder):  # asked once, since it is slow to tell
            reads_source, fixed_source = True, self.architecture.fixed_source
        object.__setattr__(self, "reads_source", reads_source)
        object.__setattr__(self, "fixed_source", fixed_source)
        images = self.architecture if isinstance(self.architecture, SeesImages) else None
        object.__setattr__(self, "images", images)
        recurrent, state_dtype = False, None
        if isinstance(self.architecture, Recurrent):
            recurrent, state_dtype = self.architecture.recurrent, self.architecture.state_dtype
        object.__setattr__(self, "recurrent", recurrent)
        object.__setattr__(self, "state_dtype", state_dtype)
        denoiser = self.architecture if isinstance(self.architecture, Denoiser) else None
        object.__setattr__(self, "denoiser", denoiser)

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
    program = family.lower(architecture, one_token(architecture))
    return program.parameters, program.parameters - program.idle_parameters


def one_token(architecture: Architecture) -> Forward:
    """Return the least pass: a token, of the shortest source, and an image where they are seen."""
    any_format = FORMATS["bf16"]
    forward = Forward(1, 1, 0, any_format, any_format, any_format)
    if isinstance(architecture, SeesImages):
        forward.image_size = architecture.image_size
    if isinstance(architecture, EncoderDecoder):
        forward.source = architecture.fixed_source or 1
    return forward

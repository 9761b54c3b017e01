"""A model for the rest of the program: an architecture that can be lowered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from memorywall.core.architecture import Architecture
from memorywall.core.formats import FORMATS
from memorywall.core.forward import Forward
from memorywall.core.program import Program
from memorywall.core.quantities import record_of
from memorywall.core.storage import Storage, Stored
from memorywall.core.stored_layers import split_layers
from memorywall.core.traits import Traits


@dataclass(frozen=True, slots=True)
class Family:
    """A reader of configs and a lowering of the architectures read: one file in ``families``.

    Attributes:
        name: its module's name.
        model_types: the ``model_type`` of the configs that it reads.
        read: config and its location in; architecture out. Raises InvalidInputError with every
            fault of the config, or UnsupportedError.
        lower: architecture and forward pass in; unfused program out.
    """

    name: str
    model_types: tuple[str, ...]
    read: Callable[[Mapping[str, Any], str], Any]
    lower: Callable[[Any, Forward], Program]


@dataclass(frozen=True, slots=True)
class Reading:
    """The record of reading a config; nested keys have dots.

    Attributes:
        used: keys that were read, with their values.
        assumed: keys that are absent or null, with the values assumed instead.
        unused: keys that were not read, with their values.
        notes: what was taken for what, and keys of unknown effect.
        model_type: that the family read.
    """

    used: tuple[tuple[str, Any], ...] = ()
    assumed: tuple[tuple[str, Any], ...] = ()
    unused: tuple[tuple[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    model_type: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """A named architecture with the family that lowers it.

    Attributes:
        config: the source config.
        reading: the record of reading it.
        storage: the formats of its weights, if they are not all in the config's dtype.
        stored: the tensors of its files, if any.
        text_part: whether it is the decoder of a model that sees images, without its towers.
        traits: those that its architecture states.
    """

    name: str
    family: Family
    architecture: Architecture
    config: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    reading: Reading = field(default=Reading(), compare=False, repr=False)
    storage: Storage | None = None
    stored: Stored | None = None
    text_part: bool = False
    traits: Traits = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "traits", self.architecture.traits)

    @property
    def causal(self) -> bool:
        """Whether it generates."""
        return self.traits.causal

    @property
    def dtype(self) -> str:
        """The format that its config names, or ``bf16``."""
        return self.architecture.dtype

    def lower(self, forward: Forward) -> Program:
        """Return the operators of one forward pass, unfused."""
        program = self.family.lower(self.architecture, forward)
        storage = forward.storage
        if storage is None or storage.by_module is None or not storage.by_module.by_layer:
            return program
        return split_layers(program, storage, forward)

    @property
    def parameters(self) -> int:
        """Weights of ``class_name``: counted from the operators' tensors, never stored."""
        return count_parameters(self.family, self.architecture)

    @property
    def active_parameters(self) -> int:
        """Weights that a single token uses, as most model cards count them.

        Left out are experts that it does not choose, towers for images, and tables of which it
        reads a row: of words, unless the table is the head too, and of positions.
        """
        return _active_parameters(self.family, self.architecture)

    def to_dict(self) -> dict[str, Any]:
        """Return its record, the quantities of the group ``model``."""
        return record_of("model", self)


def count_parameters(family: Family, architecture: Architecture) -> int:
    """Return the weights of an architecture, each stored array counted once."""
    return _parameters(family, architecture)


@lru_cache(maxsize=1024)
def _parameters(family: Family, architecture: Architecture) -> int:
    """Return the number of all weights."""
    return family.lower(architecture, one_token(architecture)).parameters


@lru_cache(maxsize=1024)
def _active_parameters(family: Family, architecture: Architecture) -> int:
    """Return the number of weights that one token uses: of text, where a model reads text."""
    forward, images = one_token(architecture), architecture.traits.images
    if images is not None and images.with_text and architecture.traits.causal:
        forward.images = 0
    return family.lower(architecture, forward).active_parameters


def one_token(architecture: Architecture) -> Forward:
    """Return the smallest pass: one token, the shortest source, and one image if it has images."""
    any_format = FORMATS["bf16"]
    forward = Forward(1, 1, 0, any_format, any_format, any_format)
    traits = architecture.traits
    if traits.images is not None:
        forward.image_size = traits.images.size
    if traits.source is not None:
        forward.source = traits.source.fixed or 1
    return forward

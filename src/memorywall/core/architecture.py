"""The properties that every family states for a model, in addition to its operators."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from memorywall.core.traits import Traits


class Architecture(Hashable, Protocol):
    """An architecture read from a config by a family."""

    @property
    def class_name(self) -> str:
        """The transformers class whose weights are counted."""

    @property
    def dtype(self) -> str:
        """The format that the config names, or ``bf16``."""

    @property
    def max_positions(self) -> int | None:
        """Positions of its training context; None if the architecture sets no limit."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Assumptions and omissions of reading the config."""

    @property
    def traits(self) -> Traits:
        """The traits of the model: causal, with a source, with images, recurrent, traced."""

"""What every family states of a model beside its operators."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from memorywall.core.traits import Traits


class Architecture(Hashable, Protocol):
    """An architecture as a family read it from a config."""

    @property
    def class_name(self) -> str:
        """The transformers class whose weights are counted."""

    @property
    def dtype(self) -> str:
        """The format that the config names, or ``bf16``."""

    @property
    def max_positions(self) -> int | None:
        """Positions it was made for; None where the architecture sets no limit."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Assumptions and omissions of reading the config."""

    @property
    def traits(self) -> Traits:
        """What the model is: causal, with a source, with images, recurrent, traced."""

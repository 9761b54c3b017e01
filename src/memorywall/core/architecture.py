"""What a family knows of a model beside its operators: of every one, and of those of a kind."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol, runtime_checkable


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


@runtime_checkable
class SeesImages(Protocol):
    """What an architecture knows beside where images come in, or come out."""

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels that it was made for; of those that take any, a usual one."""

    @property
    def reads_text(self) -> bool:
        """Whether ``seq_len`` counts a text; else the tokens of the image are the sequence."""

    def image_tokens(self, height: int, width: int) -> int:
        """Positions that one image takes, in the decoder of one that generates.

        Raises:
            InvalidInputError: it cannot look at an image of that size.
        """

    def image_notes(self, height: int, width: int) -> tuple[str, ...]:
        """What to know of images of that size."""


@runtime_checkable
class Recurrent(Protocol):
    """What an architecture knows beside where layers keep state in place of a cache, or beside."""

    @property
    def state_dtype(self) -> str | None:
        """The format that recurrent state is kept in; None for the activations'."""

    @property
    def recurrent(self) -> bool:
        """Whether any layer keeps state."""


@runtime_checkable
class Denoiser(Protocol):
    """What an architecture knows beside where it makes images of noise, a step at a time."""

    @property
    def steps(self) -> int:
        """Denoising steps where nobody says how many."""

    @property
    def guided(self) -> bool:
        """Whether a step is usually taken twice, with what is asked for and without.

        Classifier-free guidance (Ho and Salimans, 2022) goes on from the difference of the two.
        """

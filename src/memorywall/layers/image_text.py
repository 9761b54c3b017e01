"""Image-text models: a tower's rows enter a decoder in place of words.

The decoder is one that another family reads, by the ``model_type`` of its part of the config, and
is lowered as there. A prefill encodes the images and runs the decoder over all positions;
``encode`` looks alone, ``decode`` leaves the tower resident.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Protocol

from memorywall.core.forward import Forward
from memorywall.core.images import written
from memorywall.core.numbers import Number, halved
from memorywall.core.program import Block, Program
from memorywall.core.tensors import Tensor
from memorywall.core.traits import Images, Traits
from memorywall.layers.decoder import Decoder, hidden_states
from memorywall.layers.decoder import lower as lower_decoder
from memorywall.layers.encoder_decoder import halves
from memorywall.layers.image_pooling import Pooling, lower_pooling
from memorywall.layers.projector import Projector, lower_projector
from memorywall.layers.tape import Tape
from memorywall.layers.vision_tower import Tower, looking, lower_tower, of_images


class Sight(Protocol):
    """The vision part of a model: its tower, its projector, and the number of tokens per image."""

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width that it was made for, or a usual one."""

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return the size to which an image is resized before the tower."""

    def tokens(self, height: int, width: int) -> int:
        """Positions of the decoder that an image takes."""

    def notes(self, height: int, width: int) -> tuple[str, ...]:
        """Return notes on images of a size."""

    def lower(self, forward: Forward) -> tuple[list[Block], Tensor]:
        """Return the blocks that encode all images, and their output rows."""


class Resizing(ABC):
    """A tower whose images are resized by their own size; the part that all such towers share."""

    __slots__ = ()
    tower: Tower
    projector: Projector

    @abstractmethod
    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return the size to which an image is resized before the tower."""

    def tokens(self, height: int, width: int) -> int:
        """Positions of the decoder that an image takes."""
        return self.projector.rows(self.tower.patches.grid(*self.resized(height, width)))

    def notes(self, height: int, width: int) -> tuple[str, ...]:
        """Return notes on images of a size."""
        size = self.resized(height, width)
        if size == (height, width):
            return ()
        return (f"Images of {written((height, width))} are resized to {written(size)} pixels.",)

    def images_of(self, forward: Forward) -> Forward:
        """Return the pass of the tower over all images, resized."""
        size = self.resized(*forward.image_size)
        return replace(forward, image_size=size).of_images(self.tower.image_tokens(*size))


@dataclass(frozen=True, slots=True)
class OneView:
    """A tower that looks once at an image, which is resized to what the tower was made for.

    ``normed``: whether the projector reads what the last norm left; else what the layers left.
    """

    tower: Tower
    top: Pooling
    projector: Projector
    normed: bool = True

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width that images are resized to."""
        return self.tower.patches.image_size

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return the size that an image is resized to."""
        return self.tower.patches.looked_at(height, width)

    def tokens(self, height: int, width: int) -> int:
        """Rows that the projector makes of an image."""
        kept = self.tower.tokens - self.projector.dropped
        return kept + self.projector.rows(self.tower.patches.grid(height, width))

    def notes(self, height: int, width: int) -> tuple[str, ...]:
        """Return notes on images of a size."""
        return self.tower.image_notes(height, width)

    def lower(self, forward: Forward) -> tuple[list[Block], Tensor]:
        """Return the blocks that encode all images, and their output rows."""
        images, rows = of_images(forward, self.tower), self.tokens(*forward.image_size)
        return lower_view(self.tower, self.top, self.projector, images, rows, normed=self.normed)


def lower_view(
    tower: Tower, top: Pooling, projector: Projector, images: Forward, rows: int, *, normed: bool
) -> tuple[list[Block], Tensor]:
    """Return the blocks of a tower over images, with a number of output rows per image."""
    blocks, hidden = lower_tower(tower, images, "vision.")
    head, _ = lower_pooling(top, tower.stack, images, hidden, "vision.", before=tower.tokens)
    read = head.ops[0].writes[0] if normed else hidden
    last, found = lower_projector(projector, images, read, rows)
    return [*blocks, head, last], found


@dataclass(frozen=True, slots=True)
class ImageText:
    """An image-text model as its config describes it.

    ``ahead``: which tokens look ahead as well: ``image``, those of an image to one another;
    ``windows``, the same in layers with a window alone; ``prefix``, all of a prefill; "" for none.
    """

    class_name: str
    dtype: str
    decoder: Decoder
    sight: Sight
    ahead: str = ""
    notes: tuple[str, ...] = ()

    @property
    def max_positions(self) -> int | None:
        """Positions that its decoder was made for."""
        return self.decoder.max_positions

    @property
    def traits(self) -> Traits:
        """A generative model that encodes images before it reads text."""
        sight = self.sight
        images = Images(
            sight.image_size, sight.tokens, with_text=True, notes=sight.notes, resized=sight.resized
        )
        text = self.decoder.traits
        return replace(text, images=images)


def lower(model: ImageText, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    forward = looking(forward)
    seen, rows = model.sight.lower(forward)
    tokens = model.sight.tokens(*forward.image_size)
    text = lower_decoder(model.decoder, _looking_ahead(model, forward, tokens)).blocks
    if forward.encodes:
        text = (text[0], _enter(model, forward, rows), *text[1:])
    return halves(forward, seen, text)


def _enter(model: ImageText, forward: Forward, rows: Tensor) -> Block:
    """Put the rows of images where the words' rows of their positions were."""
    tape = Tape(forward, "images")
    hidden = hidden_states(forward, model.decoder.hidden_size)
    tape.move("enter", (rows,), hidden.part(rows.axes))
    return tape.close()


def _looking_ahead(model: ImageText, forward: Forward, tokens: int) -> Forward:
    """Return the decoder's pass, with the pairs that look ahead: of n tokens, n (n - 1) / 2."""
    if not model.ahead or not forward.encodes:
        return forward
    if model.ahead != "prefix":
        pairs = forward.images * (tokens * (tokens - 1) // 2)
        return replace(forward, ahead=pairs, ahead_in_windows=model.ahead == "windows")
    length: Number = forward.tokens
    return replace(forward, ahead=halved(length * (length - 1)))

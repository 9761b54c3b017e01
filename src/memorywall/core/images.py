"""How many images a question is about, how large, and what positions they take."""

from __future__ import annotations

import numpy as np

from memorywall.core.errors import InvalidInputError, shown
from memorywall.core.model import Model
from memorywall.core.numbers import Number, as_count, plain

# How the note begins of a model whose towers are there and are not counted on.
UNSEEN = "What looks at images is not traced, and counts as weights alone"


def as_image_size(size: object) -> tuple[int, int]:
    """Return height and width in pixels, of one whole number or two.

    Raises:
        InvalidInputError: anything else.
    """
    pair = tuple(size) if isinstance(size, list | tuple) else (size, size)
    if len(pair) == 2:
        height, width = (as_count(side, "image_size") for side in pair)
        if isinstance(height, int) and isinstance(width, int):
            return height, width
    raise InvalidInputError(
        f"image_size: expected a whole number of pixels, or height and width, got {shown(size)}"
    )


def written(size: tuple[int, int]) -> str:
    """Return a height and width as a person writes them: 448x336."""
    return f"{size[0]}x{size[1]}"


def resized(model: Model, size: tuple[int, int]) -> tuple[int, int]:
    """Return the height and width in which a model looks at an image of so many pixels."""
    resize = getattr(model.images, "resized", None)  # few architectures resize
    return size if resize is None else resize(*size)


def images_of(
    model: Model, phase: str, size: tuple[int, int] | None, images: Number | None
) -> tuple[tuple[int, int] | None, Number | None]:
    """Return the size of images and how many there are, filled in where they are not given.

    A decode step looks at no image, and no number of them is taken for granted.

    Raises:
        InvalidInputError: one is given that the model cannot have.
    """
    if model.images is None:
        _refuse_any(model, size, images)
        return None, None
    if not model.images.reads_text:
        if images is not None:
            raise InvalidInputError(
                f"images is {shown(plain(images))}, but {model.name} reads no text that several "
                "could belong to.",
                "Say by batch_size how many images there are.",
            )
        return size or model.images.image_size, None
    if images is None and phase != "decode":
        images = 1
    if phase == "encode" and model.causal and isinstance(images, int) and not images:
        raise InvalidInputError(
            "images is 0, but phase 'encode' looks at images and does nothing else.",
            "Ask for one image or more.",
        )
    return size or model.images.image_size, images


def _refuse_any(model: Model, size: tuple[int, int] | None, images: Number | None) -> None:
    for name, value in (("image_size", size), ("images", images)):
        if value is not None:
            unseen = any(note.startswith(UNSEEN) for note in model.architecture.notes)
            reason = (
                f"what of {model.name} looks at images is not traced."
                if unseen
                else f"{model.name} sees no images."
            )
            raise InvalidInputError(
                f"{name} is {shown(plain(value))}, but {reason}",
                f"Leave {name} out; google/vit-base-patch16-224 and others see images.",
            )


def length_with_images(
    model: Model,
    phase: str,
    seq_len: Number,
    size: tuple[int, int] | None,
    images: Number | None,
) -> Number:
    """Return ``seq_len``, or what stands in its place where images alone are looked at.

    Raises:
        InvalidInputError: images of that size cannot be looked at, or do not fit the sequence.
    """
    if model.images is None or size is None:
        return seq_len
    tokens = model.images.image_tokens(*size)
    if not model.images.reads_text:
        return tokens
    if images is None or not model.causal:
        return seq_len
    taken = images * tokens
    if phase == "encode":
        return taken
    if np.any(taken > seq_len):
        raise InvalidInputError(
            f"{plain(images)} x {tokens} positions of images of {written(size)} pixels are more "
            f"than the {plain(seq_len)} that seq_len counts, images and text together.",
            "Give a longer seq_len, or fewer or smaller images.",
        )
    return seq_len

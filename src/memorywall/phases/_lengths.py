"""Lengths that several phases settle in the same way: of texts, sources and images."""

from __future__ import annotations

from memorywall.core.errors import InvalidInputError, UnsupportedError, shown
from memorywall.core.images import written
from memorywall.core.model import Model
from memorywall.core.numbers import LARGEST, Number, as_count, is_array, is_true, plain
from memorywall.core.phase import Lengths
from memorywall.core.traits import Images
from memorywall.core.workload import Workload, as_image_size

DEFAULT_DECODER_LENGTH = 2048
DEFAULT_ENCODER_LENGTH = 512


def refuse_denoiser(model: Model, phase: str) -> None:
    """Refuse a text phase for a diffusion model.

    Raises:
        UnsupportedError: the model is a diffusion model.
    """
    if model.traits.denoising is not None:
        raise UnsupportedError(
            f"phase {phase} requires a model that reads text or images, got the diffusion model "
            f"{model.name}.",
            "Use phase 'denoise'.",
        )


def text_length(model: Model, asked: Workload, *, least: int = 1) -> Number:
    """Return ``seq_len`` of a text, with its default.

    Raises:
        InvalidInputError: it is below ``least``.
    """
    seq_len = asked.seq_len
    if is_array(seq_len) and seq_len.min() >= least:  # whole numbers, as the workload checked
        return seq_len
    if seq_len is not None:
        return as_count(seq_len, "seq_len", least)
    traits, limit = model.traits, model.architecture.max_positions
    if traits.source is not None:
        return min(DEFAULT_ENCODER_LENGTH, limit or LARGEST)
    default = DEFAULT_DECODER_LENGTH if traits.causal else DEFAULT_ENCODER_LENGTH
    # The code of a traced class may fail past the positions that it was made for.
    bounded = traits.traced if traits.images is None else not traits.causal
    return min(default, limit or default) if bounded else default


def source_length(model: Model, asked: Workload, seq_len: Number) -> Number | None:
    """Return the positions of a source: the model's fixed number, as asked, or as ``seq_len``.

    Raises:
        InvalidInputError: one is asked for that the model cannot have, or none follows.
    """
    source = model.traits.source
    if source is None:
        return None
    if source.fixed is not None:
        if asked.source_len is None or is_true(asked.source_len == source.fixed):
            return source.fixed
        raise InvalidInputError(
            f"source_len must be {source.fixed}, the positions of every source of {model.name}; "
            f"got {shown(plain(asked.source_len))}.",
            "Leave source_len out.",
        )
    if asked.source_len is not None:
        return asked.source_len
    if not is_true(seq_len > 0):
        raise InvalidInputError(
            "seq_len 0, a lone start token, requires source_len.", "Give source_len."
        )
    return seq_len


def image_size_of(images: Images, asked: Workload) -> tuple[int, int]:
    """Return height and width of the images, with the default."""
    return images.size if asked.image_size is None else as_image_size(asked.image_size)


def with_images(model: Model, asked: Workload, seq_len: Number) -> Lengths:
    """Return the lengths of a pass that encodes images, if the model reads any.

    Images of a generative model are part of its sequence and must fit.

    Raises:
        InvalidInputError: the images do not fit the sequence, or cannot have that size.
    """
    seen = model.traits.images
    if seen is None:
        return Lengths(seq_len)
    size = image_size_of(seen, asked)
    tokens = seen.tokens(*size)
    if not seen.with_text:
        return Lengths(tokens, image_size=size)
    images: Number = 1 if asked.images is None else asked.images
    if asked.image_size is not None and isinstance(images, int) and images == 0:
        raise InvalidInputError(
            f"image_size conflicts with images 0, got {written(size)}.", "Leave image_size out."
        )
    if model.traits.causal and not is_true(images * tokens <= seq_len):
        raise InvalidInputError(
            f"seq_len must count images and text together: {plain(images)} x {tokens} positions "
            f"of images of {written(size)} pixels do not fit, got {plain(seq_len)}.",
            "Give a longer seq_len, or fewer or smaller images.",
        )
    return Lengths(seq_len, image_size=size, images=images)

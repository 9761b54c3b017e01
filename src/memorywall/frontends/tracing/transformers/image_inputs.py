"""Image inputs of transformers' classes: the forms that their towers accept."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from memorywall.core.errors import InvalidInputError, shown

# Images as one batch, as tiles of a batch of images, as patches in one row with their grid.
FORMS = ("batch", "tiles", "patches")
_USUAL_SIZE = 224


def reads_of(class_: type) -> str:
    """Return the kind of inputs of a class: ``text``, ``images`` or ``both``."""
    taken = inspect.signature(class_.forward).parameters  # type: ignore[attr-defined]
    if hasattr(class_, "get_image_features") and "input_ids" in taken:
        return "both"
    return "images" if "pixel_values" in taken and "input_ids" not in taken else "text"


def image_size_of(config: Any) -> tuple[int, int]:
    """Return the height and width of images from a config, else a usual size.

    Raises:
        InvalidInputError: an ``image_size`` of other than one or two positive whole numbers.
    """
    for part in (config, getattr(config, "vision_config", None)):
        size = getattr(part, "image_size", None)
        if size is not None:
            return _two_sides(size)
    return _USUAL_SIZE, _USUAL_SIZE


def _two_sides(size: Any) -> tuple[int, int]:
    sides = size
    if isinstance(size, Mapping):
        sides = size.get("height"), size.get("width")
    elif isinstance(size, int):
        sides = size, size
    if not isinstance(sides, list | tuple) or [_is_side(side) for side in sides] != [True, True]:
        raise InvalidInputError(
            f"image_size must be one or two positive whole numbers, got {shown(size)}.",
            "One number of pixels for squares, or two: [height, width].",
        )
    return int(sides[0]), int(sides[1])


def _is_side(side: object) -> bool:
    return isinstance(side, int) and not isinstance(side, bool) and side > 0


def looking(
    make: Callable[[], Any], form: str, images: int, size: tuple[int, int], *, alone: bool
) -> Any:
    """Return a module that encodes images before it reads its text, or only encodes images.

    The image features are not inserted into the text, which requires values; that moves few bytes.
    """
    module = make()
    forward = module.forward

    @functools.wraps(forward)
    def look_then_read(*args: Any, **words: Any) -> Any:
        seen = _look(module, forward, form, images, size)
        return seen if alone else forward(*args, **words)

    module.forward = look_then_read
    return module


def comparing(make: Callable[[], Any], form: str, images: int, size: tuple[int, int]) -> Any:
    """Return a module that takes images and texts, to compare them."""
    module = make()
    forward = module.forward

    @functools.wraps(forward)
    def compare(*args: Any, **words: Any) -> Any:
        return forward(*args, **words, **_images(module, forward, form, images, size))

    module.forward = compare
    return module


def rows(seen: Any) -> int:
    """Return the number of positions of image features: all axes except the last of each.

    If a tower returns its hidden states as well as the features for the text, the features count.
    """
    seen = getattr(seen, "pooler_output", None) if hasattr(seen, "pooler_output") else seen
    found = [leaf for leaf in tree_leaves(seen) if isinstance(leaf, torch.Tensor)]
    return sum(tensor.numel() // tensor.shape[-1] for tensor in found)


def _look(
    module: Any, forward: Callable[..., Any], form: str, images: int, size: tuple[int, int]
) -> Any:
    look = getattr(module, "get_image_features", forward)
    return look(**_images(module, look, form, images, size))


def _images(
    module: Any, look: Callable[..., Any], form: str, images: int, size: tuple[int, int]
) -> dict[str, Any]:
    """Return the arguments that pass images to a function."""
    taken = inspect.signature(look).parameters
    words: dict[str, Any] = {"pixel_values": _pixels(module, form, images, size)}
    if form == "patches":
        words["image_grid_thw"] = torch.tensor([_grid(module, size)] * images, device="cpu")
    elif "image_sizes" in taken:
        words["image_sizes"] = torch.tensor([size] * images, device="cpu")
    return words


def _pixels(module: Any, form: str, images: int, size: tuple[int, int]) -> torch.Tensor:
    vision = _vision(module.config)
    channels = _first(vision, 3, "num_channels", "in_channels", "in_chans")
    dtype = next(module.parameters()).dtype
    shape: tuple[int, ...] = (images, channels, *size)
    if form == "tiles":
        shape = (images, 1, channels, *size)
    elif form == "patches":
        side, frames = vision.patch_size, _first(vision, 1, "temporal_patch_size")
        _, high, wide = _grid(module, size)
        shape = (images * high * wide, channels * frames * side * side)
    return torch.empty(shape, dtype=dtype, device="meta")


def _grid(module: Any, size: tuple[int, int]) -> tuple[int, int, int]:
    """Return frames, and the height and width in patches, in whole windows of merged patches."""
    merged, whole = _merged(module.config), grid_unit(module.config)
    return 1, size[0] // whole * merged, size[1] // whole * merged


def grid_unit(config: Any) -> int:
    """Return the side in pixels of the merged patches of one position."""
    side: int = _vision(config).patch_size
    return side * _merged(config)


def _merged(config: Any) -> int:
    return _first(_vision(config), 1, "spatial_merge_size")


def _vision(config: Any) -> Any:
    return getattr(config, "vision_config", None) or config


def _first(config: Any, default: int, *names: str) -> int:
    found = (getattr(config, name, None) for name in names)
    return next((value for value in found if isinstance(value, int)), default)

"""Towers by the ``model_type`` of a config's part: CLIP's and SigLIP's, alone or under others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isqrt

from memorywall.layers.encoder_heads import Dense
from memorywall.layers.image_pooling import Pooling
from memorywall.layers.output_head import Head
from memorywall.layers.vision_tower import Patches, Tower, VisionLayers
from memorywall.reading.config_values import LARGEST_DEPTH, Config
from memorywall.reading.vision import LARGEST_SIDE, read_heads, read_mlp, read_patches


@dataclass(frozen=True, slots=True)
class Seeing:
    """A tower and its head."""

    tower: Tower
    top: Pooling


def _clip(config: Config) -> Seeing:
    """Read CLIP's: a norm before the layers, and a norm of the class token."""
    patches = read_patches(config, 224, 32, bias=False)
    tower = Tower(patches, read_stack(config, "quick_gelu"), tokens=1, placed=1, first_norm=True)
    return Seeing(tower, Pooling("pooled"))


def _siglip(config: Config) -> Seeing:
    """Read SigLIP's: no token before the patches; a learned query attends to them on top."""
    tower = Tower(read_patches(config, 224, 16), read_stack(config, "gelu_pytorch_tanh"))
    return Seeing(tower, _probing(config))


def _siglip2(config: Config) -> Seeing:
    """Read SigLIP 2's with native aspect ratios: images are resized and padded to ``num_patches``.

    A square of that number of patches is counted; its positions are learned.
    """
    patches, size = config.size("num_patches", 256), config.size("patch_size", 16)
    side = isqrt(patches)
    if side * side != patches or side * size > LARGEST_SIDE:
        config.fault("num_patches", f"'num_patches' ({patches}) must be a square of sides in use")
        side, size = 1, 1
    image = (side * size, side * size)
    channels = config.size("num_channels", 3)
    cut = Patches(image, (size, size), channels, linear=True, resized=True)
    return Seeing(Tower(cut, read_stack(config, "gelu_pytorch_tanh")), _probing(config))


def _probing(config: Config) -> Pooling:
    probed = config.flag("vision_use_head", True)
    return Pooling("each", "probe" if probed else "first", probed=probed)


def read_stack(config: Config, activation: str, hidden: int = 768) -> VisionLayers:
    """Read layers of one shape, of a tower or of text, with biases everywhere."""
    heads = 12 if hidden == 768 else 8
    return VisionLayers(
        config.size("hidden_size", hidden),
        config.size("num_hidden_layers", 12, most=LARGEST_DEPTH),
        read_heads(config, heads, hidden=hidden),
        read_mlp(config, activation, 4 * hidden),
    )


_READERS: dict[str, Callable[[Config], Seeing]] = {
    "clip_vision_model": _clip,
    "siglip_vision_model": _siglip,
    "siglip2_vision_model": _siglip2,
}


def read_seeing(config: Config, default: str) -> Seeing:
    """Read a tower by the ``model_type`` of its section of a config.

    Raises:
        UnsupportedError: the tower is not supported.
    """
    kind = config.word("model_type", default)
    if kind not in _READERS:
        config.leave("model_type", (kind,), "this tower is")
    return _READERS[kind](config)


def projected(seeing: Seeing, name: str, width: int) -> Seeing:
    """Return a tower followed by a linear layer without a bias."""
    layers = (*seeing.top.layers, Dense(Head(name, width)))
    return replace(seeing, top=replace(seeing.top, layers=layers))

"""Idefics3 and SmolVLM: an image cut into views, and each view into few rows of joined patches.

The longer side of an image is resized to four views, the shorter one to as many as its share comes
to; the tower encodes each view, and the whole image reduced to one view.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from memorywall.core.forward import Forward
from memorywall.core.images import written
from memorywall.core.model import Family
from memorywall.core.program import Block
from memorywall.core.tensors import Tensor
from memorywall.families.llava import is_tied, read_text
from memorywall.layers.encoder_heads import Dense
from memorywall.layers.image_pooling import Pooling
from memorywall.layers.image_text import ImageText, lower, lower_view
from memorywall.layers.output_head import Head
from memorywall.layers.projector import Projector
from memorywall.layers.vision_tower import Tower, VisionLayers, of_images, resized
from memorywall.reading.config_values import LARGEST_DEPTH, Config
from memorywall.reading.vision import read_heads, read_mlp, read_patches, vision_part

# Views along the longer side: of the processors' class; their configs may say other numbers.
_VIEWS = 4
_CLASSES = {
    "idefics3": "Idefics3ForConditionalGeneration",
    "smolvlm": "SmolVLMForConditionalGeneration",
}


@dataclass(frozen=True, slots=True)
class Views:
    """A tower that encodes several views of an image, all of one size."""

    tower: Tower
    projector: Projector

    @property
    def image_size(self) -> tuple[int, int]:
        """A size that is cut without being resized: four views a side."""
        height, width = self.tower.patches.image_size
        return _VIEWS * height, _VIEWS * width

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return the size as it is: images are cut into views, as a note says."""
        return height, width

    def views(self, height: int, width: int) -> int:
        """The number of tower passes per image: one per view, and one for the whole."""
        longer, shorter = max(height, width), min(height, width)
        view = self.tower.patches.image_size[0]
        side = int(_VIEWS * view * shorter / longer)
        return _VIEWS * max(1, math.ceil(side / view)) + 1

    def tokens(self, height: int, width: int) -> int:
        """Positions of the decoder that an image takes; those between views are text."""
        return self.views(height, width) * self._rows()

    def notes(self, height: int, width: int) -> tuple[str, ...]:
        """Return notes on images of a size."""
        view, size = written(self.tower.patches.image_size), written((height, width))
        cut = f"{self.views(height, width) - 1} views of {view}"
        return (f"The processor is taken to cut images of {size} into {cut}, beside the whole.",)

    def lower(self, forward: Forward) -> tuple[list[Block], Tensor]:
        """Return the blocks that encode all views, and their output rows."""
        views = forward.images * self.views(*forward.image_size)
        images = of_images(replace(forward, images=views), self.tower)
        return lower_view(self.tower, Pooling(), self.projector, images, self._rows(), normed=True)

    def _rows(self) -> int:
        patches = self.tower.patches
        return self.projector.rows(patches.grid(*patches.image_size))


def read(data: Mapping[str, Any], where: str) -> ImageText:
    """Read a config of one of the model types in ``_CLASSES``."""
    config = Config(data, where)
    name = _CLASSES[str(data["model_type"])]
    class_name = config.class_name(name, (name,))
    decoder = read_text(config, "llama", tied=is_tied(config, default=False))
    tower = _read_tower(vision_part(config))
    scale = config.size("scale_factor", 2)
    if any(side % scale for side in tower.patches.grid(*tower.patches.image_size)):
        config.fault("scale_factor", f"'scale_factor' ({scale}) does not divide a view's patches")
        scale = 1
    projector = Projector((Dense(Head("projection", decoder.hidden_size)),), joined=scale)
    sight = Views(tower, projector)
    architecture = ImageText(class_name, decoder.dtype, decoder, sight, notes=config.all_notes())
    config.check()
    return architecture


def _read_tower(config: Config) -> Tower:
    """Read SigLIP's tower, with other defaults."""
    stack = VisionLayers(
        config.size("hidden_size", 1152),
        config.size("num_hidden_layers", 12, most=LARGEST_DEPTH),
        read_heads(config, 16, hidden=1152),
        read_mlp(config, "gelu_pytorch_tanh", 3072),
    )
    return resized(Tower(read_patches(config, 224, 32), stack))


FAMILY = Family("idefics3", tuple(_CLASSES), read, lower)

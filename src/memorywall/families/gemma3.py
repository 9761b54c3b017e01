"""Gemma 3 with images: SigLIP's patches, averaged four by four, in place of a decoder's words.

An image's tokens attend to one another in both directions.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Any

from memorywall.core.model import Family
from memorywall.families.llava import read_text
from memorywall.layers.encoder_heads import Dense
from memorywall.layers.image_text import ImageText, OneView, lower
from memorywall.layers.output_head import Head
from memorywall.layers.projector import Projector
from memorywall.layers.vision_tower import Tower, resized
from memorywall.reading.config_values import Config
from memorywall.reading.vision import vision_part
from memorywall.reading.vision_towers import read_seeing

_CLASS = "Gemma3ForConditionalGeneration"


def read(data: Mapping[str, Any], where: str) -> ImageText:
    """Read a config with ``model_type`` gemma3."""
    config = Config(data, where)
    class_name = config.class_name(_CLASS, (_CLASS,))
    tied = config.flag("tie_word_embeddings", True)
    decoder = read_text(config, "gemma3_text", tied=tied)
    seeing = read_seeing(vision_part(config), "siglip_vision_model")
    projector = Projector(
        (Dense(Head("projection", decoder.hidden_size)),),
        averaged=_side(config, seeing.tower),
        norm="rmsnorm",
    )
    architecture = ImageText(
        class_name=class_name,
        dtype=decoder.dtype,
        decoder=decoder,
        sight=OneView(resized(seeing.tower), seeing.top, projector),
        ahead="image",
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _side(config: Config, tower: Tower) -> int:
    """Return how many patches a side are averaged, by how many tokens an image is to take."""
    tokens = config.size("mm_tokens_per_image", 256)
    rows, columns = tower.patches.grid(*tower.patches.image_size)
    side = isqrt(tokens)
    if side * side != tokens or rows != columns or side > rows:
        config.fault(
            "mm_tokens_per_image",
            f"'mm_tokens_per_image' ({tokens}) must be a square within {rows} x {columns} patches",
        )
        return 1
    return rows // side


FAMILY = Family("gemma3", ("gemma3",), read, lower)

"""Llama 4 with images: tiles of a fixed size, four patches of which become a row of the decoder.

A tile is counted as an image. Processors cut larger images into up to sixteen tiles and add one of
the whole: ``images`` is then their number. Separators of tiles are words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memorywall.core.model import Family
from memorywall.families.llava import read_text
from memorywall.layers.encoder_heads import Dense
from memorywall.layers.image_pooling import Pooling
from memorywall.layers.image_text import ImageText, OneView, lower
from memorywall.layers.output_head import Head
from memorywall.layers.projector import Projector
from memorywall.layers.tape import FeedForward
from memorywall.layers.vision_tower import Tower, VisionLayers, resized
from memorywall.reading.config_values import LARGEST_DEPTH, Config
from memorywall.reading.vision import read_heads, read_patches, vision_part

_CLASS = "Llama4ForConditionalGeneration"


def read(data: Mapping[str, Any], where: str) -> ImageText:
    """Read a config with ``model_type`` llama4."""
    config = Config(data, where)
    class_name = config.class_name(_CLASS, (_CLASS,))
    decoder = read_text(config, "llama4_text", tied=config.flag("tie_word_embeddings", False))
    sight = _read_sight(vision_part(config), decoder.hidden_size)
    side = sight.image_size[0]
    config.notes.append(
        f"An image is counted as one tile of {side}x{side} pixels: of an image that a processor "
        "cuts into several, images is the number of tiles."
    )
    architecture = ImageText(class_name, decoder.dtype, decoder, sight, notes=config.all_notes())
    config.check()
    return architecture


def _read_sight(config: Config, width: int) -> OneView:
    """Read the tower, and the linear layers to the decoder's width."""
    stack = VisionLayers(
        config.size("hidden_size", 768),
        config.size("num_hidden_layers", 34, most=LARGEST_DEPTH),
        read_heads(config, 16, rotary=True),
        FeedForward(
            config.size("intermediate_size", 5632),
            config.activation("hidden_act", "gelu"),
            bias=True,
        ),
    )
    patches = read_patches(config, 448, 14, bias=False, linear=True)
    rows, columns = patches.grid(*patches.image_size)
    joined = round(1 / config.share("pixel_shuffle_ratio", 0.5))
    if rows != columns or rows % joined:
        config.fault(
            "pixel_shuffle_ratio",
            f"'pixel_shuffle_ratio' must divide a square of {rows} x {columns} patches",
        )
    inner, out = config.size("projector_input_dim", 4096), config.size("vision_output_dim", 7680)
    middle = config.size("projector_output_dim", 4096)
    for key, size in (("projector_input_dim", inner), ("vision_output_dim", out)):
        if size != middle:
            config.fault(key, f"{key!r} ({size}) must be 'projector_output_dim' ({middle})")
    layers = (
        Dense(Head("linear_1", inner), "gelu"),
        Dense(Head("linear_2", middle), "gelu"),
        Dense(Head("projection", width)),
    )
    tower = Tower(patches, stack, tokens=1, placed=1, first_norm=True)
    projector = Projector(layers, dropped=1, joined=joined)
    return OneView(resized(tower), Pooling("each"), projector)


FAMILY = Family("llama4", ("llama4",), read, lower)

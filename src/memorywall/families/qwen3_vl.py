"""Qwen3-VL, Qwen3.5 and Qwen3.6 with images: a tower with learned positions and four-fold rows.

As Qwen2-VL's, with other norms and positions that are interpolated to an image's size. In Qwen3-VL
some layers of the tower hand rows to the first layers of the decoder as well (deepstack); their
projectors are counted, and not the sums with the decoder's hidden states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any

from memorywall.core.images import written
from memorywall.core.model import Family
from memorywall.families.llava import is_tied, read_text
from memorywall.families.qwen2_vl import AnySize
from memorywall.layers.encoder_heads import Dense
from memorywall.layers.image_text import ImageText, lower
from memorywall.layers.output_head import Head
from memorywall.layers.projector import Projector
from memorywall.layers.tape import Attention, FeedForward
from memorywall.layers.vision_tower import Patches, Tower, VisionLayers
from memorywall.reading.config_values import LARGEST_DEPTH, Config
from memorywall.reading.vision import LARGEST_SIDE, vision_part

# Of the processors that are published beside the models: ``shortest_edge`` and ``longest_edge``.
LEAST_PIXELS, MOST_PIXELS = 65_536, 16_777_216


@dataclass(frozen=True, slots=True)
class _Dialect:
    """The class of a model type, its decoder, and the layers of the tower that hand rows on."""

    class_name: str
    text: str
    deep: tuple[int, ...] = ()


_DIALECTS = {
    "qwen3_vl": _Dialect("Qwen3VLForConditionalGeneration", "qwen3_vl_text", (8, 16, 24)),
    "qwen3_vl_moe": _Dialect(
        "Qwen3VLMoeForConditionalGeneration", "qwen3_vl_moe_text", (8, 16, 24)
    ),
    "qwen3_5": _Dialect("Qwen3_5ForConditionalGeneration", "qwen3_5_text"),
    "qwen3_5_moe": _Dialect("Qwen3_5MoeForConditionalGeneration", "qwen3_5_moe_text"),
}


def read(data: Mapping[str, Any], where: str) -> ImageText:
    """Read a config of one of the model types in ``_DIALECTS``."""
    config = Config(data, where)
    dialect = _DIALECTS[str(data["model_type"])]
    class_name = config.class_name(dialect.class_name, (dialect.class_name,))
    decoder = read_text(config, dialect.text, tied=is_tied(config, default=False))
    sight = _read_sight(vision_part(config), dialect)
    width = sight.projector.layers[-1].head.width
    if width != decoder.hidden_size:
        config.fault(
            "vision_config",
            f"'out_hidden_size' of 'vision_config' ({width}) must be 'hidden_size' of "
            f"'text_config' ({decoder.hidden_size})",
        )
    config.notes += [note for note in decoder.notes if note not in config.notes]
    config.notes.append(
        f"The processor is taken to keep images between {LEAST_PIXELS:,} and {MOST_PIXELS:,} "
        f"pixels; {written(sight.image_size)} where no size is given."
    )
    architecture = ImageText(class_name, decoder.dtype, decoder, sight, notes=config.all_notes())
    config.check()
    return architecture


def _read_sight(config: Config, dialect: _Dialect) -> AnySize:
    """Read the tower, and the linear layers from two by two patches to a row of the decoder."""
    width, depth = config.size("hidden_size", 1152), config.size("depth", 27, most=LARGEST_DEPTH)
    heads = config.size("num_heads", 16)
    config.divides("num_heads", heads, "hidden_size", width)
    head_dim = max(1, width // heads)
    attention = Attention(
        heads, heads, head_dim, qkv_bias=True, out_bias=True, rotary=head_dim, causal=False
    )
    mlp = FeedForward(
        config.size("intermediate_size", 4304),
        config.activation("hidden_act", "gelu_pytorch_tanh"),
        bias=True,
    )
    stack = VisionLayers(width, depth, attention, mlp)
    side = config.size("patch_size", 16, most=LARGEST_SIDE)
    merge = config.size("spatial_merge_size", 2, most=LARGEST_SIDE)
    channels, frames = config.size("in_channels", 3), config.size("temporal_patch_size", 2)
    usual = _positions(config) * side
    cut = Patches((usual, usual), (side, side), channels, frames=frames)
    wide = merge * merge * width
    layers = (
        Dense(Head("linear_1", wide, bias=True), "gelu"),
        Dense(Head("linear_2", config.size("out_hidden_size", 3584), bias=True)),
    )
    projector = Projector(layers, norm=stack.norm, joined=merge)
    deep = len(_read_deep(config, dialect.deep, depth))
    more = (replace(projector, norm_joined=True), deep) if deep else None
    return AnySize(Tower(cut, stack), projector, least=LEAST_PIXELS, most=MOST_PIXELS, deep=more)


def _positions(config: Config) -> int:
    """Return the side of the square of patches that positions were learned for."""
    positions = config.size("num_position_embeddings", 2304)
    side = isqrt(positions)
    if side * side != positions or side > LARGEST_SIDE:
        config.fault(
            "num_position_embeddings",
            f"'num_position_embeddings' ({positions}) must be a square of a side in use",
        )
        return 1
    return side


def _read_deep(config: Config, default: tuple[int, ...], depth: int) -> tuple[int, ...]:
    """Return the layers of the tower that hand rows on; those of Qwen3.5 never do."""
    if not default:
        return ()
    if not config.has("deepstack_visual_indexes"):
        return tuple(config.default("deepstack_visual_indexes", list(default)))
    return config.layer_list("deepstack_visual_indexes", depth)


FAMILY = Family("qwen3_vl", tuple(_DIALECTS), read, lower)

"""Qwen's models with images of any size, and a token for each two by two patches.

An image is resized to sides that a token's patches divide, within bounds of pixels; a still image
is its own next frame. Most layers of Qwen2.5-VL's tower look within windows. Qwen3-VL's has learned
positions, and adds what some of its layers leave to the first layers of the decoder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from memorywall.core.errors import InvalidInputError
from memorywall.core.forward import Forward
from memorywall.core.images import written
from memorywall.core.model import Family
from memorywall.core.program import Block
from memorywall.core.tensors import Tensor
from memorywall.families.llava import is_tied, read_text
from memorywall.layers.encoder_heads import Dense
from memorywall.layers.image_text import ImageText, Resizing, lower
from memorywall.layers.output_head import Head
from memorywall.layers.projector import Projector, lower_added, lower_projector
from memorywall.layers.tape import Attention, FeedForward
from memorywall.layers.vision_tower import Patches, Tower, VisionLayers, lower_stack, lower_tower
from memorywall.reading.config_values import LARGEST_DEPTH, Config
from memorywall.reading.vision import LARGEST_SIDE, vision_part

# Of the processors that are published beside the models; their configs do not say. Those of
# Qwen3-VL and later are "shortest_edge" and "longest_edge" of preprocessor_config.json.
_PIXELS = (56 * 56, 28 * 28 * 16_384)
_PIXELS_3 = (256 * 256, 4096 * 4096)
# The models have no fixed size: the default size gives 256 tokens.
_USUAL = (448, 448)


@dataclass(frozen=True, slots=True)
class AnySize(Resizing):
    """A tower that takes images as large as they come, and joins patches to rows.

    Attributes:
        windowed: layers that look within windows, and how many of them there are.
        edge: of a window, in rows of the decoder.
        added: projectors of layers in between, whose rows are added in the decoder's first layers.
        added_projector: each of them.
        pixels: the least and the most of an image that is not scaled.
        usual: height and width where no size is given.
    """

    tower: Tower
    projector: Projector
    windowed: VisionLayers | None = None
    edge: int = 1
    added: int = 0
    added_projector: Projector | None = None
    pixels: tuple[int, int] = _PIXELS
    usual: tuple[int, int] = _USUAL

    @property
    def image_size(self) -> tuple[int, int]:
        """A usual size."""
        return self.usual

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return the size that an image is resized to, as the models' processors do.

        Sides are rounded to whole rows of the decoder; too many or too few pixels scale both.

        Raises:
            InvalidInputError: one side is more than 200 times the other.
        """
        if max(height, width) > 200 * min(height, width):
            raise InvalidInputError(
                f"image_size: one side of {written((height, width))} pixels is more than 200 times "
                "the other."
            )
        unit = self.tower.patches.size[0] * self.projector.joined
        rows, columns = round(height / unit), round(width / unit)
        least, most = self.pixels
        if rows * columns * unit * unit > most:
            shrink = math.sqrt(height * width / most)
            rows = max(1, math.floor(height / shrink / unit))
            columns = max(1, math.floor(width / shrink / unit))
        elif rows * columns * unit * unit < least:
            grow = math.sqrt(least / (height * width))
            rows = math.ceil(height * grow / unit)
            columns = math.ceil(width * grow / unit)
        return rows * unit, columns * unit

    def lower(self, forward: Forward) -> tuple[list[Block], Tensor]:
        """Return the blocks that encode all images, and their output rows."""
        images, rows = self.images_of(forward), self.tokens(*forward.image_size)
        blocks, hidden = lower_tower(self.tower, images, "vision.")
        if self.windowed is not None:
            near = replace(images, windowed=self._pairs(images.image_size))
            blocks.append(lower_stack(self.windowed, near, hidden, "vision.windowed_"))
        if self.added_projector is not None and self.added:
            blocks.append(lower_added(self.added_projector, images, hidden, rows, self.added))
        last, found = lower_projector(self.projector, images, hidden, rows)
        return [*blocks, last], found

    def _pairs(self, size: tuple[int, int]) -> int:
        """Pairs of one image within windows; those at its right and lower edges are cut."""
        rows, columns = self.tower.patches.grid(*size)
        joined = self.projector.joined
        down, across = _squares(rows // joined, self.edge), _squares(columns // joined, self.edge)
        return int(down * across * joined**4)


def _squares(length: int, edge: int) -> int:
    """Sum the squares of the runs that windows of an edge cut a length into."""
    whole, rest = divmod(length, edge)
    return whole * edge * edge + rest * rest


@dataclass(frozen=True, slots=True)
class _Dialect:
    """The differences of one model type.

    Attributes:
        class_name: of transformers.
        text: ``model_type`` of the decoder.
        tower: reads the tower.
        more: the decoder's values of absent keys that its reader has otherwise.
    """

    class_name: str
    text: str
    tower: Callable[[Config], AnySize]
    more: Mapping[str, Any] = field(default_factory=dict)


def read(data: Mapping[str, Any], where: str) -> ImageText:
    """Read a config of one of the model types in ``_DIALECTS``."""
    config, model_type = Config(data, where), str(data["model_type"])
    dialect = _DIALECTS[model_type]
    class_name = config.class_name(dialect.class_name, (dialect.class_name,))
    flat = not config.has("text_config")
    tied = is_tied(config, default=False)
    decoder = read_text(config, dialect.text, tied=tied, flat=flat, more=dialect.more)
    sight = dialect.tower(vision_part(config))
    width = sight.projector.layers[-1].head.width
    if width != decoder.hidden_size:
        config.fault(
            "vision_config",
            f"'vision_config': the tower's output ({width}) must be as wide as the decoder of "
            f"'text_config' ({decoder.hidden_size})",
        )
    config.notes.append(
        f"The processor is taken to keep images between {sight.pixels[0]:,} and "
        f"{sight.pixels[1]:,} pixels; {written(sight.usual)} where no size is given."
    )
    architecture = ImageText(class_name, decoder.dtype, decoder, sight, notes=config.all_notes())
    config.check()
    return architecture


def _read_older(config: Config) -> AnySize:
    """Read Qwen2-VL's tower."""
    width = config.size("embed_dim", 1280)
    mlp = FeedForward(
        width * config.size("mlp_ratio", 4),
        config.activation("hidden_act", "quick_gelu"),
        bias=True,
    )
    depth = config.size("depth", 32, most=LARGEST_DEPTH)
    stack = VisionLayers(width, depth, _read_heads(config, "embed_dim", width), mlp)
    return _joined(config, stack, config.size("hidden_size", 3584))


def _read_newer(config: Config) -> AnySize:
    """Read Qwen2.5-VL's tower, in which a few layers have full attention."""
    width, depth = config.size("hidden_size", 3584), config.size("depth", 32, most=LARGEST_DEPTH)
    mlp = FeedForward(
        config.size("intermediate_size", 3420), config.activation("hidden_act", "silu"),
        gated=True, bias=True,
    )  # fmt: skip
    stack = VisionLayers(
        width, depth, _read_heads(config, "hidden_size", width), mlp, norm="rmsnorm"
    )
    full = len(set(_read_full(config, depth)))
    sight = _joined(config, replace(stack, layers=full), config.size("out_hidden_size", 3584))
    unit = sight.tower.patches.size[0] * sight.projector.joined
    edge = config.size("window_size", 112) // unit
    if not edge:
        config.fault("window_size", f"'window_size' must be {unit} or more")
    windowed = replace(stack, layers=depth - full) if depth > full else None
    return replace(sight, windowed=windowed, edge=max(1, edge))


def _read_full(config: Config, depth: int) -> tuple[int, ...]:
    """Return which layers have full attention."""
    if config.has("fullatt_block_indexes"):
        return config.layer_list("fullatt_block_indexes", depth)
    usual = [layer for layer in (7, 15, 23, 31) if layer < depth]
    return tuple(config.default("fullatt_block_indexes", usual))


def _read_heads(config: Config, key: str, width: int) -> Attention:
    heads = config.size("num_heads", 16)
    config.divides("num_heads", heads, key, width)
    head_dim = max(1, width // heads)
    return Attention(
        heads, heads, head_dim, qkv_bias=True, out_bias=True, rotary=head_dim, causal=False
    )


def _joined(config: Config, stack: VisionLayers, out: int) -> AnySize:
    """Read the size of patches, and of the rows into which they are joined."""
    side = config.size("patch_size", 14, most=LARGEST_SIDE)
    merge = config.size("spatial_merge_size", 2, most=LARGEST_SIDE)
    channels = config.size("in_channels", 3)
    frames = config.size("temporal_patch_size", 2)
    cut = Patches(_USUAL, (side, side), channels, bias=False, frames=frames)
    return AnySize(Tower(cut, stack, positions=False), _merger(stack, out, merge))


def _merger(stack: VisionLayers, out: int, merge: int) -> Projector:
    """Return the layers that join patches to rows."""
    wide = merge * merge * stack.hidden_size
    layers = (
        Dense(Head("linear_1", wide, bias=True), "gelu"),
        Dense(Head("linear_2", out, bias=True)),
    )
    return Projector(layers, norm=stack.norm, joined=merge)


def _read_deep(config: Config) -> AnySize:
    """Read Qwen3-VL's tower, of which layers in between reach the decoder as well."""
    sight, depth = _read_third(config), config.size("depth", 27, most=LARGEST_DEPTH)
    if config.has("deepstack_visual_indexes"):
        deep = config.layer_list("deepstack_visual_indexes", depth)
    else:
        usual = [layer for layer in (8, 16, 24) if layer < depth]
        deep = tuple(config.default("deepstack_visual_indexes", usual))
    merger = replace(sight.projector, norm_joined=True)
    return replace(sight, added=len(set(deep)), added_projector=merger)


def _read_flat(config: Config) -> AnySize:
    """Read Qwen3.5's tower, of which the last layer alone reaches the decoder."""
    if config.data.get("deepstack_visual_indexes"):
        config.leave(
            "deepstack_visual_indexes", (config.data["deepstack_visual_indexes"],),
            "layers in between are",
        )  # fmt: skip
    return _read_third(config)


def _read_third(config: Config) -> AnySize:
    """Read the tower of Qwen3-VL and later: a table of positions, and rotation as well."""
    width, depth = config.size("hidden_size", 1152), config.size("depth", 27, most=LARGEST_DEPTH)
    mlp = FeedForward(
        config.size("intermediate_size", 4304),
        config.activation("hidden_act", "gelu_pytorch_tanh"),
        bias=True,
    )
    stack = VisionLayers(width, depth, _read_heads(config, "hidden_size", width), mlp)
    sight = _joined(config, stack, config.size("out_hidden_size", 3584))
    side = sight.tower.patches.size[0]
    known = config.size("num_position_embeddings", 2304)
    edge = math.isqrt(known)
    if edge * edge != known or edge * side > LARGEST_SIDE:
        config.fault(
            "num_position_embeddings", f"'num_position_embeddings' ({known}) must be a square"
        )
        edge = 1
    made = (edge * side, edge * side)
    cut = replace(sight.tower.patches, image_size=made, bias=True)
    tower = replace(sight.tower, patches=cut, positions=True)
    return replace(sight, tower=tower, pixels=_PIXELS_3)


_MOE = {
    "num_experts": 60, "num_experts_per_tok": 4, "moe_intermediate_size": 1408,
    "num_key_value_heads": 16,
}  # fmt: skip
_DIALECTS = {
    "qwen2_vl": _Dialect("Qwen2VLForConditionalGeneration", "qwen2_vl_text", _read_older),
    "qwen2_5_vl": _Dialect("Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl_text", _read_newer),
    "qwen3_vl": _Dialect("Qwen3VLForConditionalGeneration", "qwen3_vl_text", _read_deep),
    "qwen3_vl_moe": _Dialect(
        "Qwen3VLMoeForConditionalGeneration", "qwen3_vl_moe_text", _read_deep, _MOE
    ),
    "qwen3_5": _Dialect("Qwen3_5ForConditionalGeneration", "qwen3_5_text", _read_flat),
    "qwen3_5_moe": _Dialect("Qwen3_5MoeForConditionalGeneration", "qwen3_5_moe_text", _read_flat),
}
FAMILY = Family("qwen2_vl", tuple(_DIALECTS), read, lower)

"""ConvNeXt and its second version: convolutions laid out as a transformer.

A layer is a depthwise convolution of 7 x 7, a norm, and a feed-forward on every pixel. The second
version normalises what is within the feed-forward by each channel's share of the whole map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.core.axes import named
from memorywall.core.errors import InvalidInputError
from memorywall.core.forward import Forward
from memorywall.core.images import written
from memorywall.core.model import Family
from memorywall.core.program import Block, Program
from memorywall.core.traits import Images, Traits
from memorywall.layers.image_stages import FeatureMap, StageTape, stage_map
from memorywall.reading.config_values import Config
from memorywall.reading.vision import read_classifier, read_depths, read_sides

_KERNEL = 7  # of a layer's convolution
_WIDENING = 4  # of its feed-forward
_PREFIXES = {"convnext": "ConvNext", "convnextv2": "ConvNextV2"}


@dataclass(frozen=True, slots=True)
class ConvNext:
    """A ConvNeXt as its config describes it.

    Attributes:
        patch: side of the pieces that the image is cut into.
        stages: layers and channels of each.
        scaled: whether each layer's output is scaled, channel by channel.
        responses: whether the feed-forward normalises by global responses, as in version 2.
        labels: of the classifier; None for none.
    """

    class_name: str
    dtype: str
    image_size: tuple[int, int]
    image_channels: int
    patch: int
    stages: tuple[tuple[int, int], ...]
    activation: str
    scaled: bool
    responses: bool
    labels: int | None
    notes: tuple[str, ...] = ()
    max_positions: int | None = None

    def image_tokens(self, height: int, width: int) -> int:
        """Count the pixels of the last stage's map; what does not fill a patch is cut off."""
        cut: int = self.patch * 2 ** (len(self.stages) - 1)
        if min(height, width) < cut:
            raise InvalidInputError(
                f"image_size is {written((height, width))}, but {self.class_name} makes one pixel "
                f"of {cut} x {cut}, and nothing of less.",
                "Give a larger image_size.",
            )
        return (height // cut) * (width // cut)

    @property
    def traits(self) -> Traits:
        """An encoder of images."""
        return Traits(
            images=Images(self.image_size, self.image_tokens), head=self.labels is not None
        )


def read(data: Mapping[str, Any], where: str) -> ConvNext:
    """Read a config of one of the model types in ``_PREFIXES``."""
    config = Config(data, where)
    first = data["model_type"] == "convnext"
    class_name, labels = read_classifier(config, _PREFIXES[str(data["model_type"])])
    architecture = ConvNext(
        class_name=class_name,
        dtype=config.dtype(),
        image_size=read_sides(config, "image_size", 224),
        image_channels=config.size("num_channels", 3),
        patch=config.size("patch_size", 4),
        stages=_read_stages(config),
        activation=config.activation("hidden_act", "gelu"),
        scaled=first and _is_scaled(config),
        responses=not first,
        labels=labels,
        notes=config.all_notes(),
    )
    config.check()
    architecture.image_tokens(*architecture.image_size)
    return architecture


def _read_stages(config: Config) -> tuple[tuple[int, int], ...]:
    depths = read_depths(config, (3, 3, 9, 3))
    widths = config.sizes("hidden_sizes", (96, 192, 384, 768))
    stages = config.size("num_stages", 4)
    if not len(depths) == len(widths) == stages:
        config.fault("num_stages", "'depths' and 'hidden_sizes' must list as many as 'num_stages'")
    return tuple(zip(depths, widths, strict=False))


def _is_scaled(config: Config) -> bool:
    """Return whether layers have a learned scale: they do where it begins above zero."""
    key = "layer_scale_init_value"
    return config.data.get(key) != 0 and config.bound(key, 1e-6) is not None


def lower(model: ConvNext, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    tape = StageTape(forward, "embeddings")
    image = tape.image(*forward.image_size, model.image_channels)
    cut = tape.conv("patches", image, model.stages[0][1], model.patch, stride=model.patch)
    x = stage_map(forward, 1, cut.height, cut.width, cut.channels)
    tape.norm("norm", cut.pixels, "layernorm", out=x.pixels)
    blocks = [tape.close()]
    for stage, (depth, channels) in enumerate(model.stages, start=1):
        if stage > 1:
            block, x = _shrink(forward, stage, x, channels)
            blocks.append(block)
        blocks.append(_layers(model, forward, stage, x, depth))
    return Program((*blocks, _top(model, forward, x)))


def _shrink(forward: Forward, stage: int, x: FeatureMap, channels: int) -> tuple[Block, FeatureMap]:
    """Note the norm and the convolution between two stages; an odd row or column is cut off."""
    tape = StageTape(forward, f"stage{stage}.shrink")
    normed = FeatureMap(tape.norm("norm", x.pixels, "layernorm"), x.height, x.width)
    smaller = stage_map(forward, stage, x.height // 2, x.width // 2, channels)
    tape.conv("conv", normed, channels, 2, stride=2, out=smaller.pixels)
    return tape.close(), smaller


def _layers(model: ConvNext, forward: Forward, stage: int, x: FeatureMap, depth: int) -> Block:
    """Note one layer of a stage."""
    tape = StageTape(forward, f"stage{stage}.layers")
    near = tape.conv(
        "near", x, x.channels, _KERNEL, padding=_KERNEL // 2, groups=x.channels
    )  # fmt: skip
    y = tape.norm("norm", near.pixels, "layernorm")
    y = tape.linear("mlp.up_proj", y, named(ffn=_WIDENING * x.channels), bias=True)
    y = tape.apply("mlp.activation", model.activation, y)
    if model.responses:
        y = tape.norm("mlp.responses", y, "responses")
    y = tape.linear("mlp.down_proj", y, x.pixels.row_axes, bias=True)
    if model.scaled:
        y = tape.gain("scale", y)
    tape.add("add", x.pixels, y, out=x.pixels)
    before = sum(earlier for earlier, _ in model.stages[: stage - 1])
    return tape.close(depth, layers=tuple(range(before, before + depth)))


def _top(model: ConvNext, forward: Forward, x: FeatureMap) -> Block:
    tape = StageTape(forward, "head")
    pooled = tape.norm("norm", tape.mean("pool", x), "layernorm")
    tape.classifier(pooled, model.labels)
    return tape.close()


FAMILY = Family("convnext", tuple(_PREFIXES), read, lower)

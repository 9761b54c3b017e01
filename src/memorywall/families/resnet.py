"""ResNet: convolutions whose input is added to their output.

Batch norms are counted as they run: a gain and an offset for each channel. The running mean and
variance that they are made of are kept beside the weights, two more numbers a channel, and are
neither parameters nor counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from memorywall.core.forward import Forward
from memorywall.core.geometry import Elementwise, Space
from memorywall.core.model import Family
from memorywall.core.program import Block, Program
from memorywall.core.traits import Images, Traits
from memorywall.layers.element_costs import ACTIVATION_FLOPS, FLOPS_PER_ELEMENT
from memorywall.layers.image_stages import FeatureMap, StageTape, stage_map
from memorywall.reading.config_values import Config
from memorywall.reading.vision import read_classifier, read_depths

_REDUCTION = 4  # of channels within a bottleneck
_USUAL_SIZE = 224  # configs name no size of images
_LAYERS = ("basic", "bottleneck")
_WITHIN = "relu"  # the activation within a layer, independent of the config's activation at its end


@dataclass(frozen=True, slots=True)
class ResNet:
    """A ResNet as its config describes it.

    Attributes:
        embedding_size: channels that the first convolution makes.
        stages: layers and channels of each.
        bottleneck: whether a layer is three convolutions, the middle one on a quarter of the
            channels, or two.
        shrinks_first: whether the first stage makes the map smaller too.
        shrinks_early: whether a bottleneck does so in its first convolution or in its second.
        labels: of the classifier; None for none.
    """

    class_name: str
    dtype: str
    image_channels: int
    embedding_size: int
    stages: tuple[tuple[int, int], ...]
    activation: str
    bottleneck: bool
    shrinks_first: bool
    shrinks_early: bool
    labels: int | None
    notes: tuple[str, ...] = ()
    image_size: tuple[int, int] = (_USUAL_SIZE, _USUAL_SIZE)
    max_positions: int | None = None

    def stride(self, stage: int) -> int:
        """Return how many times smaller a side becomes in a stage, counted from 1."""
        return 2 if stage > 1 or self.shrinks_first else 1

    def image_tokens(self, height: int, width: int) -> int:
        """Count the pixels of the last stage's map; a side that is odd is halved and rounded up."""
        halvings = 2 + sum(self.stride(stage) == 2 for stage in range(1, len(self.stages) + 1))
        smaller: int = 2**halvings
        return -(-height // smaller) * -(-width // smaller)

    @property
    def traits(self) -> Traits:
        """An encoder of images."""
        return Traits(
            images=Images(self.image_size, self.image_tokens), head=self.labels is not None
        )


def read(data: Mapping[str, Any], where: str) -> ResNet:
    """Read a config with ``model_type`` resnet."""
    config = Config(data, where)
    class_name, labels = read_classifier(config, "ResNet")
    bottleneck = config.choice("layer_type", _LAYERS, "bottleneck") == "bottleneck"
    architecture = ResNet(
        class_name=class_name,
        dtype=config.dtype(),
        image_channels=config.size("num_channels", 3),
        embedding_size=config.size("embedding_size", 64),
        stages=_read_stages(config, _REDUCTION if bottleneck else 1),
        activation=config.activation("hidden_act", "relu"),
        bottleneck=bottleneck,
        shrinks_first=config.flag("downsample_in_first_stage", False),
        shrinks_early=config.flag("downsample_in_bottleneck", False),
        labels=labels,
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _read_stages(config: Config, least: int) -> tuple[tuple[int, int], ...]:
    depths = read_depths(config, (3, 4, 6, 3))
    widths = config.sizes("hidden_sizes", (256, 512, 1024, 2048))
    if len(depths) != len(widths):
        config.fault("hidden_sizes", "'hidden_sizes' must list as many numbers as 'depths'")
    if min(widths) < least:
        config.fault("hidden_sizes", f"'hidden_sizes' must be at least {least} in a bottleneck")
    return tuple(zip(depths, widths, strict=False))


def lower(model: ResNet, forward: Forward) -> Program:
    """Return the operators of one forward pass."""
    blocks: list[Block] = []
    read_in, x = _stem(model, forward)
    place = 0
    for stage, (depth, channels) in enumerate(model.stages, start=1):
        first, x = _first_layer(model, forward, stage, x, channels)
        blocks.append(replace(first, layers=(place,)))
        later, place = tuple(range(place + 1, place + depth)), place + depth
        if depth > 1:
            tape = _ResTape(forward, f"stage{stage}.layers", model)
            tape.layer(x, x)
            blocks.append(tape.close(depth - 1, layers=later))
    top = StageTape(forward, "head")
    top.classifier(top.mean("pool", x), model.labels)
    return Program((read_in, *blocks, top.close()))


def _stem(model: ResNet, forward: Forward) -> tuple[Block, FeatureMap]:
    """Note a convolution of 7 x 7 and a pool of 3 x 3, each of which halves the sides."""
    tape = _ResTape(forward, "embeddings", model)
    image = tape.image(*forward.image_size, model.image_channels)
    x = tape.normed("conv", image, model.embedding_size, 7, stride=2, activation=model.activation)
    pooled = stage_map(forward, 0, -(-x.height // 2), -(-x.width // 2), x.channels)
    space = Space(FLOPS_PER_ELEMENT["max_pool"], pooled.pixels.axes)
    tape.op("pool", Elementwise((space,), "max_pool"), (x.pixels,), pooled.pixels)
    return tape.close(), pooled


def _first_layer(
    model: ResNet, forward: Forward, stage: int, x: FeatureMap, channels: int
) -> tuple[Block, FeatureMap]:
    """Note the layer that changes sides and channels; a convolution of 1 x 1 does so beside it."""
    tape = _ResTape(forward, f"stage{stage}.first", model)
    stride = model.stride(stage)
    out = stage_map(forward, stage, -(-x.height // stride), -(-x.width // stride), channels)
    tape.layer(x, out, stride)
    return tape.close(), out


class _ResTape(StageTape):
    """Notes the operators of a block of a ResNet."""

    def __init__(self, forward: Forward, block: str, model: ResNet) -> None:
        super().__init__(forward, block)
        self.model = model

    def normed(
        self,
        name: str,
        x: FeatureMap,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        activation: str = "",
    ) -> FeatureMap:
        """Note a convolution, its batch norm and an activation function, if there is one."""
        y = self.conv(name, x, channels, kernel, stride=stride, padding=kernel // 2, bias=False)
        pixels = self.norm(f"{name}_norm", y.pixels, "batchnorm")
        if activation:
            pixels = self.apply(f"{name}_activation", activation, pixels)
        return FeatureMap(pixels, y.height, y.width)

    def layer(self, x: FeatureMap, out: FeatureMap, stride: int = 1) -> None:
        """Note one layer from x to out."""
        convolve = self._bottleneck if self.model.bottleneck else self._basic
        y = convolve(x, out.channels, stride)
        straight = x
        if x.channels != out.channels or stride != 1:
            straight = self.normed("shortcut", x, out.channels, 1, stride=stride)
        total = self.add("add", straight.pixels, y.pixels)
        function = self.model.activation
        geometry = Elementwise((Space(ACTIVATION_FLOPS[function], total.axes),), function)
        self.op("activation", geometry, (total,), out.pixels)

    def _basic(self, x: FeatureMap, channels: int, stride: int) -> FeatureMap:
        y = self.normed("conv1", x, channels, 3, stride=stride, activation=_WITHIN)
        return self.normed("conv2", y, channels, 3)

    def _bottleneck(self, x: FeatureMap, channels: int, stride: int) -> FeatureMap:
        narrow = channels // _REDUCTION
        early, late = (stride, 1) if self.model.shrinks_early else (1, stride)
        y = self.normed("conv1", x, narrow, 1, stride=early, activation=_WITHIN)
        y = self.normed("conv2", y, narrow, 3, stride=late, activation=_WITHIN)
        return self.normed("conv3", y, channels, 1)


FAMILY = Family("resnet", ("resnet",), read, lower)

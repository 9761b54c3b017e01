"""Attention within windows of a map, as Swin shifts them, and the biases that its scores are given.

Letters as in ``_stages``; N heads, M the side of a window.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.axes import Axes, named
from memorywall.core.geometry import Elementwise, Space
from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import FLOPS_PER_ELEMENT
from memorywall.layers.image_stages import FeatureMap, StageTape
from memorywall.layers.tape import Attention, FeedForward

_BIAS_WIDTH = 512  # within the network of Swin 2


@dataclass(frozen=True, slots=True)
class Stage:
    """A run of layers: how many, what they attend with, and the side of their windows."""

    depth: int
    attention: Attention
    mlp: FeedForward
    window: int

    @property
    def channels(self) -> int:
        """C."""
        return self.attention.heads * self.attention.head_dim


def whole_windows(sides: tuple[int, int], window: int) -> tuple[int, int]:
    """Return the sides of a map padded to whole windows."""
    height, width = (-(-side // window) * window for side in sides)
    return height, width


def _bias(stage: Stage) -> Axes:
    """Return the axes of a bias of all pairs within a window."""
    area = stage.window**2
    return named(heads=stage.attention.heads, tokens=area, keys=area)


class WindowTape(StageTape):
    """Notes the operators of a layer, whose forward pass is over windows."""

    def attend(self, x: FeatureMap, stage: Stage, bias: Tensor) -> Tensor:
        """Attend from x [B H W, C] within windows; what pads them is made, and cut off again."""
        if whole_windows((x.height, x.width), stage.window) == (x.height, x.width):
            return self.self_attention(x.pixels, stage.attention, mask=bias)
        padded = self.forward.row_axes + x.pixels.row_axes
        y = self.copy("attention.pad", x.pixels, padded)
        y = self.self_attention(y, stage.attention, mask=bias)
        return self.copy("attention.crop", y, x.pixels.axes, rows=x.pixels.rows_axes)

    def table_bias(self, stage: Stage) -> Tensor:
        """Look the bias [N, M^2 M^2] up in a table of all distances within a window of side M."""
        bias = self.activation("attention.bias", _bias(stage), 2)
        axes = named(positions=(2 * stage.window - 1) ** 2, heads=stage.attention.heads)
        table = self.weight("attention.distances.weight", axes)
        return self.move("attention.bias", (table,), bias, "positions")

    def network_bias(self, stage: Stage) -> Tensor:
        """Make the bias of the distances' coordinates by two layers, and 16 times a sigmoid.

        The scale of the scores, one number per head, is clipped too.
        """
        heads = named(heads=stage.attention.heads)
        scale = self.weight("attention.logit_scale", heads)
        clipped = self.activation("attention.logit_scale", heads)
        geometry = Elementwise((Space(FLOPS_PER_ELEMENT["clip"], heads),), "clip")
        self.op("attention.logit_scale", geometry, (scale,), clipped)
        coordinates = named(positions=(2 * stage.window - 1) ** 2, sides=2)
        x = self.activation("attention.coordinates", coordinates)
        x = self.linear("attention.distances.up_proj", x, named(hidden=_BIAS_WIDTH), bias=True)
        x = self.apply("attention.distances.activation", "relu", x)
        x = self.linear("attention.distances.down_proj", x, heads)
        bias = self.copy("attention.bias", x, _bias(stage), 2)
        bias = self.apply("attention.bias_activation", "sigmoid", bias)
        return self.each("attention.bias_scale", "scale", bias)

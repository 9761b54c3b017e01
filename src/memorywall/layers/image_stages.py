"""Image models in stages: maps of features that grow smaller and deeper from stage to stage.

A map lies as rows of pixels [B H W, C], channels last, as fast kernels keep it; what only turns
one layout into another is not counted. Letters: B images, H and W sides of a map, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.axes import Axes, named
from memorywall.core.forward import Forward
from memorywall.core.geometry import Conv, Elementwise, Space
from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import FLOPS_PER_ELEMENT
from memorywall.layers.encoder_heads import one_row
from memorywall.layers.output_head import Head, record_head
from memorywall.layers.tape import Tape


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """A map [B H W, C] and its sides."""

    pixels: Tensor
    height: int
    width: int

    @property
    def channels(self) -> int:
        """How many numbers a pixel has."""
        return int(self.pixels.width)


def stage_map(forward: Forward, stage: int, height: int, width: int, channels: int) -> FeatureMap:
    """Return what flows from layer to layer of a stage."""
    axes = named(batch=forward.batch, tokens=height * width, hidden=channels)
    return FeatureMap(Tensor(f"stage{stage}.hidden", axes, forward.activations), height, width)


class StageTape(Tape):
    """Notes the operators of a block that works on maps."""

    def image(self, height: int, width: int, channels: int) -> FeatureMap:
        """Return the images that come in."""
        axes = named(batch=self.forward.batch, tokens=height * width, channels=channels)
        return FeatureMap(self.activation("image", axes), height, width)

    def conv(
        self,
        name: str,
        x: FeatureMap,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        bias: bool = True,
        out: Tensor | None = None,
    ) -> FeatureMap:
        """Slide a square kernel over a map, the bias inside.

        2 C kernel^2 / groups FLOPs for every number that comes out, the padded edges among them.
        """
        height, width = (
            (side + 2 * padding - kernel) // stride + 1 for side in (x.height, x.width)
        )
        wide, taps = named(hidden=channels), kernel**2
        rows = named(batch=self.forward.batch, tokens=height * width)
        out = out or self.activation(name, rows + wide)
        inner = named(channels=x.channels // groups, kernel=taps)
        reads: tuple[Tensor, ...] = (x.pixels, self.weight(f"{name}.weight", wide + inner, 2))
        if bias:
            reads = (*reads, self.weight(f"{name}.bias", wide))
        contracted = ("channels",) if groups == 1 else ()
        self.op(name, Conv((Space(2, rows + wide + inner),), taps, contracted), reads, out)
        return FeatureMap(out, height, width)

    def copy(
        self, name: str, x: Tensor, axes: Axes, row: int = 1, *, rows: Axes | None = None
    ) -> Tensor:
        """Copy x, or some rows of it, into another shape: padded, cropped or side by side."""
        source = x.part(None if rows is None else rows + x.row_axes)
        return self.move(name, (source,), self.activation(name, axes, row))

    def gain(self, name: str, x: Tensor) -> Tensor:
        """Scale x [rows, C] by a learned number for each channel."""
        out = self.like(name, x)
        reads = (x, self.weight(f"{name}.weight", x.row_axes))
        geometry = Elementwise((Space(FLOPS_PER_ELEMENT["scale"], x.axes),), "scale", (0,))
        self.op(name, geometry, reads, out)
        return out

    def mean(self, name: str, x: FeatureMap) -> Tensor:
        """Average over the pixels of each image: [B, C] out."""
        out = self.activation(name, named(batch=self.forward.batch) + x.pixels.row_axes)
        space = Space(FLOPS_PER_ELEMENT["mean"], x.pixels.axes)
        self.op(name, Elementwise((space,), "mean", (0,), ("tokens",)), (x.pixels,), out)
        return out

    def classifier(self, x: Tensor, labels: int | None) -> None:
        """Note a linear layer from [B, C] to the labels, if there is one."""
        if labels is not None:
            head = Head("classifier", labels, bias=True, axis="labels")
            record_head(self, x, head, one_row(self.forward), x)

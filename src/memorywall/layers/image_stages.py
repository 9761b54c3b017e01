"""Image models in stages: maps of features that grow smaller and deeper from stage to stage.

A map lies as rows of pixels [B H W, C], channels last, as fast kernels keep it; what only turns
one layout into another is not counted. Letters: B images, H and W sides of a map, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.forward import Forward
from memorywall.core.numbers import Number
from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import FLOPS_PER_ELEMENT
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
        return int(self.pixels.shape[-1])


def stage_map(forward: Forward, stage: int, height: int, width: int, channels: int) -> FeatureMap:
    """Return what flows from layer to layer of a stage."""
    shape = (forward.batch * (height * width), channels)
    return FeatureMap(Tensor(f"stage{stage}.hidden", shape, forward.activations), height, width)


class StageTape(Tape):
    """Notes the operators of a block that works on maps."""

    def image(self, height: int, width: int, channels: int) -> FeatureMap:
        """Return the images that come in."""
        rows = self.forward.batch * (height * width)
        return FeatureMap(self.activation("image", rows, channels), height, width)

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
        rows = self.forward.batch * (height * width)
        out = out or self.activation(name, rows, channels)
        taps = x.channels // groups * kernel**2
        reads: tuple[Tensor, ...] = (x.pixels, self.weight(f"{name}.weight", channels, taps))
        if bias:
            reads = (*reads, self.weight(f"{name}.bias", channels))
        self.op(name, "conv", 2 * taps * channels * rows, reads, out)
        return FeatureMap(out, height, width)

    def copy(self, name: str, x: Tensor, *shape: Number, rows: Number | None = None) -> Tensor:
        """Copy x, or so many rows of it, into another shape: padded, cropped or side by side."""
        out = self.activation(name, *shape)
        touched = None if rows is None else (rows, x.shape[-1])
        source = Tensor(x.name, x.shape, x.format, x.role, touched)
        self.op(name, "embedding", 0, (source,), out, function="copy")
        return out

    def gain(self, name: str, x: Tensor) -> Tensor:
        """Scale x [rows, C] by a learned number for each channel."""
        out = self.activation(name, *x.shape)
        reads = (x, self.weight(f"{name}.weight", x.shape[-1]))
        flops = FLOPS_PER_ELEMENT["scale"] * x.elements
        self.op(name, "elementwise", flops, reads, out, function="scale")
        return out

    def mean(self, name: str, x: FeatureMap) -> Tensor:
        """Average over the pixels of each image: [B, C] out."""
        out = self.activation(name, self.forward.batch, x.channels)
        flops = FLOPS_PER_ELEMENT["mean"] * x.pixels.elements
        self.op(name, "elementwise", flops, (x.pixels,), out, function="mean")
        return out

    def classifier(self, x: Tensor, labels: int | None) -> None:
        """Note a linear layer from [B, C] to the labels, if there is one."""
        if labels is not None:
            rows = 0 if self.forward.logits == "none" else self.forward.batch
            record_head(self, x, Head("classifier", labels, bias=True), rows, x)

"""Joint attention: an image and its prompt have separate weights, and attend to both together.

Esser et al., "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis", 2024,
section 4. Queries, keys and values of the two lie side by side, each part written by its own
projection, so that nothing is copied to join them.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.axes import Axes, named
from memorywall.core.forward import Forward
from memorywall.core.geometry import Gemm
from memorywall.core.tensors import Tensor
from memorywall.layers.diffusion import DenoisingTape
from memorywall.layers.tape import Attention, FeedForward, join


@dataclass(frozen=True, slots=True)
class Streams:
    """The state between layers: the image [B P, D], the prompt [B S, D], and the conditioning.

    ``condition`` is a vector [B, D] of the step and of the whole prompt.
    """

    hidden: Tensor
    text: Tensor
    condition: Tensor


class JointTape(DenoisingTape):
    """Notes a block whose forward pass is over the tokens of image and prompt together.

    ``text`` is the positions of a prompt with separate weights; 0 for none.
    """

    def __init__(self, forward: Forward, block: str, text: int) -> None:
        super().__init__(forward, block)
        image = named(batch=forward.batch, tokens=forward.tokens - text)
        self.rows = {"": image, "text_": named(batch=forward.batch, tokens=text)}

    def project(self, x: Tensor, a: Attention, stream: str) -> None:
        """Write the queries, keys and values of one stream, ``text_`` or the image's."""
        width = named(heads=a.heads, head_dim=a.head_dim)
        for letter in "qkv":
            part = self._part(f"attention.{letter}", width, self.rows[stream])
            path = f"attention.{stream}{letter}"
            if a.qk_norm and letter != "v":
                y = self.linear(f"{path}_proj", x, width, a.qkv_bias)
                self.norm(f"{path}_norm", y, a.qk_norm_kind, run=1, out=part)
            else:
                self.linear(f"{path}_proj", x, width, a.qkv_bias, out=part)

    def attend(self, a: Attention) -> Tensor:
        """Let all attend to all: [B (P + S), D] out."""
        width = named(heads=a.heads, head_dim=a.head_dim)
        q, k, v = (self._part(f"attention.{letter}", width) for letter in "qkv")
        if a.rotary:
            q, k = (self._turned(x, a, letter) for x, letter in ((q, "q"), (k, "k")))
        return self._attend(q, k, v, a, "attention")

    def linear_of_two(self, name: str, x: Tensor, y: Tensor, width: Axes) -> Tensor:
        """Multiply two arrays side by side, x [rows, in] and y [rows, more], by one weight."""
        rows, parts = x.rows_axes, (x.row_axes, y.row_axes)
        weight = self.weight(f"{name}.weight", width + join(parts), parts=parts)
        reads = (x, y, weight, self.weight(f"{name}.bias", width))
        out = self.activation(name, rows + width)
        self.op(name, Gemm(rows, parts[0], (width,), (), self.product, parts[1:]), reads, out)
        return out

    def project_back(self, context: Tensor, width: Axes, stream: str) -> Tensor:
        """Project one stream's part of what was attended to: [rows, D] out."""
        rows, inner = self.rows[stream], context.row_axes
        name = f"attention.{stream}o_proj"
        weight = self.weight(f"{name}.weight", width + inner, len(inner))
        reads = (context.part(rows + inner), weight, self.weight(f"{name}.bias", width))
        out = self.activation(name, rows + width)
        self.op(name, Gemm(rows, inner, (width,), which=self.product), reads, out)
        return out

    def feed(self, x: Tensor, factors: Tensor, mlp: FeedForward, stream: str, out: Tensor) -> None:
        """Note the second half of a stream's layer."""
        y = self.modulated(f"{stream}mlp_norm", x, factors)
        y = self.feed_forward(y, mlp, f"{stream}mlp")
        self.gated_add(f"{stream}mlp", x, y, factors, out)

    def _turned(self, x: Tensor, a: Attention, letter: str) -> Tensor:
        name = f"attention.{letter}_rotary"
        return self.rotary(name, x, a.rotary, self.like(name, x))

    def _part(self, name: str, width: Axes, rows: Axes | None = None) -> Tensor:
        """Return an array of both streams, or the rows of one of them."""
        whole = self.activation(name, self.forward.row_axes + width, 2)
        return whole.part(None if rows is None else rows + width)

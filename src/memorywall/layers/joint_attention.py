"""Joint attention: an image and its prompt have weights of their own, and attend to both together.

Esser et al., "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis", 2024,
section 4. Queries, keys and values of the two lie side by side, each part written by its own
projection, so that nothing is copied to join them.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.forward import Forward
from memorywall.core.numbers import Number
from memorywall.core.tensors import Tensor
from memorywall.layers.diffusion import DenoisingTape
from memorywall.layers.tape import Attention, FeedForward


@dataclass(frozen=True, slots=True)
class Streams:
    """What flows from layer to layer: the image [B P, D], the prompt [B S, D], and what is asked.

    ``condition`` is a vector [B, D] of the step and of the whole prompt.
    """

    hidden: Tensor
    text: Tensor
    condition: Tensor


class JointTape(DenoisingTape):
    """Notes a block whose forward pass is over the tokens of image and prompt together.

    ``text`` is the positions of a prompt that has weights of its own; 0 for none.
    """

    def __init__(self, forward: Forward, block: str, text: int) -> None:
        super().__init__(forward, block)
        self.rows = {"": forward.batch * (forward.tokens - text), "text_": forward.batch * text}

    def project(self, x: Tensor, a: Attention, stream: str) -> None:
        """Write the queries, keys and values of one stream, ``text_`` or the image's."""
        width = a.heads * a.head_dim
        for letter in "qkv":
            part = self._part(f"attention.{letter}", width, self.rows[stream])
            path = f"attention.{stream}{letter}"
            if a.qk_norm and letter != "v":
                y = self.linear(f"{path}_proj", x, width, a.qkv_bias)
                self.norm(f"{path}_norm", y, a.qk_norm_kind, gain=a.head_dim, out=part)
            else:
                self.linear(f"{path}_proj", x, width, a.qkv_bias, out=part)

    def attend(self, a: Attention) -> Tensor:
        """Let all attend to all: [B (P + S), D] out."""
        width = a.heads * a.head_dim
        q, k, v = (self._part(f"attention.{letter}", width) for letter in "qkv")
        if a.rotary:
            q, k = (self._turned(x, a, letter) for x, letter in ((q, "q"), (k, "k")))
        return self._attend(q, k, v, a, "attention")

    def linear_of_two(self, name: str, x: Tensor, y: Tensor, width: int) -> Tensor:
        """Multiply two arrays side by side, x [rows, in] and y [rows, more], by one weight."""
        rows, inner = x.shape[0], int(x.shape[-1] + y.shape[-1])
        weights = (self.weight(f"{name}.weight", width, inner), self.weight(f"{name}.bias", width))
        out = self.activation(name, rows, width)
        flops = 2 * inner * width * rows
        self.op(name, "gemm", flops, (x, y, *weights), out, function=self.product)
        return out

    def project_back(self, context: Tensor, width: int, stream: str) -> Tensor:
        """Project one stream's part of what was attended to: [rows, D] out."""
        rows, inner = self.rows[stream], int(context.shape[-1])
        name = f"attention.{stream}o_proj"
        part = Tensor(context.name, context.shape, context.format, touched=(rows, inner))
        weights = (self.weight(f"{name}.weight", width, inner), self.weight(f"{name}.bias", width))
        out = self.activation(name, rows, width)
        flops = 2 * inner * width * rows
        self.op(name, "gemm", flops, (part, *weights), out, function=self.product)
        return out

    def feed(self, x: Tensor, factors: Tensor, mlp: FeedForward, stream: str, out: Tensor) -> None:
        """Note the second half of a stream's layer."""
        y = self.modulated(f"{stream}mlp_norm", x, factors)
        y = self.feed_forward(y, mlp, f"{stream}mlp")
        self.gated_add(f"{stream}mlp", x, y, factors, out)

    def _turned(self, x: Tensor, a: Attention, letter: str) -> Tensor:
        name = f"attention.{letter}_rotary"
        return self.rotary(name, x, a.heads, a.rotary, self.activation(name, *x.shape))

    def _part(self, name: str, width: int, rows: Number | None = None) -> Tensor:
        """Return an array of both streams, or the rows of one of them."""
        whole = self.activation(name, self.forward.rows, width)
        whole.touched = None if rows is None else (rows, width)
        return whole

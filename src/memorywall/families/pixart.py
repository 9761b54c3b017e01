"""PixArt-alpha and -Sigma: a DiT that attends to a prompt, with one modulation for all layers.

Chen et al., "PixArt-alpha", 2023, section 2.3: scales, shifts and gates are computed from the step
once, and each layer adds a learned table. Models for images of 1024 pixels may be conditioned on
the size and the shape of the image as well as the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.core.axes import Axes, named
from memorywall.core.forward import Forward
from memorywall.core.geometry import Elementwise, Space
from memorywall.core.model import Family
from memorywall.core.program import Block, Program
from memorywall.core.tensors import Tensor
from memorywall.layers.diffusion import LEFT_OUT, Denoising, DenoisingTape, Latents, flow
from memorywall.layers.element_costs import FLOPS_PER_ELEMENT
from memorywall.layers.tape import Attention, FeedForward
from memorywall.reading.config_values import LARGEST_DEPTH, Config

_CLASS = "PixArtTransformer2DModel"
_TEXT = 120  # positions that diffusers' pipeline of PixArt-alpha pads prompts to
_TOLD_FROM = 128  # side in latents from which models are conditioned on the size by default
_ACTIVATIONS = {"gelu-approximate": "gelu_pytorch_tanh", "gelu": "gelu"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PixArt(Denoising):
    """A PixArt as its config describes it.

    Attributes:
        text_width: of the prompt's positions as their encoder leaves them.
        norm: kind of the norms within layers.
        told_size: whether the size and the shape of the image are embedded beside the step.
        text: positions of a prompt.
    """

    text_width: int
    norm: str
    told_size: bool
    text: int = _TEXT


def read(data: Mapping[str, Any], where: str) -> PixArt:
    """Read a config of diffusers' class, or of the one that it was once saved as."""
    config = Config(data, where)
    gated = ("gated", "gated-text-image")
    config.refuse(
        "attention_type", gated, "attention to boxes and words beside it is not supported"
    )
    heads, head_dim = config.size("num_attention_heads", 16), config.size("attention_head_dim", 72)
    hidden, channels = heads * head_dim, config.size("in_channels", 4)
    if config.size("cross_attention_dim", 1152) != hidden:
        config.fault("cross_attention_dim", f"'cross_attention_dim' must be {hidden}")
    side = config.size("sample_size", 128, most=2**16)
    told = config.flag("use_additional_conditions", side == _TOLD_FROM)
    if told and hidden % 3:
        config.fault("num_attention_heads", f"{hidden} channels are not divided by three")
    function = config.choice("activation_fn", tuple(_ACTIVATIONS), "gelu-approximate")
    bias, affine = (
        config.flag("attention_bias", True),
        config.flag("norm_elementwise_affine", False),
    )
    config.notes += [
        LEFT_OUT,
        f"A prompt takes {_TEXT} positions, to which PixArt-alpha pads it; Sigma pads to 300.",
    ]
    architecture = PixArt(
        steps=20,  # as diffusers' pipeline
        class_name=_CLASS,
        dtype=config.dtype(),
        latents=Latents(
            side,
            channels,
            _out_channels(config, channels),
            config.size("patch_size", 2, most=2**16),
        ),
        layers=config.size("num_layers", 28, most=LARGEST_DEPTH),
        attention=Attention(heads, heads, head_dim, qkv_bias=bias, out_bias=True, causal=False),
        mlp=FeedForward(4 * hidden, _ACTIVATIONS[function], bias=True),
        text_width=config.size("caption_channels"),
        norm="layernorm" if affine else "layernorm_plain",
        told_size=told,
        notes=config.all_notes(),
    )
    config.check()
    architecture.image_tokens(*architecture.image_size)
    return architecture


def _out_channels(config: Config, channels: int) -> int:
    """Return ``out_channels``: 8 where the key is absent, as many as come in where it is null."""
    if "out_channels" in config.data and not config.has("out_channels"):
        return channels
    return config.size("out_channels", 8)


def lower(model: PixArt, forward: Forward) -> Program:
    """Return the operators of one denoising step."""
    forward = forward.of_images(model.image_tokens(*forward.image_size))
    batch, width = named(batch=forward.batch), named(hidden=model.hidden_size)
    prompts, six = batch + named(tokens=model.text), named(parts=6) + width
    hidden = flow(forward, "hidden", forward.row_axes + width)
    text = flow(forward, "text", prompts + width)
    step, factors = flow(forward, "step", batch + width), flow(forward, "factors", batch + six, 2)
    tape = _PixArtTape(forward, "embeddings")
    tape.latents(model.latents, hidden)
    tape.told_step(model, step)
    tape.linear("modulation", tape.apply("silu", "silu", step), six, True, out=factors)
    prompt = tape.activation("prompt", prompts + named(condition=model.text_width))
    tape.two_layers("prompt_proj", prompt, width, "gelu_pytorch_tanh", out=text)
    top = _PixArtTape(forward, "head")
    top.noise(model.latents, hidden, top.tabled("table", step, named(parts=2) + width))
    return Program((tape.close(), _layers(model, forward, hidden, text, factors), top.close()))


def _layers(model: PixArt, forward: Forward, hidden: Tensor, text: Tensor, shared: Tensor) -> Block:
    tape = _PixArtTape(forward, "layers")
    factors = tape.tabled("table", shared, named(parts=6) + hidden.row_axes)
    middle, crossed = (tape.like(name, hidden) for name in ("middle", "crossed"))
    x = tape.modulated("attention_norm", hidden, factors, model.norm)
    tape.gated_add("attention", hidden, tape.self_attention(x, model.attention), factors, middle)
    y = tape.cross_attention(middle, text, model)
    tape.add("cross_attention_add", middle, y, out=crossed)
    x = tape.modulated("mlp_norm", crossed, factors, model.norm)
    tape.gated_add("mlp", crossed, tape.feed_forward(x, model.mlp), factors, hidden)
    return tape.close(model.layers, layers=tuple(range(model.layers)))


class _PixArtTape(DenoisingTape):
    """Notes the operators of a block of a PixArt."""

    def told_step(self, model: PixArt, out: Tensor) -> None:
        """Embed the step into out [B, D]; with it, two sides and one shape of the image."""
        width, batch = out.row_axes, named(batch=self.forward.batch)
        if not model.told_size:
            self.step(width, out=out)
            return
        step = self.step(width)
        told = self.like("size", out)
        third = named(hidden=model.hidden_size // 3)
        sides = self.step(third, "sides", rows=batch + named(sides=2))
        self.move("size", (sides, self.step(third, "shape")), told)
        self.add("size_add", step, told, out=out)

    def tabled(self, name: str, factors: Tensor, width: Axes) -> Tensor:
        """Add a learned table to factors [B, parts D], or to one vector [B, D] for all parts."""
        out = self.activation(name, named(batch=self.forward.batch) + width, 2)
        table = self.weight(f"{name}.weight", width)
        geometry = Elementwise((Space(FLOPS_PER_ELEMENT["add"], out.axes),), "add", (0, 1))
        self.op(f"{name}_add", geometry, (factors, table), out)
        return out

    def cross_attention(self, x: Tensor, text: Tensor, model: PixArt) -> Tensor:
        """Attend from x [B P, D] to the prompt [B S, D]: [B P, D] out."""
        a, path = model.attention, "cross_attention"
        width = named(kv_heads=a.kv_heads, head_dim=a.head_dim)
        q = self.linear(f"{path}.q_proj", x, named(heads=a.heads, head_dim=a.head_dim), a.qkv_bias)
        k = self.linear(f"{path}.k_proj", text, width, a.qkv_bias)
        v = self.linear(f"{path}.v_proj", text, width, a.qkv_bias)
        context = self._attend(q, k, v, a, path, sources=model.text)
        return self.linear(f"{path}.o_proj", context, x.row_axes, a.out_bias)


FAMILY = Family("pixart", (_CLASS,), read, lower)

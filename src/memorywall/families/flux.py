"""FLUX.1: layers of two streams as Stable Diffusion 3 has, then layers of one stream of both.

A layer of one stream attends and feeds forward side by side from one norm, and projects both back
together. Positions are rotated. Guidance is learned: its strength is embedded beside the step, and
a step is taken once. Latents are packed two by two before the model sees them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from memorywall.core.axes import named
from memorywall.core.forward import Forward
from memorywall.core.model import Family
from memorywall.core.program import Block, Program
from memorywall.core.tensors import Tensor
from memorywall.layers.diffusion import LEFT_OUT, Denoising, DenoisingTape, Latents, flow
from memorywall.layers.joint_attention import JointTape, Streams
from memorywall.layers.tape import Attention, FeedForward
from memorywall.reading.config_values import LARGEST_DEPTH, Config

_CLASS = "FluxTransformer2DModel"
_TEXT = 512  # positions that diffusers' pipeline pads prompts to
_PACKED = 2  # latents of a side that are packed into one
_USUAL_SIDE = 128  # latents of an image; configs name none


@dataclass(frozen=True, slots=True, kw_only=True)
class Flux(Denoising):
    """A FLUX.1 as its config describes it.

    Attributes:
        layers, single_layers: layers of two streams, and of one.
        text_width: of the prompt's positions as their encoder leaves them.
        pooled_width: of the one vector that another makes of a prompt.
        tells_guidance: whether the strength of guidance is embedded.
        text: positions of a prompt.
    """

    single_layers: int
    text_width: int
    pooled_width: int
    tells_guidance: bool
    text: int = _TEXT


def read(data: Mapping[str, Any], where: str) -> Flux:
    """Read a config of diffusers' class."""
    config = Config(data, where)
    heads, head_dim = config.size("num_attention_heads", 24), config.size("attention_head_dim", 128)
    config.only("patch_size", 1, "only latents that are packed before are covered")
    packed = config.size("in_channels", 64)
    out = config.optional_size("out_channels") or packed
    if sum(config.sizes("axes_dims_rope", (16, 56, 56))) != head_dim:
        config.fault("axes_dims_rope", f"'axes_dims_rope' must add up to {head_dim}")
    config.notes += [LEFT_OUT, f"A prompt takes {_TEXT} positions, to which it is padded."]
    tells_guidance = config.flag("guidance_embeds", False)
    architecture = Flux(
        steps=28 if tells_guidance else 4,  # distilled to do without guidance, it needs few
        guided=False,
        class_name=_CLASS,
        dtype=config.dtype(),
        latents=Latents(_USUAL_SIDE, packed, out, _PACKED, packed=True),
        layers=config.size("num_layers", 19, most=LARGEST_DEPTH),
        single_layers=config.size("num_single_layers", 38, most=LARGEST_DEPTH),
        attention=Attention(
            heads, heads, head_dim, qkv_bias=True, out_bias=True, causal=False, rotary=head_dim,
            qk_norm="head",
        ),
        mlp=FeedForward(4 * heads * head_dim, "gelu_pytorch_tanh", bias=True),
        text_width=config.size("joint_attention_dim", 4096),
        pooled_width=config.size("pooled_projection_dim", 768),
        tells_guidance=tells_guidance,
        notes=config.all_notes(),
    )  # fmt: skip
    config.check()
    return architecture


def lower(model: Flux, forward: Forward) -> Program:
    """Return the operators of one denoising step."""
    image = forward.of_images(model.image_tokens(*forward.image_size))
    both = replace(image, tokens=image.tokens + model.text)
    batch, width = named(batch=image.batch), named(hidden=model.hidden_size)
    hidden = flow(image, "hidden", image.row_axes + width)
    text = flow(image, "text", batch + named(tokens=model.text) + width)
    streams = Streams(hidden, text, flow(image, "condition", batch + width))
    tape = JointTape(both, "layers", model.text)
    _layer(tape, model, streams)
    blocks = [
        _embed(model, image, streams),
        tape.close(model.layers, layers=tuple(range(model.layers))),
    ]
    joined = flow(image, "joined", both.row_axes + width)
    blocks += _single_layers(model, both, streams, joined)
    top = DenoisingTape(image, "head")
    factors = top.factors("modulation", streams.condition, 2)
    top.noise(model.latents, hidden, factors)
    return Program((*blocks, top.close()))


def _embed(model: Flux, image: Forward, streams: Streams) -> Block:
    """Note what embeds latents, prompt and step."""
    tape, width = DenoisingTape(image, "embeddings"), streams.hidden.row_axes
    channels = named(pixels=model.latents.channels)
    latents = tape.activation("latents", image.row_axes + channels)
    tape.linear("latents_proj", latents, width, bias=True, out=streams.hidden)
    prompt = tape.activation("prompt", streams.text.rows_axes + named(condition=model.text_width))
    tape.linear("prompt_proj", prompt, width, bias=True, out=streams.text)
    pooled = tape.activation("pooled", named(batch=image.batch, condition=model.pooled_width))
    condition = tape.step(width)
    if model.tells_guidance:
        condition = tape.add("step_add", condition, tape.step(width, "guidance"))
    asked = tape.two_layers("pooled_proj", pooled, width)
    tape.add("condition", condition, asked, out=streams.condition)
    return tape.close()


def _layer(tape: JointTape, model: Flux, streams: Streams) -> None:
    """Note a layer of two streams."""
    both = (("", streams.hidden), ("text_", streams.text))
    factors = {n: tape.factors(f"{n}modulation", streams.condition, 6) for n, _ in both}
    for name, x in both:
        y = tape.modulated(f"{name}attention_norm", x, factors[name])
        tape.project(y, model.attention, name)
    context = tape.attend(model.attention)
    for name, x in both:
        middle = tape.like(f"{name}middle", x)
        y = tape.project_back(context, x.row_axes, name)
        tape.gated_add(f"{name}attention", x, y, factors[name], middle)
        tape.feed(middle, factors[name], model.mlp, name, x)


def _single_layers(
    model: Flux, both: Forward, streams: Streams, joined: Tensor
) -> tuple[Block, Block, Block]:
    """Note the layers of one stream, before which the two are joined, and parted after."""
    before, after = DenoisingTape(both, "join"), DenoisingTape(both, "part")
    before.move("copy", (streams.hidden, streams.text), joined)
    after.move("copy", (joined.part(streams.hidden.axes),), streams.hidden)
    tape, width = JointTape(both, "single_layers", 0), joined.row_axes
    factors = tape.factors("modulation", streams.condition, 3)
    x = tape.modulated("norm", joined, factors)
    wide = tape.linear("mlp.up_proj", x, named(ffn=model.mlp.width), bias=True)
    wide = tape.apply("mlp.activation", model.mlp.activation, wide)
    tape.project(x, model.attention, "")
    y = tape.linear_of_two("o_proj", tape.attend(model.attention), wide, width)
    tape.gated_add("layer", joined, y, factors, joined)
    places = tuple(range(model.layers, model.layers + model.single_layers))
    return before.close(), tape.close(model.single_layers, layers=places), after.close()


FAMILY = Family("flux", (_CLASS,), read, lower)

"""Stable Diffusion 3 and 3.5: an image and its prompt, with separate weights.

A layer modulates both streams, lets them attend together, and feeds each forward; the last has no
use for the prompt's any more. Layers of 3.5 medium attend once more, over the image alone. Sines of
positions lie in the checkpoint, ``pos_embed_max_size`` squared of them, and are not parameters:
their memory is not counted.
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

_CLASS = "SD3Transformer2DModel"
# The length to which diffusers' pipeline pads prompts: 77 positions of CLIP's encoders and 256 of
# T5's.
_TEXT = 77 + 256
_NORMS = {"rms_norm": "rmsnorm", "layer_norm": "layernorm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SD3(Denoising):
    """A Stable Diffusion 3 as its config describes it.

    Attributes:
        text_width: of the prompt's positions as its encoders leave them.
        pooled_width: of the one vector that they make of a prompt.
        dual: numbers of the layers that attend over the image once more.
        text: positions of a prompt.
    """

    text_width: int
    pooled_width: int
    dual: tuple[int, ...]
    text: int = _TEXT


def read(data: Mapping[str, Any], where: str) -> SD3:
    """Read a config of diffusers' class."""
    config = Config(data, where)
    heads, head_dim = config.size("num_attention_heads", 18), config.size("attention_head_dim", 64)
    hidden, layers = heads * head_dim, config.size("num_layers", 18, most=LARGEST_DEPTH)
    if config.size("caption_projection_dim", 1152) != hidden:
        config.fault("caption_projection_dim", f"'caption_projection_dim' must be {hidden}")
    norm = config.choice("qk_norm", tuple(_NORMS), "rms_norm") if config.has("qk_norm") else ""
    config.notes += [LEFT_OUT, f"A prompt takes {_TEXT} positions, to which it is padded."]
    architecture = SD3(
        steps=28,  # as diffusers' pipeline
        class_name=_CLASS,
        dtype=config.dtype(),
        latents=_read_latents(config),
        layers=layers,
        attention=Attention(
            heads, heads, head_dim, qkv_bias=True, out_bias=True, causal=False,
            qk_norm="head" if norm else "", qk_norm_kind=_NORMS.get(norm, ""),
        ),
        mlp=FeedForward(4 * hidden, "gelu_pytorch_tanh", bias=True),
        text_width=config.size("joint_attention_dim", 4096),
        pooled_width=config.size("pooled_projection_dim", 2048),
        dual=config.layer_list("dual_attention_layers", layers),
        notes=config.all_notes(),
    )  # fmt: skip
    config.check()
    architecture.image_tokens(*architecture.image_size)
    return architecture


def _read_latents(config: Config) -> Latents:
    channels = config.size("in_channels", 16)
    out = config.size("out_channels", 16) if config.has("out_channels") else None
    return Latents(
        config.size("sample_size", 128, most=2**16),
        channels,
        out or (channels if "out_channels" in config.data else 16),
        config.size("patch_size", 2, most=2**16),
        config.size("pos_embed_max_size", 96),
    )


def lower(model: SD3, forward: Forward) -> Program:
    """Return the operators of one denoising step."""
    image = forward.of_images(model.image_tokens(*forward.image_size))
    both = replace(image, tokens=image.tokens + model.text)
    width, batch = named(hidden=model.hidden_size), named(batch=image.batch)
    prompts = batch + named(tokens=model.text)
    hidden = flow(forward, "hidden", image.row_axes + width)
    text = flow(forward, "text", prompts + width)
    tape = DenoisingTape(image, "embeddings")
    tape.latents(model.latents, hidden)
    prompt = tape.activation("prompt", prompts + named(condition=model.text_width))
    tape.linear("prompt_proj", prompt, width, bias=True, out=text)
    pooled = tape.activation("pooled", batch + named(condition=model.pooled_width))
    condition = flow(forward, "condition", batch + width)
    tape.add("condition", tape.step(width), tape.two_layers("pooled_proj", pooled, width),
             out=condition)  # fmt: skip
    streams = Streams(hidden, text, condition)
    top = DenoisingTape(image, "head")
    top.noise(model.latents, hidden, top.factors("modulation", condition, 2))
    return Program((tape.close(), *_layers(model, both, image, streams), top.close()))


def _layers(model: SD3, both: Forward, image: Forward, streams: Streams) -> list[Block]:
    """Note the layers by kind: those that attend twice, the others, and the last."""
    last = model.layers - 1
    dual = tuple(layer for layer in range(last) if layer in model.dual)
    once = tuple(layer for layer in range(last) if layer not in model.dual)
    blocks = []
    for name, places, twice in (("dual_layers", dual, True), ("layers", once, False)):
        if places:
            tape = JointTape(both, name, model.text)
            _layer(tape, model, image, streams, twice=twice)
            blocks.append(tape.close(len(places), layers=places))
    tape = JointTape(both, "last_layer", model.text)
    _layer(tape, model, image, streams, twice=last in model.dual, last=True)
    return [*blocks, tape.close(layers=(last,))]


def _layer(
    tape: JointTape,
    model: SD3,
    image: Forward,
    streams: Streams,
    *,
    twice: bool,
    last: bool = False,
) -> None:
    """Note one layer; of a prompt, the last only makes queries, keys and values."""
    a, hidden, text = model.attention, streams.hidden, streams.text
    factors = tape.factors("modulation", streams.condition, 9 if twice else 6)
    x = tape.modulated("attention_norm", hidden, factors)
    tape.project(x, a, "")
    text_factors = tape.factors("text_modulation", streams.condition, 2 if last else 6)
    tape.project(tape.modulated("text_attention_norm", text, text_factors), a, "text_")
    context = tape.attend(a)
    middle = tape.like("middle", hidden)
    y = tape.project_back(context, hidden.row_axes, "")
    tape.gated_add("attention", hidden, y, factors, middle)
    if twice:
        middle = _attend_again(tape, model, image, hidden, middle, factors)
    tape.feed(middle, factors, model.mlp, "", hidden)
    if not last:
        y = tape.project_back(context, text.row_axes, "text_")
        text_middle = tape.like("text_middle", text)
        tape.gated_add("text_attention", text, y, text_factors, text_middle)
        tape.feed(text_middle, text_factors, model.mlp, "text_", text)


def _attend_again(
    tape: JointTape, model: SD3, image: Forward, hidden: Tensor, middle: Tensor, factors: Tensor
) -> Tensor:
    """Attend over the image alone from the same norm, and add that too."""
    alone = DenoisingTape(image, tape.block)
    normed = tape.like("attention_norm", hidden)
    x = alone.modulated("attention_norm", normed, factors, again=True)
    y = alone.self_attention(x, model.attention, "attention2")
    out = alone.like("middle2", hidden)
    alone.gated_add("attention2", middle, y, factors, out)
    tape.ops += alone.ops
    return out


FAMILY = Family("sd3", (_CLASS,), read, lower)

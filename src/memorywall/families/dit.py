"""DiT: a transformer over patches of latents, conditioned on step and class by modulation.

In diffusers' class every layer has a separate, identical embedder of steps and classes, and the
head runs the first layer's again; the published 675 M parameters count one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.core.axes import named
from memorywall.core.errors import UnsupportedError, shown
from memorywall.core.forward import Forward
from memorywall.core.model import Family
from memorywall.core.program import Block, Program
from memorywall.core.tensors import Tensor
from memorywall.layers.diffusion import LEFT_OUT, Denoising, DenoisingTape, Latents, flow
from memorywall.layers.tape import Attention, FeedForward
from memorywall.reading.config_values import Config

_CLASS = "DiTTransformer2DModel"
_ACTIVATIONS = {"gelu-approximate": "gelu_pytorch_tanh", "gelu": "gelu"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiT(Denoising):
    """A DiT as its config describes it.

    Attributes:
        classes: of the conditioning; one more means no class.
        norm: kind of the norm before the feed-forward.
    """

    classes: int
    norm: str


def read(data: Mapping[str, Any], where: str) -> DiT:
    """Read a config of diffusers' class, or of the one that it was once saved as."""
    config = Config(data, where)
    if config.word("norm_type", "ada_norm_zero") != "ada_norm_zero":
        config.check()
        found = shown(data.get("norm_type"))
        raise UnsupportedError(f"{where}: 'norm_type' is {found}: only ada_norm_zero is covered.")
    heads, head_dim = config.size("num_attention_heads", 16), config.size("attention_head_dim", 72)
    function = config.choice("activation_fn", tuple(_ACTIVATIONS), "gelu-approximate")
    bias, affine = (
        config.flag("attention_bias", True),
        config.flag("norm_elementwise_affine", False),
    )
    config.notes.append(LEFT_OUT)
    architecture = DiT(
        steps=50,  # as diffusers' pipeline
        class_name=_CLASS,
        dtype=config.dtype(),
        latents=_read_latents(config),
        layers=config.size("num_layers", 28, most=2**16),
        attention=Attention(heads, heads, head_dim, qkv_bias=bias, out_bias=True, causal=False),
        mlp=FeedForward(4 * heads * head_dim, _ACTIVATIONS[function], bias=True),
        classes=config.size("num_embeds_ada_norm", 1000),
        norm="layernorm" if affine else "layernorm_plain",
        notes=config.all_notes(),
    )
    config.check()
    architecture.image_tokens(*architecture.image_size)
    return architecture


def _read_latents(config: Config) -> Latents:
    channels = config.size("in_channels", 4)
    return Latents(
        config.size("sample_size", 32, most=2**16),
        channels,
        config.optional_size("out_channels") or channels,
        config.size("patch_size", 2, most=2**16),
        square=True,
    )


def lower(model: DiT, forward: Forward) -> Program:
    """Return the operators of one denoising step."""
    forward = forward.of_images(model.image_tokens(*forward.image_size))
    hidden = flow(forward, "hidden", forward.row_axes + named(hidden=model.hidden_size))
    tape = DenoisingTape(forward, "embeddings")
    tape.latents(model.latents, hidden)
    return Program((tape.close(), _layers(model, forward, hidden), _head(model, forward, hidden)))


def _layers(model: DiT, forward: Forward, hidden: Tensor) -> Block:
    tape = DenoisingTape(forward, "layers")
    factors = tape.factors("modulation", _condition(tape, model), 6)
    middle = tape.like("middle", hidden)
    x = tape.modulated("attention_norm", hidden, factors)
    x = tape.self_attention(x, model.attention)
    tape.gated_add("attention", hidden, x, factors, middle)
    x = tape.modulated("mlp_norm", middle, factors, model.norm)
    x = tape.feed_forward(x, model.mlp)
    tape.gated_add("mlp", middle, x, factors, hidden)
    return tape.close(model.layers, layers=tuple(range(model.layers)))


def _condition(tape: DenoisingTape, model: DiT) -> Tensor:
    """Embed the step and the class, and add them: [B, D]."""
    batch, width = tape.forward.batch, named(hidden=model.hidden_size)
    step = tape.step(width)
    asked = tape.activation("class", named(batch=batch) + width)
    tape.embed("class", asked, ("classes", ("positions", model.classes + 1), batch))
    return tape.add("condition", step, asked)


def _head(model: DiT, forward: Forward, hidden: Tensor) -> Block:
    """Note what stands on top, with the first layer's embedder of step and class."""
    tape = DenoisingTape(forward, "head")
    condition = _condition(tape, model)
    for op in tape.ops:
        for tensor in op.reads:
            if tensor.role == "weight":
                tensor.name = tensor.name.replace("head.", "layers.", 1)
    tape.noise(model.latents, hidden, tape.factors("modulation", condition, 2))
    return tape.close()


FAMILY = Family("dit", (_CLASS,), read, lower)

"""Gemma 4 with images: a separate tower, whose patches are averaged three by three.

An image is resized so that its patches come near a budget of tokens, without a change of its
proportions. In layers with a window, an image's tokens may attend to one another in both
directions. The towers for audio are resident and do not run. Vision layers follow transformers,
``models/gemma4``; clipping of linear layers and the standardisation of pooled rows are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.core.errors import InvalidInputError
from memorywall.core.forward import Forward
from memorywall.core.images import written
from memorywall.core.model import Family
from memorywall.core.program import Block
from memorywall.core.tensors import Tensor
from memorywall.families.llava import read_text
from memorywall.layers.encoder_heads import Dense
from memorywall.layers.image_text import ImageText, Resizing, lower
from memorywall.layers.output_head import Head
from memorywall.layers.projector import Projector, lower_projector
from memorywall.layers.tape import Attention, FeedForward
from memorywall.layers.vision_tower import Patches, Tower, VisionLayers, lower_tower
from memorywall.reading.config_values import LARGEST_DEPTH, Config
from memorywall.reading.vision import LARGEST_SIDE, vision_part

_CLASS = "Gemma4ForConditionalGeneration"
_TOKENS = 280  # of an image, at most: the processor's ``max_soft_tokens``


@dataclass(frozen=True, slots=True)
class Budget(Resizing):
    """A tower that takes images of about as many patches as a budget of tokens allows.

    Attributes:
        most: tokens of the decoder that an image takes at most.
    """

    tower: Tower
    projector: Projector
    most: int

    @property
    def image_size(self) -> tuple[int, int]:
        """A usual size."""
        return self.tower.patches.image_size

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return the size that an image is resized to, as the models' processor does.

        Both sides are scaled so that the patches come near the budget, and rounded down to whole
        tokens.

        Raises:
            InvalidInputError: one side is more times the other than the budget has tokens.
        """
        unit = self.tower.patches.size[0] * self.projector.averaged
        scale = math.sqrt(self.most * unit * unit / (height * width))
        rows, columns = int(scale * height / unit), int(scale * width / unit)
        if not rows and not columns:
            raise InvalidInputError(
                f"image_size: {written((height, width))} pixels are less than a token."
            )
        if not rows:
            rows, columns = 1, min(width // height, self.most)
        elif not columns:
            rows, columns = min(height // width, self.most), 1
        return rows * unit, columns * unit

    def lower(self, forward: Forward) -> tuple[list[Block], Tensor]:
        """Return the blocks that encode all images, and their output rows."""
        images, rows = self.images_of(forward), self.tokens(*forward.image_size)
        blocks, hidden = lower_tower(self.tower, images, "vision.")
        last, found = lower_projector(self.projector, images, hidden, rows)
        return [*blocks, last], found


def read(data: Mapping[str, Any], where: str) -> ImageText:
    """Read a config with ``model_type`` gemma4."""
    config = Config(data, where)
    class_name = config.class_name(_CLASS, (_CLASS,))
    decoder = read_text(config, "gemma4_text", tied=config.flag("tie_word_embeddings", True))
    part = config.within("text_config")
    both_ways = part is not None and part.data.get("use_bidirectional_attention") == "vision"
    architecture = ImageText(
        class_name=class_name,
        dtype=decoder.dtype,
        decoder=decoder,
        sight=_read_sight(config, decoder.hidden_size),
        ahead="windows" if both_ways else "",
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _read_sight(config: Config, width: int) -> Budget:
    """Read the tower, and the linear layer to the decoder's width."""
    tokens = config.size("vision_soft_tokens_per_image", _TOKENS)
    part = vision_part(config)
    heads, head_dim = part.size("num_attention_heads", 12), part.size("head_dim", 64)
    kv_heads = part.size("num_key_value_heads", 12)
    part.divides("num_key_value_heads", kv_heads, "num_attention_heads", heads)
    attention = Attention(
        heads, kv_heads, head_dim, rotary=head_dim, qk_norm="head", value_norm=True, causal=False
    )
    mlp = FeedForward(
        part.size("intermediate_size", 3072),
        part.activation("hidden_activation", "gelu_pytorch_tanh"),
        gated=True,
    )
    stack = VisionLayers(
        part.size("hidden_size", 768),
        part.size("num_hidden_layers", 16, most=LARGEST_DEPTH),
        attention,
        mlp,
        norm="rmsnorm",
        norms_after=True,
    )
    side = part.size("patch_size", 16, most=LARGEST_SIDE)
    pooled = part.size("pooling_kernel_size", 3, most=LARGEST_SIDE)
    usual = math.isqrt(tokens) * pooled * side
    cut = Patches((usual, usual), (side, side), bias=False, linear=True)
    positions = part.size("position_embedding_size", 10_240)
    tower = Tower(cut, stack, sides=positions, unread=_audio_weights(config, width))
    layers = (Dense(Head("projection", width)),)
    return Budget(tower, Projector(layers, averaged=pooled, norm="rmsnorm_plain"), tokens)


def _audio_weights(config: Config, width: int) -> int:
    """Return the weights of the tower for audio and of its linear layer to the decoder; else 0.

    A layer of D has two feed-forwards of 4 D between norms, five D x D matrices of attention (one
    for distances) with a scale for each element of a head, a convolution of k taps between linear
    layers of 2 D and D, and three norms; two convolutions of 3 x 3 stand before the first.
    """
    part = config.within("audio_config")
    if part is None:
        return 0
    d, layers = part.size("hidden_size", 1024), part.size("num_hidden_layers", 12)
    heads, taps = part.size("num_attention_heads", 8), part.size("conv_kernel_size", 5)
    first, second = part.sizes("subsampling_conv_channels", (128, 32))[:2]
    out = part.size("output_proj_dims", 1536)
    part.divides("num_attention_heads", heads, "hidden_size", d)
    config.notes.append(
        "Audio is not supported: the weights of its tower are resident, and it does not run."
    )
    feed_forward, attention = 2 * 4 * d * d + 2 * d, 5 * d * d + d // heads
    convolution = 3 * d * d + taps * d + 2 * d
    before = 9 * first + first + 9 * first * second + second + first // 4 * second * d
    layer = 2 * feed_forward + attention + convolution + 3 * d
    return before + layers * layer + d * out + out + out * width


FAMILY = Family("gemma4", ("gemma4",), read, lower)

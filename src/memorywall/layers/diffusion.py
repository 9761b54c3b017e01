"""Common parts of diffusion transformers: latents cut into patches, and modulated layers.

An autoencoder makes latents of an image, one for 8 x 8 pixels; it runs once and is not counted, nor
are the encoders of the prompt. A step embeds its number and what is asked for into one vector a
row, of which every layer makes scales, shifts and gates. Sines of positions and of step numbers are
not counted, as angles are not.

Letters: B rows (images, twice as many with guidance), P patches, S positions of a prompt, D hidden.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from memorywall.core.axes import Axes, named, resized
from memorywall.core.errors import InvalidInputError
from memorywall.core.forward import Forward
from memorywall.core.geometry import Elementwise, Space
from memorywall.core.images import written
from memorywall.core.tensors import Tensor
from memorywall.core.traits import DenoisingSteps, Images, Traits
from memorywall.layers.element_costs import FLOPS_PER_ELEMENT
from memorywall.layers.tape import Attention, FeedForward, Tape
from memorywall.layers.vision_tower import Patches, patches

LATENT = 8  # pixels per side of one latent
_FREQUENCIES = 256  # sines and cosines of a step's number
LEFT_OUT = "The encoders of the prompt and the autoencoder of the image are not counted."
_PLAIN = "layernorm_plain"


@dataclass(frozen=True, slots=True)
class Latents:
    """The denoised latents, and the output.

    Attributes:
        side: latents of a side that the model was made for.
        channels, out_channels: numbers of a latent; noise and its variance may come out.
        patch: side of a patch, in latents.
        most: patches of a side that there are positions for; None for any number.
        square: whether only square images come out.
        packed: whether patches are packed before, so that ``channels`` are those of a patch.
    """

    side: int
    channels: int
    out_channels: int
    patch: int
    most: int | None = None
    square: bool = False
    packed: bool = False

    @property
    def noise_width(self) -> int:
        """Numbers that come out for a patch."""
        return self.out_channels * (1 if self.packed else self.patch**2)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels that it was made for."""
        return self.side * LATENT, self.side * LATENT

    def tokens(self, height: int, width: int) -> int:
        """Count the patches of an image of a size in pixels.

        Raises:
            InvalidInputError: patches do not divide it, or it has another shape or is too large.
        """
        unit = LATENT * self.patch
        size = f"image_size is {written((height, width))}"
        if height % unit or width % unit:
            raise InvalidInputError(
                f"{size}, which patches of {unit} x {unit} pixels do not divide.",
                f"Give multiples of {unit}.",
            )
        if self.square and height != width:
            raise InvalidInputError(f"{size}, but only square images come out.", "Give one side.")
        if self.most is not None and max(height, width) > self.most * unit:
            raise InvalidInputError(
                f"{size}, but there are positions for {self.most * unit} pixels a side.",
                "Give a smaller image_size.",
            )
        return (height // unit) * (width // unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Denoising:
    """The common part of every diffusion transformer's config.

    Attributes:
        layers: their number.
        steps: default denoising steps, as in diffusers' pipeline.
        guided: whether a step usually runs with and without the prompt.
    """

    class_name: str
    dtype: str
    latents: Latents
    layers: int
    attention: Attention
    mlp: FeedForward
    steps: int
    guided: bool = True
    notes: tuple[str, ...] = ()
    max_positions: int | None = None

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels that it was made for, or is usually asked for."""
        return self.latents.image_size

    @property
    def hidden_size(self) -> int:
        """D."""
        return self.attention.heads * self.attention.head_dim

    def image_tokens(self, height: int, width: int) -> int:
        """Patches of an image, or packed latents."""
        return self.latents.tokens(height, width)

    @property
    def traits(self) -> Traits:
        """It makes images of noise."""
        return Traits(
            images=Images(self.image_size, self.image_tokens),
            head=False,
            denoising=DenoisingSteps(self.steps, self.guided),
        )


class DenoisingTape(Tape):
    """Notes the operators of a block of a diffusion transformer."""

    def latents(self, latents: Latents, hidden: Tensor) -> None:
        """Cut latents into patches, embed them and add positions: hidden [B P, D]."""
        height, width = (side // LATENT for side in self.forward.image_size)
        cut = Patches((height, width), (latents.patch, latents.patch), latents.channels)
        x = patches(self, cut, replace(self.forward, image_size=(height, width)), hidden.row_axes)
        tokens = named(tokens=self.forward.tokens)
        positions = self.activation("positions", tokens + hidden.row_axes)
        geometry = Elementwise((Space(1, x.axes),), "add", (0, 1))
        self.op("positions_add", geometry, (x, positions), hidden)

    def two_layers(
        self,
        name: str,
        x: Tensor,
        width: Axes,
        activation: str = "silu",
        *,
        out: Tensor | None = None,
    ) -> Tensor:
        """Note two linear layers with a function between: [rows, D] out."""
        x = self.linear(f"{name}.linear_1", x, width, bias=True)
        x = self.apply(f"{name}.activation", activation, x)
        return self.linear(f"{name}.linear_2", x, width, bias=True, out=out)

    def step(
        self,
        width: Axes,
        name: str = "step",
        *,
        rows: Axes | None = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Embed the number of the step, or another conditioning number: [B, D] or [rows, D]."""
        rows = named(batch=self.forward.batch) if rows is None else rows
        numbers = self.activation(f"{name}.frequencies", rows + named(condition=_FREQUENCIES))
        return self.two_layers(name, numbers, width, out=out)

    def factors(self, name: str, vector: Tensor, parts: int) -> Tensor:
        """Make scales, shifts and gates of a vector [B, D], ``parts`` of them: [B, parts D]."""
        x = self.apply(f"{name}_activation", "silu", vector)
        return self.linear(name, x, named(parts=parts) + vector.row_axes, bias=True)

    def modulated(
        self, name: str, x: Tensor, factors: Tensor, norm: str = _PLAIN, *, again: bool = False
    ) -> Tensor:
        """Normalise x [rows, D], scale it and shift it; ``again`` where it is normalised before."""
        normed = x if again else self.norm(name, x, norm)
        out = self.like(f"{name}_modulated{'_again' * again}", x)
        geometry = Elementwise((Space(FLOPS_PER_ELEMENT["modulate"], x.axes),), "modulate")
        reads = (normed, _some(factors, 2))
        self.op(f"{name}_modulate{'_again' * again}", geometry, reads, out)
        return out

    def gated_add(self, name: str, x: Tensor, y: Tensor, factors: Tensor, out: Tensor) -> None:
        """Add y, times a gate for each row and channel, to x [rows, D]."""
        gated = self.like(f"{name}_gated", y)
        geometry = Elementwise((Space(FLOPS_PER_ELEMENT["scale"], y.axes),), "scale", (0,))
        self.op(f"{name}_gate", geometry, (y, _some(factors, 1)), gated)
        self.add(f"{name}_add", x, gated, out=out)

    def noise(self, latents: Latents, hidden: Tensor, factors: Tensor) -> None:
        """Note what makes noise of hidden states [B P, D]: a norm and a linear layer."""
        x = self.modulated("norm", hidden, factors)
        self.linear("noise", x, named(pixels=latents.noise_width), bias=True)


def _some(factors: Tensor, parts: int) -> Tensor:
    """Return as many of the factors [B, parts, D] as one operator reads."""
    return factors.part(resized(factors.axes, parts=parts))


def flow(forward: Forward, name: str, axes: Axes, row: int = 1) -> Tensor:
    """Return what flows from block to block."""
    return Tensor(name, axes, forward.activations, row=row)

"""Denoising: how many steps, and whether each is taken with what is asked for and without."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypeVar

from memorywall.core.errors import InvalidInputError, UnsupportedError, shown
from memorywall.core.model import Model

Guidance: TypeAlias = Literal["on", "off"]
P = TypeVar("P", bound=str)


def denoising_phase(model: Model, phase: P) -> P:
    """Return the phase ``denoise``, which those that denoise have alone.

    Raises:
        UnsupportedError: it is asked of another model, or another phase of such a one.
    """
    if model.denoiser is None:
        raise UnsupportedError(
            f"{model.name} makes no images of noise: it has no phase 'denoise'.",
            "Leave phase out; diffusion transformers such as facebook/DiT-XL-2-256 have it.",
        )
    if phase != "denoise":
        raise UnsupportedError(
            f"{model.name} makes images of noise: it has no phase {phase!r}.",
            "Use phase 'denoise'.",
        )
    return phase


def denoising_of(
    model: Model, steps: int | None, guidance: Guidance | None
) -> tuple[int | None, Guidance | None]:
    """Return the steps of a denoising and its guidance, filled in where they are not given.

    Raises:
        InvalidInputError: one is given, and the model does not denoise.
    """
    if model.denoiser is not None:
        usual: Guidance = "on" if model.denoiser.guided else "off"
        return steps or model.denoiser.steps, guidance or usual
    for name, value in (("steps", steps), ("guidance", guidance)):
        if value is not None:
            raise InvalidInputError(
                f"{name} is {shown(value)}, but {model.name} does not denoise.",
                f"Leave {name} out; diffusion transformers such as facebook/DiT-XL-2-256 have it.",
            )
    return None, None

"""The independent oracle of diffusion transformers: diffusers' classes on the meta device."""

from __future__ import annotations

import inspect
from typing import Any

import diffusers
import torch
from torch.utils.flop_counter import FlopCounterMode

LATENT = 8  # pixels per side of one latent


def build(config: dict[str, Any], class_name: str) -> Any:
    """Build the class without weights; keys of an older class that it does not know are left."""
    known = inspect.signature(getattr(diffusers, class_name).__init__).parameters
    values = {key: value for key, value in config.items() if key in known}
    with torch.device("meta"):
        return getattr(diffusers, class_name)(**values).eval().requires_grad_(False)


def parameters(config: dict[str, Any], class_name: str) -> int:
    """Count the model's parameters."""
    return sum(p.numel() for p in build(config, class_name).parameters())


def step_flops(
    config: dict[str, Any], class_name: str, rows: int, height: int, width: int, text: int
) -> int:
    """Count the products of one step over ``rows`` images of a size in pixels."""
    model = build(config, class_name)
    inputs = _INPUTS[class_name](model.config, rows, height // LATENT, width // LATENT, text)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**inputs)
    return int(counter.get_total_flops())


def _meta(*shape: int, whole: bool = False) -> torch.Tensor:
    return torch.ones(shape, device="meta", dtype=torch.long if whole else torch.float32)


def _of_class(config: Any, rows: int, height: int, width: int, text: int) -> dict[str, Any]:
    del text
    return {
        "hidden_states": _meta(rows, config.in_channels, height, width),
        "timestep": _meta(rows, whole=True),
        "class_labels": _meta(rows, whole=True),
    }


def _of_prompt(config: Any, rows: int, height: int, width: int, text: int) -> dict[str, Any]:
    return {
        "hidden_states": _meta(rows, config.in_channels, height, width),
        "encoder_hidden_states": _meta(rows, text, config.joint_attention_dim),
        "pooled_projections": _meta(rows, config.pooled_projection_dim),
        "timestep": _meta(rows),
    }


def _of_packed(config: Any, rows: int, height: int, width: int, text: int) -> dict[str, Any]:
    patches = (height // 2) * (width // 2)
    return {
        **_of_prompt(config, rows, height, width, text),
        "hidden_states": _meta(rows, patches, config.in_channels),
        "img_ids": _meta(patches, 3),
        "txt_ids": _meta(text, 3),
        "guidance": _meta(rows) if config.guidance_embeds else None,
    }


def _of_words(config: Any, rows: int, height: int, width: int, text: int) -> dict[str, Any]:
    told = {"resolution": _meta(rows, 2), "aspect_ratio": _meta(rows, 1)}
    return {
        "hidden_states": _meta(rows, config.in_channels, height, width),
        "encoder_hidden_states": _meta(rows, text, config.caption_channels),
        "timestep": _meta(rows),
        "added_cond_kwargs": told,
    }


_INPUTS = {
    "PixArtTransformer2DModel": _of_words,
    "DiTTransformer2DModel": _of_class,
    "SD3Transformer2DModel": _of_prompt,
    "FluxTransformer2DModel": _of_packed,
}

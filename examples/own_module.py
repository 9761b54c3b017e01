"""A custom module for ``memorywall trace``: an MLP-Mixer, which no config describes.

After "MLP-Mixer: An all-MLP Architecture for Vision" (Tolstikhin et al., 2021), its size B/16.
"""

from __future__ import annotations

import torch
from torch import nn


class MLP(nn.Module):  # type: ignore[misc]
    """Two layers with a GELU between them, along the last axis."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., width] in and out."""
        return self.down(nn.functional.gelu(self.up(x)))


class Block(nn.Module):  # type: ignore[misc]
    """Mix patches, then channels."""

    def __init__(self, patches: int, channels: int) -> None:
        super().__init__()
        self.patch_norm, self.channel_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.mix_patches = MLP(patches, channels // 2)
        self.mix_channels = MLP(channels, 4 * channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, patches, channels] in and out."""
        x = x + self.mix_patches(self.patch_norm(x).transpose(1, 2)).transpose(1, 2)
        return x + self.mix_channels(self.channel_norm(x))


class Mixer(nn.Module):  # type: ignore[misc]
    """Cut an image of 224 x 224 into patches of 16 x 16, mix them, and classify the mean."""

    def __init__(self, channels: int = 768, depth: int = 12, classes: int = 1000) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, channels, 16, stride=16)
        self.blocks = nn.Sequential(*(Block(14 * 14, channels) for _ in range(depth)))
        self.norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """[B, 3, 224, 224] in, [B, classes] out."""
        x = self.patches(images).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(x)).mean(dim=1))


def make() -> Mixer:
    """Return the module that is traced."""
    return Mixer()

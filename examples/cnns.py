"""Four networks of the ImageNet years, as short modules: AlexNet, VGG19, DenseNet201, ResNeXt101.

    memorywall study memory

traces them beside transformers' classes. Every function takes nothing and returns a new module.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import local_response_norm
from torch.utils.checkpoint import checkpoint

CLASSES = 1000
VGG19 = (64, 64, 0, 128, 128, 0, *(256,) * 4, 0, *(512,) * 4, 0, *(512,) * 4, 0)


def alexnet() -> nn.Module:
    """Krizhevsky's network of 2012: two groups, local response norms, pools that overlap."""
    return nn.Sequential(
        nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(inplace=True), ResponseNorm(), nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(inplace=True), ResponseNorm(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        *_classifier(256 * 6 * 6),
    )  # fmt: skip


def vgg19() -> nn.Module:
    """Simonyan and Zisserman's configuration E; 0 is a pool."""
    layers: list[nn.Module] = []
    channels = 3
    for width in VGG19:
        if width == 0:
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
    return nn.Sequential(*layers, *_classifier(512 * 7 * 7))


def densenet201(growth: int = 32) -> nn.Module:
    """Huang's network: every layer reads all that came before it in its block."""
    layers, channels = _stem(), 64
    for index, depth in enumerate((6, 12, 48, 32)):
        for _ in range(depth):
            layers.append(DenseLayer(channels, growth))
            channels += growth
        layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        if index < 3:
            layers += [nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
            channels //= 2
    return nn.Sequential(*layers, *_head(channels))


def resnext101() -> nn.Module:
    """Xie's ResNeXt-101, 64 groups of 4 channels in its first stage."""
    layers, channels = _stem(), 64
    for stage, depth in enumerate((3, 4, 23, 3)):
        for index in range(depth):
            stride = 2 if stage and index == 0 else 1
            layers.append(GroupedBottleneck(channels, 256 * 2**stage, stride))
            channels = 256 * 2**stage
    return nn.Sequential(*layers, *_head(channels))


class ResponseNorm(nn.Module):  # type: ignore[misc]
    """A local response norm that saves only its input, as a dedicated kernel would.

    ``nn.LocalResponseNorm`` is six operators, which keep four more arrays of that size.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over 5 channels; x is [B, C, H, W]."""
        y: Tensor = checkpoint(local_response_norm, x, 5, use_reentrant=False)
        return y


class DenseLayer(nn.Module):  # type: ignore[misc]
    """A 1x1 and a 3x3 convolution whose output is joined to the input."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
            nn.Conv2d(channels, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth), nn.ReLU(inplace=True),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C + growth, H, W] for x of [B, C, H, W]."""
        return torch.cat([x, self.branch(x)], 1)


class GroupedBottleneck(nn.Module):  # type: ignore[misc]
    """A bottleneck with a 3x3 convolution in 64 groups, as wide as its output."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True),
            nn.Conv2d(out, out, 3, stride, 1, groups=64, bias=False), nn.BatchNorm2d(out),
            nn.ReLU(inplace=True),
            nn.Conv2d(out, out, 1, bias=False), nn.BatchNorm2d(out),
        )  # fmt: skip
        self.shortcut: nn.Module = nn.Identity()
        if channels != out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, out, H / stride, W / stride] for x of [B, C, H, W]."""
        y: Tensor = self.relu(self.branch(x) + self.shortcut(x))
        return y


def _stem() -> list[nn.Module]:
    return [
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64),
        nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1),
    ]  # fmt: skip


def _head(channels: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES)]


def _classifier(features: int) -> list[nn.Module]:
    return [
        nn.Flatten(), nn.Linear(features, 4096), nn.ReLU(inplace=True), nn.Dropout(),
        nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(4096, CLASSES),
    ]  # fmt: skip

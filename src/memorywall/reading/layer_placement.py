"""Layers with a replacement of attention, as configs describe them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from memorywall.layers.decoder import Mixer
from memorywall.reading.config_values import Config

Mixers: TypeAlias = Callable[[Config, int], list[Mixer | None]]
# Returns for each layer whether it attends, if ``layer_types`` is absent.
Attending: TypeAlias = Callable[[Config, int], list[bool]]


def placed(
    kind: str,
    read: Callable[[Config], Mixer],
    attending: Attending,
    attention: str = "full_attention",
) -> Mixers:
    """Return a reader of ``layer_types`` for the layers that attend, else of a pattern."""

    def mixers(config: Config, layers: int) -> list[Mixer | None]:
        kinds = config.layer_types(layers, (kind, attention))
        attends = [k == attention for k in kinds] if kinds else attending(config, layers)
        mixer = None if all(attends) else read(config)
        return [None if attend else mixer for attend in attends]

    return mixers


def one_in(default: int, key: str) -> Attending:
    """Return a pattern in which the last layer of each period attends; a key gives the period."""

    def attending(config: Config, layers: int) -> list[bool]:
        every = config.size(key, default)
        return [(layer + 1) % every == 0 for layer in range(layers)]

    return attending

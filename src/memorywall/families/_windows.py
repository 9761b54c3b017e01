"""Which layers look back how far, as configs say it: a reader for each way of saying."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from memorywall.families._config import Config
from memorywall.families._decoder import Layers, grouped

Reader: TypeAlias = Callable[[Config, int], tuple[Layers, ...]]

_KINDS = ("full_attention", "sliding_attention")


def everywhere(_: Config, layers: int) -> tuple[Layers, ...]:
    """Let every layer look all the way back."""
    return (Layers(layers),)


def window_of(config: Config, default: int | None) -> int | None:
    """Return ``sliding_window``; null says none, an absent key the default."""
    if "sliding_window" in config.data:
        return config.optional_size("sliding_window")
    window: int | None = config.default("sliding_window", default)
    return window


def sliding(default: int | None) -> Reader:
    """Return a reader where one window holds in every layer."""

    def read(config: Config, layers: int) -> tuple[Layers, ...]:
        return (Layers(layers, window_of(config, default)),)

    return read


def flagged(default: int) -> Reader:
    """Return a reader where windows hold only if ``use_sliding_window`` is set.

    They then hold in the layers that ``layer_types`` says, else from ``max_window_layers`` on.
    """

    def read(config: Config, layers: int) -> tuple[Layers, ...]:
        window = window_of(config, default)
        if window is None or not config.flag("use_sliding_window", False):
            return (Layers(layers),)
        kinds = config.layer_types(layers, _KINDS)
        if kinds is None:
            slides = max(0, layers - config.count("max_window_layers", 28))
        else:
            slides = kinds.count("sliding_attention")
        return tuple(
            Layers(count, w) for count, w in ((layers - slides, None), (slides, window)) if count
        )

    return read


def alternating(
    default: int,
    every: int,
    *,
    first: bool = False,
    key: str = "",
    rotated: Callable[[int | None, bool], bool] | None = None,
) -> Reader:
    """Return a reader where ``layer_types`` says which layers slide, else a pattern.

    Args:
        default: the window of configs that leave the key out.
        every: one layer of so many looks all the way back; 0 for none.
        first: whether it is the first of so many, not the last.
        key: the config's key for ``every``, where it has one.
        rotated: whether a layer rotates by position, from the model's window and whether the layer
            slides; None where all do.
    """

    def read(config: Config, layers: int) -> tuple[Layers, ...]:
        window = window_of(config, default)
        kinds = config.layer_types(layers, _KINDS)
        if kinds is None:
            period = config.count(key, every) if key else every
            full = 0 if first else period - 1
            slides = [period == 0 or i % period != full for i in range(layers)]
        else:
            slides = [kind == "sliding_attention" for kind in kinds]
        return grouped(
            (window if slide else None, rotated is None or rotated(window, slide))
            for slide in slides
        )

    return read

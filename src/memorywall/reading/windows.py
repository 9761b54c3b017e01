"""Attention windows of layers: a reader for each convention of configs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from memorywall.reading.config_values import Config

# The window of a layer, None for full attention, and whether it rotates by position.
Look: TypeAlias = tuple[int | None, bool]
Reader: TypeAlias = Callable[[Config, int], list[Look]]
# Returns for each layer whether it has a sliding window, if ``layer_types`` is absent.
Pattern: TypeAlias = Callable[[Config, int], list[bool]]

_KINDS = ("full_attention", "sliding_attention")


def everywhere(_: Config, layers: int) -> list[Look]:
    """Give every layer full attention."""
    return [(None, True)] * layers


def window_of(config: Config, default: int | None) -> int | None:
    """Return ``sliding_window``; null means no window, an absent key the default."""
    if "sliding_window" in config.data:
        return config.optional_size("sliding_window")
    window: int | None = config.default("sliding_window", default)
    return window


def sliding(default: int | None, *, flag: bool = False) -> Reader:
    """Return a reader for one window in every layer, or only if ``use_sliding_window`` is set.

    The default of a ``flag`` is false.
    """

    def read(config: Config, layers: int) -> list[Look]:
        window = window_of(config, default)
        if flag and not config.flag("use_sliding_window", False):
            return everywhere(config, layers)
        return [(window, True)] * layers

    return read


def past(default: int) -> Pattern:
    """Return a pattern with windows in the layers from ``max_window_layers`` on."""

    def read(config: Config, layers: int) -> list[bool]:
        limit = config.count("max_window_layers", default)
        return [layer >= limit for layer in range(layers)]

    return read


def patterned(default: int, pattern: Pattern, *, flag: bool = False) -> Reader:
    """Return a reader of ``layer_types`` for the layers with a window, else of a pattern.

    With a ``flag``, windows apply only if ``use_sliding_window`` is set.
    """

    def read(config: Config, layers: int) -> list[Look]:
        window = window_of(config, default)
        if window is None or (flag and not config.flag("use_sliding_window", False)):
            return everywhere(config, layers)
        slides = _sliding_layers(config, layers, pattern)
        return [(window if slide else None, True) for slide in slides]

    return read


def alternating(
    default: int,
    every: int,
    *,
    first: bool = False,
    key: str = "",
    rotated: Callable[[int | None, bool], bool] | None = None,
) -> Reader:
    """Return a reader of ``layer_types`` for the layers with a window, else of a period.

    Args:
        default: the window of configs without the key.
        every: one layer in ``every`` has full attention; 0 for none.
        first: whether it is the first of each period, not the last.
        key: the config's key for ``every``, if it has one.
        rotated: whether a layer rotates by position, from the model's window and whether the layer
            has one; None if all do.
    """

    def pattern(config: Config, layers: int) -> list[bool]:
        period = config.count(key, every) if key else every
        full = 0 if first else period - 1
        return [period == 0 or layer % period != full for layer in range(layers)]

    def read(config: Config, layers: int) -> list[Look]:
        window = window_of(config, default)
        return [
            (window if slide else None, rotated is None or rotated(window, slide))
            for slide in _sliding_layers(config, layers, pattern)
        ]

    return read


def _sliding_layers(config: Config, layers: int, pattern: Pattern) -> list[bool]:
    kinds = config.layer_types(layers, _KINDS)
    if kinds is None:
        return pattern(config, layers)
    return [kind == "sliding_attention" for kind in kinds]

"""A config that records how it was read, so that the explanation is the record itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memorywall.core.model import Reading

# Configs are nested a few levels; deeper levels are shown whole.
_DEEPEST = 4


class Watched(dict[str, Any]):
    """A mapping that records each key that is read, and each default that is used.

    Nested mappings are recorded too, with dotted keys.
    """

    def __init__(self, data: Mapping[str, Any], depth: int = 0) -> None:
        super().__init__(
            (key, Watched(value, depth + 1) if _is_nested(value, depth) else value)
            for key, value in data.items()
        )
        self.source = data
        self.asked: dict[str, None] = {}
        self.defaults: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        self.asked[key] = None
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        if isinstance(key, str):
            self.asked[key] = None
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, and record the read."""
        self.asked[key] = None
        return super().get(key, default)

    def assume(self, key: str, default: object) -> None:
        """Record the default of a key that is absent or null."""
        self.asked[key] = None
        self.defaults[key] = default

    def reading(self) -> Reading:
        """Return the keys read so far; keys of a nested mapping have its name as prefix."""
        used: list[tuple[str, Any]] = []
        unused: list[tuple[str, Any]] = []
        assumed = list(self.defaults.items())
        for key, value in self.items():
            if isinstance(value, Watched) and value.is_read():
                below = value.reading()
                used += _prefixed(key, below.used)
                unused += _prefixed(key, below.unused)
                assumed += _prefixed(key, below.assumed)
            elif key not in self.defaults:
                was_read = key in self.asked and value is not None
                (used if was_read else unused).append((str(key), self.source[key]))
        return Reading(tuple(used), tuple(assumed), tuple(unused))

    def is_read(self) -> bool:
        """Whether any of its keys was read."""
        inner = (value for value in self.values() if isinstance(value, Watched))
        return bool(self.asked) or any(value.is_read() for value in inner)


def _prefixed(key: str, pairs: tuple[tuple[str, Any], ...]) -> list[tuple[str, Any]]:
    return [(f"{key}.{below}", value) for below, value in pairs]


def _is_nested(value: object, depth: int) -> bool:
    return isinstance(value, Mapping) and depth < _DEEPEST

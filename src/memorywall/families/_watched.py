"""A config that remembers how it was read, so that an explanation is no second description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from memorywall.core.model import Reading

# Configs are nested a few deep; what is deeper is shown whole.
_DEEPEST = 4


class Watched(dict[str, Any]):
    """A mapping that notes each key that is looked for, and each default that is taken.

    A nested mapping is watched too: its keys are named with dots.
    """

    def __init__(self, data: Mapping[str, Any], depth: int = 0) -> None:
        super().__init__(
            (key, Watched(value, depth + 1) if _is_nested(value, depth) else value)
            for key, value in data.items()
        )
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
        """Return a value, noting that it was asked for."""
        self.asked[key] = None
        return super().get(key, default)

    def assume(self, key: str, default: object) -> None:
        """Note what is taken for a key that is absent or null."""
        self.asked[key] = None
        self.defaults[key] = default

    def reading(self) -> Reading:
        """Return what was read so far."""
        used: list[tuple[str, Any]] = []
        unused: list[tuple[str, Any]] = []
        for key, value, was_read in self._walk():
            (used if was_read else unused).append((key, value))
        return Reading(tuple(used), tuple(self._assumed()), tuple(unused))

    def _walk(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield every key with its value, and whether it was read; assumed ones are left out."""
        for key, value in self.items():
            if isinstance(value, Watched) and value.is_read():
                for below, inner, was_read in value._walk():
                    yield f"{key}.{below}", inner, was_read
            elif key not in self.defaults:
                yield str(key), value, key in self.asked and value is not None

    def _assumed(self) -> Iterator[tuple[str, Any]]:
        """Yield keys that were looked for in vain, with what was taken instead."""
        yield from self.defaults.items()
        for key, value in self.items():
            if isinstance(value, Watched):
                yield from ((f"{key}.{below}", default) for below, default in value._assumed())

    def is_read(self) -> bool:
        """Whether any key was looked for in it."""
        return bool(self.asked) or any(
            isinstance(v, Watched) and v.is_read() for v in self.values()
        )


def _is_nested(value: object, depth: int) -> bool:
    return isinstance(value, Mapping) and depth < _DEEPEST

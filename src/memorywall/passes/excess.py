"""Bytes moved in excess of an engine's, by class of operators and cause."""

from __future__ import annotations

from memorywall.core.numbers import Number


class Excess(dict[tuple[str, str], Number]):
    """Bytes by (class of operators, cause); bytes that a class takes over are negative."""

    def add(self, kind: str, cause: str, saved: Number) -> None:
        """Add saved bytes."""
        if type(saved) is not int or saved:
            self[kind, cause] = self.get((kind, cause), 0) + saved

    @property
    def total(self) -> Number:
        """The total bytes."""
        return sum(self.values(), 0)

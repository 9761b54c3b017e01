"""Bytes that are moved beyond what an engine moves, by class of operators and cause."""

from __future__ import annotations

from memorywall.core.numbers import Number


class Excess(dict[tuple[str, str], Number]):
    """Bytes by (class of operators, cause); what a class takes over from another is negative."""

    def add(self, kind: str, cause: str, saved: Number) -> None:
        """Add bytes that are saved."""
        if type(saved) is not int or saved:
            self[kind, cause] = self.get((kind, cause), 0) + saved

    @property
    def total(self) -> Number:
        """All of them."""
        return sum(self.values(), 0)

"""The resident memory of a template at a point: rows by role, and the largest of few candidates.

The most bytes of activations alive at any operator is a maximum over operators. The walk of
``cost.footprint`` is done once with symbols; a total that another is never below is dropped, so a
point has a handful left to compare.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from memorywall.core.hardware import Hardware
from memorywall.core.program import Program
from memorywall.core.results import Footprint
from memorywall.core.symbols import lower_bound
from memorywall.cost.footprint import totals_alive
from memorywall.cost.template.point import Point
from memorywall.cost.template.rows import Rows, Terms


class Residents:
    """The resident memory of a program, and the peak of its live activations.

    Attributes:
        terms: what the sums are over.
        weights, kv_cache, state: bytes of each.
        alive: bytes of activations, of which the largest counts.
    """

    def __init__(self, program: Program) -> None:
        self.terms = Terms()
        kept = program.resident_bytes()
        self.weights = self.terms.exact(kept.get("weight", 0))
        self.kv_cache = self.terms.exact(kept.get("kv_cache", 0))
        self.state = self.terms.exact(kept.get("state", 0))
        self.alive = [self.terms.exact(total) for total in _largest(totals_alive(program))]
        forms = [self.weights, self.kv_cache, self.state, *self.alive]
        self._rows = Rows(self.terms, forms)
        self._places = self._rows.places

    def at(self, point: Point, hardware: Hardware) -> Footprint:
        """Return the footprint at one point, its numbers scalars."""
        values: list[Any] = self._rows.at(point)
        weights, kv_cache, state, *alive = [values[place] for place in self._places]
        return Footprint(weights, kv_cache, max(alive), hardware.usable, state)


def _largest(totals: Iterable[Any]) -> list[Any]:
    """Return those of some totals that may be the largest somewhere."""
    kept: list[Any] = [0]
    for total in totals:
        if any(_never_below(other, total) for other in kept):
            continue
        kept = [other for other in kept if not _never_below(total, other)]
        kept.append(total)
    return kept


def _never_below(a: Any, b: Any) -> bool:
    """Return whether one total is at least the other at every point."""
    bound = lower_bound(a - b)
    return bound is not None and bound >= 0

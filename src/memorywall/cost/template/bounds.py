"""Lower and upper bounds of sums over terms, over some points."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from memorywall.core.numbers import Number, is_array
from memorywall.cost.template.points import Points, Sum
from memorywall.cost.template.rows import Terms


class Bounds:
    """The least and the largest value of every column over some points.

    Terms that never fall where a variable grows have both at two corners. Others are not known:
    what is left of a division is at least zero.
    """

    def __init__(self, terms: Terms, points: Points) -> None:
        self._terms = terms
        self._low, self._high = points.map(_least), points.map(_largest)
        self._low_rates = [float(rate) for rate in self._low.rates]
        self._high_rates = [float(rate) for rate in self._high.rates]
        self._known: dict[int, tuple[float, float]] = {}

    def of(self, total: Sum) -> tuple[float, float]:
        """Return bounds of a sum."""
        self._learn([place for place, _ in total if place not in self._known])
        low = high = 0.0
        for (place, rate), coefficient in total.items():
            least, largest = self._known[place]
            least, largest = least * self._low_rates[rate], largest * self._high_rates[rate]
            if coefficient < 0:
                least, largest = largest, least
            low, high = low + coefficient * least, high + coefficient * largest
        return low, high

    def _learn(self, places: Iterable[int]) -> None:
        needed = self._terms.needed(places)
        low = self._terms.some(self._low.point, needed)
        high = self._terms.some(self._high.point, needed)
        for place in places:
            origin = self._terms.origins[place]
            if isinstance(origin, tuple) and all(atom.grows for atom in origin):
                self._known[place] = float(low[place]), float(high[place])
            elif isinstance(origin, tuple) and all(
                a.low is not None and a.low >= 0 for a in origin
            ):
                self._known[place] = 0.0, inf
            else:
                self._known[place] = -inf, inf


def _least(number: Number) -> Number:
    return float(number.min()) if is_array(number) else number


def _largest(number: Number) -> Number:
    return float(number.max()) if is_array(number) else number

"""Functions of whole numbers as tables, where more points ask for them than a table has entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from memorywall.core.numbers import Array, is_array

# Past this many a function is taken for one that never settles, and is not tabled.
LARGEST = 2**20


class Table:
    """A function of a whole number that reaches its limit, as the expected number of experts does.

    Its entries are what the function itself returns for an array of them. It grows as it is asked,
    up to where the function no longer changes.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self._entries: Array = np.empty(0)
        self._end: int | None = None

    def __call__(self, number: Any) -> Any:
        """Return the function of a number, or of every whole number of an array."""
        if not is_array(number):
            return self._function(number)
        if self._end is None:
            self._end = self._settles()
        wanted = int(min(float(number.max()), self._end)) + 1
        if wanted > len(self._entries):
            if self._end >= LARGEST or number.size < wanted:
                return self._function(number)
            self._entries = self._function(np.arange(wanted, dtype=np.float64))
        return self._entries[np.minimum(number, len(self._entries) - 1).astype(np.intp)]

    def _settles(self) -> int:
        """Return a power of two from which on the function does not change."""
        powers = 2.0 ** np.arange(21)
        values = self._function(powers)
        changing = np.flatnonzero(values != self._function(np.array([2.0**40]))[0])
        return int(2 ** (changing[-1] + 1)) if len(changing) else 1

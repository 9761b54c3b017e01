"""Where over the context something begins and ends, found to the position."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from memorywall.core.numbers import Array
from memorywall.studies.long_context.findings import Span

# Longer than any context in use: an event that does not happen up to here is reported as never.
LONGEST = 2**30


def first_context(holds: Callable[[int], bool]) -> int | None:
    """Return the first context from which on something holds; None where it never does."""
    if not holds(LONGEST):
        return None
    low, high = 0, LONGEST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def span_of(holds: Callable[[Array], Array], longest: int) -> Span | None:
    """Return the contexts in which something holds, up to the longest; None for nowhere.

    It is looked for at powers of two, and the ends are then found to the position: one stretch.
    """
    grid = [*(2**power for power in range((longest - 1).bit_length())), longest]
    found = [index for index, held in enumerate(holds(np.array(grid, dtype=np.float64))) if held]
    if not found:
        return None
    first, last = found[0], found[-1]
    begin = grid[first] if first == 0 else _edge(holds, grid[first - 1], grid[first])
    end = None if last == len(grid) - 1 else _edge(holds, grid[last + 1], grid[last])
    return Span(begin, end)


def _edge(holds: Callable[[Array], Array], out: int, within: int) -> int:
    """Return the outermost context in which something holds, from one without to one within."""
    while abs(within - out) > 1:
        middle = (within + out) // 2
        if holds(np.array([middle], dtype=np.float64))[0]:
            within = middle
        else:
            out = middle
    return within

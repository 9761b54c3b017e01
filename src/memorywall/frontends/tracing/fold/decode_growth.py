"""Decode steps at many positions from traces at three, by linear interpolation.

Between two positions every length and every count of FLOPs of a step is linear in the position; a
third trace, in the middle, must lie on that line to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from memorywall.core.errors import UnsupportedError
from memorywall.core.numbers import Array, Number
from memorywall.core.program import Program
from memorywall.frontends.tracing.fold.joined_sizes import are_alike, joined


def between(positions: Array, trace: Callable[[int], Program]) -> Program:
    """Return the program of decode steps at an array of past positions.

    Raises:
        UnsupportedError: the work is not linear in the position, as with a window.
    """
    low, high = int(positions.min()), int(positions.max())
    if low == high:
        return trace(low)
    share = (positions - low) / (high - low)
    ends = trace(low), trace(high)
    middle = (low + high) // 2
    found = _measures(_grown(ends, np.asarray((middle - low) / (high - low))))
    if not are_alike(ends) or not np.allclose(found, _measures(trace(middle)), rtol=1e-12):
        raise UnsupportedError(
            f"Between {low + 1} and {high + 1} positions the decode steps of the traced class are "
            "not linear in the position, as with a window.",
            "Use one decode step at a time: --phase decode --seq N.",
        )
    return _grown(ends, share)


def _measures(program: Program) -> list[float]:
    return [float(n) for _, op, _ in program.walk() for n in (op.flops, op.moved_bytes)]


def _grown(ends: Sequence[Program], share: Array) -> Program:
    """Return the program interpolated between two at a share of the way."""
    return joined(ends, lambda pair: _line(pair[0], pair[1], share))


def _line(low: Number, high: Number, share: Array) -> Number:
    """Return the interpolation of two numbers; equal numbers stay whole."""
    return low if low is high or low == high else low + (high - low) * share

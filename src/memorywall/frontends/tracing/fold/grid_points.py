"""Passes at many points, of batches, lengths and images, from traces at each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np

from memorywall.core.errors import UnsupportedError
from memorywall.core.numbers import Array, Number
from memorywall.core.program import Program
from memorywall.frontends.tracing.fold.decode_growth import between
from memorywall.frontends.tracing.fold.joined_sizes import are_alike, joined

MOST = 16  # traced points, some seconds each, without the positions of decode steps
_EACH = 3  # up to this number of positions, each is traced; above, three are


def at_points(numbers: Mapping[str, Number], trace: Callable[..., Program]) -> Program:
    """Return the program at numbers that may be arrays, broadcast against each other.

    Args:
        numbers: the numbers of a pass, including ``past``.
        trace: returns the program at whole numbers, given by their names.

    Raises:
        UnsupportedError: too many points, or points with different operators.
    """
    if not any(isinstance(number, np.ndarray) for number in numbers.values()):
        return trace(**numbers)
    others = [name for name in numbers if name != "past"]
    grid = np.broadcast_arrays(*(numbers[name] for name in (*others, "past")))
    points, place = np.unique(
        np.stack([axis.ravel() for axis in grid], axis=1), axis=0, return_inverse=True
    )
    programs, sizes = [], []
    for words, past in _groups(others, points):
        programs += list(_over(past, words, trace))
        sizes += [1] * len(past) if len(past) <= _EACH else [len(past)]
    if not are_alike(programs):
        raise UnsupportedError(
            "The traced class runs different operators at different sizes of this question.",
            "Use one size at a time.",
        )
    place = place.reshape(grid[0].shape)
    return joined(programs, lambda values: _laid_out(values, sizes, place))


def _groups(others: Sequence[str], points: Array) -> Iterator[tuple[dict[str, int], list[int]]]:
    """Yield groups of points that differ only in their past: the common part, and the pasts."""
    rows = [[int(number) for number in row] for row in points]
    groups = [(key, [row[-1] for row in same]) for key, same in groupby(rows, lambda row: row[:-1])]
    if len(groups) > MOST:
        raise UnsupportedError(
            f"A traced class supports at most {MOST} batches, lengths and numbers of images, got "
            f"{len(groups)}: each takes seconds.",
            "Use fewer at a time.",
        )
    for key, pasts in groups:
        yield dict(zip(others, key, strict=True)), pasts


def _over(
    pasts: Sequence[int], words: Mapping[str, int], trace: Callable[..., Program]
) -> Iterator[Program]:
    """Yield a program for each of a few pasts, or one program over many."""
    if len(pasts) <= _EACH:
        yield from (trace(**words, past=past) for past in pasts)
    else:
        yield between(np.asarray(pasts), lambda past: trace(**words, past=past))


def _laid_out(values: Sequence[Number], sizes: Sequence[int], place: Array) -> Number:
    """Return a number of every program as an array over the grid, or as a scalar if all agree."""
    first = values[0]
    if not any(isinstance(value, np.ndarray) or value != first for value in values):
        return first
    parts = [np.broadcast_to(np.asarray(v, float), n) for v, n in zip(values, sizes, strict=True)]
    found: Array = np.concatenate(parts)[place]
    return found

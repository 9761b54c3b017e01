"""Sums over terms at unrelated points: one matrix product for a block of points."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from memorywall.core.numbers import Array
from memorywall.cost.template.points import Column, Joined, Points, Sum, flattened, multiply
from memorywall.cost.template.rows import Terms

# A block's terms and sums, some twenty arrays of float64, fit a core's cache.
BLOCK = 8192


def evaluate_flat(terms: Terms, joined: Joined, points: Points) -> Array:
    """Return the value of sums that are joined, at every point, as an array of their shape."""
    flat = points.map(lambda number: flattened(number, points.shape))
    columns = sorted({column for total in joined.sums for column in total})
    matrix = _matrix(joined.sums, columns)
    needed = terms.needed(place for place, _ in columns)
    out = np.empty(int(np.prod(points.shape)))
    block = min(BLOCK, out.size)
    values, results = np.empty((len(columns), block)), np.empty((len(matrix), block))
    for start in range(0, out.size, block):
        some = slice(start, min(start + block, out.size))
        size = some.stop - some.start
        part = flat.cut(some)
        found = terms.some(part.point, needed)
        for row, (place, rate) in zip(values, columns, strict=True):
            if rate:
                np.multiply(found[place], part.rates[rate], out=row[:size])
            else:
                row[:size] = found[place]
        sums = multiply(matrix, values[:, :size], results[:, :size])
        join(sums, joined, out[some])
    return out.reshape(points.shape)


def join(sums: Array, joined: Joined, out: Array) -> None:
    """Join the values of a base and others, in the order of ``Joined.sums``, into an array."""
    base, others = sums[0], sums[1 : 1 + len(joined.others)]
    if not joined.others:
        out[:] = base
    elif joined.join == "largest":
        np.max(sums, axis=0, out=out)
    elif joined.join == "absolute":
        np.abs(others, out=others)
        np.sum(sums, axis=0, out=out)
    else:
        out[:] = base
        for other, partner in zip(others, sums[1 + len(others) :], strict=True):
            out += partner * (other <= 0)


def _matrix(sums: Iterable[Sum], columns: list[Column]) -> Array:
    return np.array([[total.get(column, 0.0) for column in columns] for total in sums])

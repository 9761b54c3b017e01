"""Sums over terms at many points, each part of them only where it varies.

On a grid of batches, lengths and bandwidths the products with weights depend on batch and bandwidth
alone. A sum is split by the axes along which its parts vary; each part is computed on the grid of
these axes, and the parts are added by broadcasting.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np

from memorywall.core.numbers import Array, Number
from memorywall.core.symbols import variables_of
from memorywall.cost.template.flat import evaluate_flat
from memorywall.cost.template.grid import column_axis, evaluate_grid
from memorywall.cost.template.point import VARIABLES
from memorywall.cost.template.points import Joined, Points, Sum, axes_of, full
from memorywall.cost.template.rows import Terms

# Whether something varies along each axis.
_Axes: TypeAlias = tuple[bool, ...]


def evaluate(terms: Terms, joined: Joined, points: Points) -> Array:
    """Return the value of sums that are joined, at every point; not to be written to."""
    total = np.zeros(())
    for axes, part in sorted(_parts(terms, joined, points).items(), key=lambda item: sum(item[0])):
        found = _evaluate_part(terms, part, points, axes)
        if np.broadcast_shapes(found.shape, total.shape) == found.shape:
            found += total
            total = found
        else:
            total = total + found
    return total if total.shape == points.shape else full(total, points.shape)


def _evaluate_part(terms: Terms, joined: Joined, points: Points, axes: _Axes) -> Array:
    """Return the value of sums along the axes that they vary along, the others being of one."""
    shape = tuple([n if varies else 1 for n, varies in zip(points.shape, axes, strict=True)])

    def kept(number: Number) -> Number:
        along = axes_of(number, points.shape)
        within = all(a or not b for a, b in zip(axes, along, strict=True))
        return number if within else 1  # what varies along another axis is in none of the terms

    mapped = points.map(kept)
    part = Points(mapped.point, mapped.rates, shape)
    axis = column_axis(part)
    return (
        evaluate_flat(terms, joined, part)
        if axis is None
        else evaluate_grid(terms, joined, part, axis)
    )


def _parts(terms: Terms, joined: Joined, points: Points) -> dict[_Axes, Joined]:
    """Return sums by the axes that they vary along; a largest one is not a sum of parts."""
    of_inputs = [tuple(axes_of(number, points.shape)) for number in points.numbers]
    of_variables = dict(zip(VARIABLES, of_inputs, strict=False))
    of_rates = of_inputs[len(VARIABLES) :]

    def axes(columns: Sum) -> _Axes:
        found = [of_rates[0], *[of_rates[rate] for _, rate in columns]]
        for place, _ in columns:
            found += [of_variables[name] for name in variables_of(terms.origins[place])]
        return tuple([any(along) for along in zip(*found, strict=True)])

    if joined.join == "largest":
        every = tuple([any(along) for along in zip(*of_inputs, strict=True)])
        return {every: joined}
    others: dict[_Axes, list[int]] = {}
    for index, other in enumerate(joined.others):
        columns = {**other, **joined.partners[index]} if joined.partners else other
        others.setdefault(axes(columns), []).append(index)
    found = {
        along: Joined(
            {},
            tuple([joined.others[i] for i in chosen]),
            joined.join,
            tuple([joined.partners[i] for i in chosen if joined.partners]),
        )
        for along, chosen in others.items()
    }
    # The base goes with what varies along all of its axes, where it costs nothing more.
    of_base = axes(joined.base)
    widest = max(found, key=sum, default=of_base)
    if any(base and not other for base, other in zip(of_base, widest, strict=True)):
        widest = of_base
    part = found.get(widest, Joined({}, (), joined.join))
    return {**found, widest: replace(part, base=joined.base)}

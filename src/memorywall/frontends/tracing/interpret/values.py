"""The values that a trace knows: constant arrays, chosen experts, arrays derived from weights."""

from __future__ import annotations

from typing import TypeAlias

import torch

from memorywall.core.numbers import Number
from memorywall.frontends.tracing.interpret.arrays import Array, Arrays, geometry_of, stored
from memorywall.frontends.tracing.interpret.calls import Call
from memorywall.frontends.tracing.interpret.events import Parts
from memorywall.frontends.tracing.interpret.operators import Operator

Touched: TypeAlias = "tuple[Number | None, ...]"

_UNIFORM = frozenset((
    "zeros", "ones", "full", "zeros_like", "ones_like", "full_like", "new_zeros", "new_ones",
    "new_full", "scalar_tensor",
))  # fmt: skip
_KEEPS_UNIFORM = ("clone", "_to_copy", "gather", "index", "index_select")


class Values:
    """Tracks known values while a module runs without values.

    Attributes:
        uniform: arrays whose elements are all equal, such as default token types.
    """

    def __init__(self, arrays: Arrays) -> None:
        self.uniform: set[Array] = set()
        self._arrays = arrays
        self._of_weights: set[Array] = set()
        self._chosen: dict[int, int] = {}  # of the latest top-k: output rows, k

    def learn(self, call: Call, known: Operator, reads: Parts, writes: Parts) -> None:
        """Update the known values by an operator that makes new arrays."""
        made = {view.array for view, _ in writes}
        copies = known.short in _KEEPS_UNIFORM and self._is_uniform(call.inputs[0])
        if known.short in _UNIFORM or copies:
            self.uniform |= made
        light = known.formula is not None and known.formula.kind == "elementwise"
        if light and reads and all(self.is_weight(view.array) for view, _ in reads):
            self._of_weights |= made
        if known.short == "topk":
            out = call.outputs[0]
            self._chosen[out.numel()] = out.shape[-1]

    def is_weight(self, array: Array) -> bool:
        """Return whether an array is a weight, or derived from weights only: cast, dequantised."""
        return array.role in ("weight", "state") or array in self._of_weights

    def touched(self, call: Call, known: Operator) -> Touched:
        """Return the elements of each input that a call reads, None if it is read whole."""
        if known.short == "embedding":
            return self._rows(call)
        found = known.formula.touched(call) if known.formula and known.formula.touched else ()
        return self._experts(call, found) if known.short == "_grouped_mm" else found

    def _is_uniform(self, tensor: torch.Tensor) -> bool:
        return self._arrays.find(tensor) in self.uniform

    def _rows(self, call: Call) -> Touched:
        """Of a table, the rows that indices can select: distinct ones, or one if all are equal.

        Expanded indices (the same positions for every sequence) select the same rows.
        """
        table, indices = call.inputs[0], call.inputs[1]
        rows = 1 if self._is_uniform(indices) else stored(geometry_of(indices))
        return (min(rows, table.shape[0]) * table.shape[1],)

    def _experts(self, call: Call, most: Touched) -> Touched:
        """Of E experts, the expected number that T tokens touch if each chooses k at random.

        E (1 - (1 - k/E)^T). T and k are those of the latest top-k with this number of rows; without
        one, at most as many experts as rows.
        """
        rows, weights = call.inputs[0].shape[0], call.inputs[1]
        chosen = self._chosen.get(rows)
        if chosen is None or weights.dim() < 3:
            return most
        experts, inner, columns = weights.shape
        touched = experts * (1 - (1 - chosen / experts) ** (rows // chosen))
        return (None, inner * columns * touched)

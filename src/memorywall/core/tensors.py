"""Named arrays: what operators read and write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from memorywall.core.formats import Format
from memorywall.core.numbers import Number, Shape, product

Role: TypeAlias = Literal[
    "weight", "activation", "kv_cache", "state", "gradient", "optimizer_state"
]


# Made some sixty times per question: frozen for the type checker only, since a frozen slotted
# dataclass takes three times as long to make.
@dataclass(slots=True, eq=False)
class Tensor:
    """An array that an operator reads or writes.

    The name is its identity: two tensors of one name are the same array, so producers and
    consumers, tied heads and shared layers need no graph beside them.

    Attributes:
        name: unique within a program (within one execution of a block, where blocks repeat).
        shape: lengths of the axes; weights are (rows, ..., the axis that scales run along).
        format: how an element is stored.
        role: what kind of memory it is.
        touched: the part that one execution moves, as a shape; None for all of it. Embedding rows
            and chosen experts make resident and moved bytes differ. The leading length may be a
            fraction: so many experts are expected.
    """

    name: str
    shape: Shape
    format: Format
    role: Role = "activation"
    touched: Shape | None = None
    _resident: Number | None = None

    @property
    def elements(self) -> Number:
        """How many elements it has."""
        return product(self.shape)

    @property
    def moved_elements(self) -> Number:
        """How many elements one execution of one operator moves."""
        return product(self.shape if self.touched is None else self.touched)

    @property
    def resident_bytes(self) -> Number:
        """Bytes that it occupies."""
        if self._resident is None:
            self._resident = self.format.nbytes(self.shape)
        return self._resident

    @property
    def moved_bytes(self) -> Number:
        """Bytes that one execution of one operator moves."""
        if self.touched is not None:
            return self.format.nbytes(self.touched)
        if self._resident is None:
            self._resident = self.format.nbytes(self.shape)
        return self._resident

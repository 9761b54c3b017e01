"""Named arrays: what operators read and write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from memorywall.core.axes import Axes, size
from memorywall.core.formats import Format
from memorywall.core.numbers import Number, Shape

Role: TypeAlias = Literal[
    "weight",
    "activation",
    "saved",
    "kv_cache",
    "state",
    "gradient",
    "optimizer_state",
    "buffer",
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
        axes: named lengths. The last ``row`` of them lie side by side in one stored row, which
            scales of group formats run along; weights are (out axes, in axes).
        format: how an element is stored.
        role: what kind of memory it is. ``saved`` is an activation kept for the backward pass,
            ``buffer`` a constant other than a parameter.
        touched: the axes of the part that one execution moves; None for all of it. Embedding rows
            and chosen experts make resident and moved bytes differ. The leading length may be a
            fraction: the number of experts that are expected.
        row: number of trailing axes in a stored row.
        column: number of axes before these that are stored as one, which blocks of formats run
            along; axes before are separate matrices. 0: all of them are stored as one.
        parts: where an axis is ``joined``, the axes of each part that it is made of.
    """

    name: str
    axes: Axes
    format: Format
    role: Role = "activation"
    touched: Axes | None = None
    row: int = 1
    column: int = 0
    parts: tuple[Axes, ...] = ()
    _resident: Number | None = None

    @property
    def shape(self) -> Shape:
        """Lengths as stored: axes that are stored as one are multiplied."""
        return self._stored(self.axes)

    @property
    def elements(self) -> Number:
        """The number of its elements."""
        return size(self.axes)

    @property
    def moved_elements(self) -> Number:
        """The number of elements that one execution of one operator moves."""
        return size(self.axes if self.touched is None else self.touched)

    @property
    def resident_bytes(self) -> Number:
        """Bytes that it occupies."""
        if self._resident is None:
            self._resident = self._nbytes(self.axes)
        return self._resident

    @property
    def moved_bytes(self) -> Number:
        """Bytes that one execution of one operator moves."""
        if self.touched is not None:
            return self._nbytes(self.touched)
        if self._resident is None:
            self._resident = self._nbytes(self.axes)
        return self._resident

    @property
    def row_axes(self) -> Axes:
        """The axes of one stored row."""
        return self.axes[-self.row :]

    @property
    def rows_axes(self) -> Axes:
        """The axes before those of a stored row."""
        return self.axes[: -self.row]

    @property
    def width(self) -> Number:
        """Elements of a stored row."""
        return size(self.axes[-self.row :])

    @property
    def moved_rows(self) -> Number:
        """Stored rows, or parts of rows, that one execution moves."""
        axes = self.axes if self.touched is None else self.touched
        return size(axes[: -self._row(axes)])

    @property
    def is_placed(self) -> bool:
        """Whether the part that is moved is known by its axes, and not by its size alone."""
        return self.touched is None or len(self.touched) == len(self.axes)

    def part(self, touched: Axes | None) -> Tensor:
        """Return the same array, of which one operator moves another part; None: all of it."""
        return Tensor(
            self.name, self.axes, self.format, self.role, touched, self.row, self.column,
            self.parts, self._resident,
        )  # fmt: skip

    def _nbytes(self, axes: Axes) -> Number:
        """Bytes of a part with these axes."""
        whole = self.format.whole_bytes
        if whole:  # the last axes first, as in ``size``, without the call
            result: Number = whole
            for _, length in reversed(axes):
                result = length * result
            return result
        return self.format.nbytes(self._stored(axes))

    def _stored(self, axes: Axes) -> Shape:
        """Return the lengths of a part as stored."""
        row = self._row(axes)
        rows, width = axes[:-row], size(axes[-row:])
        if not rows:
            return (width,)
        apart = len(rows) - self.column if self.column else 0
        return (*[length for _, length in rows[:apart]], size(rows[apart:]), width)

    def _row(self, axes: Axes) -> int:
        """Return the number of axes of a stored row of a part, where ``joined`` covers several."""
        return len(axes) - len(self.axes) + self.row if self.parts else self.row

"""The identity of traced tensors: arrays, their views and their names.

An array is a storage. Views of it (transposed, split, expanded) cost nothing; writing in place
makes a new version of it. If an array is only read in parts that do not overlap (queries, keys and
values of one product), the parts are separate tensors.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any, TypeAlias

from memorywall.core.axes import unnamed
from memorywall.core.formats import FORMATS, Format
from memorywall.core.numbers import Number
from memorywall.core.tensors import Role, Tensor

# The offset of a view in its storage, and its sizes and strides: in elements.
Geometry: TypeAlias = tuple[int, tuple[int, ...], tuple[int, ...]]

_FLOATS = {
    "float64": "fp64", "float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "int8": "int8",
    "float8_e4m3fn": "fp8", "float8_e5m2": "fp8",
}  # fmt: skip
# Of indices and masks, which are not formats of weights.
_OTHERS = {"int64": 64, "int32": 32, "int16": 16, "uint8": 8, "bool": 8, "complex64": 64}


def format_of(dtype: object) -> Format:
    """Return the format of a torch dtype; one of an element's width if the table has none."""
    name = str(dtype).removeprefix("torch.")
    if name in _FLOATS:
        return FORMATS[_FLOATS[name]]
    return Format(name, _OTHERS.get(name) or 8 * int(getattr(dtype, "itemsize", 1)))


@dataclass(slots=True, eq=False)
class Array:
    """A storage.

    Attributes:
        name: for display; unique except in repeated layers, where one name represents all.
        shape: of the first tensor on it.
        versions: the number of times that all of it was written in place.
        parents: of every view, the view from which it was made.
        seen: views that operators read, of each version.
        names: of versions with a common name in repeated layers.
        returned: whether it is returned to the caller, and also read within.
        kept: the shape that stays resident, if that is not all of it: a cache with a window keeps
            the last positions of a prefill.
    """

    name: str
    shape: tuple[int, ...]
    format: Format
    role: Role = "activation"
    versions: int = 0
    in_parts: bool = False
    returned: bool = False
    kept: tuple[int, ...] | None = None
    parents: dict[Geometry, Geometry | None] = field(default_factory=dict)
    seen: dict[int, set[Geometry]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    _pieces: dict[int, tuple[Geometry, ...]] = field(default_factory=dict)

    @property
    def elements(self) -> int:
        """The number of its elements."""
        return prod(self.shape)

    def name_of(self, version: int) -> str:
        """Return the name of a version; persistent memory has only one."""
        if version in self.names:
            return self.names[version]
        return f"{self.name}'{version}" if version and self.role == "activation" else self.name

    def pieces(self, version: int) -> tuple[Geometry, ...]:
        """Return the parts in which a version is read; none if it is read whole."""
        if version not in self._pieces:
            self._pieces[version] = self._cut(version)
        return self._pieces[version]

    def part_of(self, view: Geometry) -> Geometry:
        """Return the widest view above this one that does not cover the whole array."""
        at: Geometry | None = view
        while at is not None and stored(at) < self.elements:
            view, at = at, self.parents.get(at)
        return view

    def _cut(self, version: int) -> tuple[Geometry, ...]:
        if self.role != "activation" or self.in_parts:
            return ()
        cuts = sorted({self.part_of(view) for view in self.seen.get(version, ())})
        whole = sum(stored(view) for view in cuts) == self.elements
        return tuple(cuts) if len(cuts) > 1 and whole else ()


@dataclass(slots=True, eq=False)
class View:
    """A part of a version of an array that an operator reads or writes."""

    array: Array
    version: int
    geometry: Geometry

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes, with 1 for axes that are expanded without storage."""
        _, sizes, strides = self.geometry
        if 0 not in strides:
            return sizes
        return tuple([1 if step == 0 else size for size, step in zip(sizes, strides, strict=True)])

    def parts(self) -> tuple[View, ...]:
        """Return the parts in which an array is read if this view covers all of it; else itself."""
        pieces = self.array.pieces(self.version)
        if not pieces or self.array.part_of(self.geometry) in pieces:
            return (self,)
        return tuple([View(self.array, self.version, piece) for piece in pieces])

    def tensor(self, touched: Number | None = None) -> Tensor:
        """Return it as an operator's tensor, of which ``touched`` elements are moved."""
        array, part = self.array, self.shape
        name, shape = array.name_of(self.version), array.shape
        pieces = array.pieces(self.version)
        if pieces:
            piece = array.part_of(self.geometry)
            name, shape = f"{name}[{pieces.index(piece)}]", piece[1]
        moved: Number = prod(part) if touched is None else touched
        if array.kept is not None:
            return Tensor(name, unnamed(*array.kept), array.format, array.role, unnamed(moved))
        if moved >= prod(shape):
            return Tensor(name, unnamed(*shape), array.format, array.role)
        # The sizes alone do not identify a part of a cache with keys and values side by side.
        sized = touched is not None or array.role == "kv_cache"
        some = unnamed(moved) if sized else unnamed(*part)
        return Tensor(name, unnamed(*shape), array.format, array.role, some)


def address_of(tensor: Any) -> int:
    """Return the identity of a tensor's storage among those that are held."""
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - the identity of a storage


def stored(view: Geometry) -> int:
    """The number of elements of the storage that a view covers."""
    return prod(size for size, step in zip(view[1], view[2], strict=True) if step)


def geometry_of(tensor: Any) -> Geometry:
    """Return the place of a tensor in its storage."""
    return tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


class Arrays:
    """Arrays by their storages, in the order of the trace.

    The address of a freed storage is reused: either all are held, or each is forgotten when it is
    freed, so that it is freed as without a trace.
    """

    def __init__(self, *, hold: bool = True) -> None:
        self._known: dict[int, Array] = {}
        self._hold = hold
        self._storages: dict[int, Any] = {}  # or weak references to them

    def add(self, tensor: Any, name: str, role: Role = "activation") -> Array:
        """Add a tensor's storage under a name, if it is new."""
        storage, address = tensor.untyped_storage(), address_of(tensor)
        found = self._known.get(address)
        if found is not None:
            return found
        format_ = format_of(tensor.dtype)
        shape = tuple(tensor.shape)
        if not tensor.is_contiguous():
            shape = _dense_shape(shape, tensor.stride(), storage.nbytes() // tensor.itemsize)
        array = Array(name, shape, format_, role)
        self._known[address] = array
        gone = partial(self._forget, address)
        self._storages[address] = storage if self._hold else weakref.ref(storage, gone)
        return array

    def _forget(self, address: int, _gone: object) -> None:
        del self._known[address], self._storages[address]

    def find(self, tensor: Any) -> Array | None:
        """Return the array of a tensor that was added."""
        return self._known.get(address_of(tensor))

    def of_role(self, role: Role) -> list[Array]:
        """Return the arrays of a role, in the order of the trace."""
        return [array for array in self._known.values() if array.role == role]


def _dense_shape(shape: tuple[int, ...], strides: tuple[int, ...], stored: int) -> tuple[int, ...]:
    """Return a shape for a storage first seen through a view that may not cover all of it."""
    whole = prod(shape) == stored and all(strides)
    return shape if whole else (stored,)

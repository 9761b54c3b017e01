"""Number formats: the bits of an element in memory, including its share of scales.

This is the one table of formats. Weights, activations and the cache each name one of them; the
format of the activations also names the arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from memorywall.core.errors import UnknownNameError
from memorywall.core.numbers import Number, Shape, minimum, product


@dataclass(frozen=True, slots=True)
class Beside:
    """The data stored with the elements of a quantised array: scales, zero points, indices.

    Attributes:
        bits: for every block.
        rows, columns: of a block, over the last two axes; 0 for the whole axis.
        run: if not 0, blocks are runs of this number of elements of a matrix, across its rows.
    """

    bits: int
    rows: int = 1
    columns: int = 1
    run: int = 0

    def nbits(self, shape: Shape) -> Number:
        """Bits for an array of this shape."""
        if self.run:
            return product((*shape[:-2], _parts(product(shape[-2:]), self.run)), self.bits)
        rows = shape[-2] if len(shape) > 1 else 1
        blocks = (*shape[:-2], _parts(rows, self.rows), _parts(shape[-1], self.columns))
        return product(blocks, self.bits)


def _parts(length: Number, size: int) -> Number:
    """Return the number of parts of a size in a length; size 0: one, or none for length 0."""
    return -(-length // size) if size else minimum(length, 1)


@dataclass(frozen=True, slots=True)
class Format:
    """A number format.

    Attributes:
        name: in questions.
        bits: bits of one element.
        group: the number of elements along the last axis with one scale; 0 for none.
        scale_bits: bits of that scale.
        arithmetic: the key under which a device lists its peak for this arithmetic.
        beside: further stored data, if groups along the last axis do not describe it.
    """

    name: str
    bits: int
    group: int = 0
    scale_bits: int = 0
    arithmetic: str = ""
    beside: tuple[Beside, ...] = ()
    whole_bytes: int = field(init=False, repr=False)  # of an element; 0 if undefined

    def __post_init__(self) -> None:
        plain = self.bits % 8 == 0 and not self.group and not self.beside
        whole = self.bits // 8 if plain else 0
        object.__setattr__(self, "whole_bytes", whole)

    @property
    def bits_per_element(self) -> float:
        """Bits of one element with its share of a full group's scale."""
        return self.bits + (self.scale_bits / self.group if self.group else 0)

    def nbytes(self, shape: Shape) -> Number:
        """Bytes of an array of this shape, whole bytes; exact integers for integer shapes."""
        if self.whole_bytes:  # as product, without the call: it is asked a hundred times
            result: Number = self.whole_bytes
            for length in reversed(shape):
                result = length * result
            return result
        bits = product(shape, self.bits)
        if self.group:
            groups = -(-shape[-1] // self.group)
            bits = bits + product((*shape[:-1], groups), self.scale_bits)
        for beside in self.beside:
            bits = bits + beside.nbits(shape)
        return -(-bits // 8)


_TABLE = (
    Format("fp64", 64),
    Format("fp32", 32),
    Format("bf16", 16),
    Format("fp16", 16),
    Format("fp8", 8),  # e4m3 or e5m2 with one scale per tensor, too few to count
    Format("int8", 8),  # one scale per tensor or channel, too few to count
    # GPTQ's and AWQ's usual shape: groups of 128 weights under one 16-bit scale.
    Format("int4", 4, group=128, scale_bits=16),
    # OCP Microscaling Formats v1.0: 32 elements under one 8-bit exponent.
    Format("mxfp8", 8, group=32, scale_bits=8, arithmetic="fp8"),
    Format("mxfp4", 4, group=32, scale_bits=8, arithmetic="fp4"),
    # NVIDIA Blackwell: 16 elements under one fp8 scale.
    Format("nvfp4", 4, group=16, scale_bits=8, arithmetic="fp4"),
)
FORMATS = {entry.name: entry for entry in _TABLE}

# Names in model configs (torch's names).
_ALIASES = {
    "float64": "fp64",
    "float32": "fp32",
    "float": "fp32",
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "float8_e4m3fn": "fp8",
    "float8_e5m2": "fp8",
}

# Arithmetic that a device may list a peak for, with its width in bits. A dtype without a peak runs
# in the next wider one; tf32 is not listed because it is only chosen explicitly.
ARITHMETIC_BITS = {
    "fp4": 4, "int4": 4, "fp6": 6, "fp8": 8, "int8": 8, "bf16": 16, "fp16": 16, "tf32": 19,
    "fp32": 32, "fp64": 64,
}  # fmt: skip


def find_format(name: object) -> Format:
    """Return the format of a name, torch's spelling included.

    Raises:
        UnknownNameError: no format has that name.
    """
    if isinstance(name, str):
        folded = name.casefold().removeprefix("torch.")
        found = FORMATS.get(_ALIASES.get(folded, folded))
        if found is not None:
            return found
    raise UnknownNameError("number format", name, FORMATS, f"Formats: {', '.join(FORMATS)}.")


def arithmetic_of(format_: Format) -> str:
    """Return the key under which devices list the peak for this format's arithmetic."""
    return format_.arithmetic or format_.name

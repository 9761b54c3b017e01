"""Number formats: the bits of an element in memory, including its share of scales.

This is the one table of formats. Weights, activations and the cache each name one of them; the
format of the activations also names the arithmetic. Mixtures of formats by the kind of weight are
``core/recipes.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from math import gcd, lcm

from memorywall.core.errors import InvalidInputError, UnknownNameError
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

    @property
    def bits_per_element(self) -> float:
        """Bits for an element of full blocks of a fixed size; 0 for blocks as large as a weight."""
        elements = self.run or self.rows * self.columns
        return self.bits / elements if elements else 0.0

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
        bits: bits of one element, without its share of scales.
        group: the number of elements along the last axis with one scale; 0 for none.
        scale_bits: bits of that scale.
        arithmetic: the key under which a device lists its peak for this arithmetic.
        beside: further stored data, if groups along the last axis do not describe it.
        products: the arithmetic of linear layers whose weights are named in this format, if engines
            quantise their inputs to it as they run; "" for weight-only formats.
        block, block_bytes: elements and bytes of a block, of which rows hold whole ones, scales
            inside; 0 for formats without blocks.
        note: what to know of a name that leaves something open.
    """

    name: str
    bits: int
    group: int = 0
    scale_bits: int = 0
    arithmetic: str = ""
    beside: tuple[Beside, ...] = ()
    products: str = ""
    block: int = 0
    block_bytes: int = 0
    note: str = ""
    whole_bytes: int = field(init=False, repr=False)  # of an element; 0 if undefined

    def __post_init__(self) -> None:
        plain = self.bits % 8 == 0 and not self.group and not self.beside and not self.block
        whole = self.bits // 8 if plain else 0
        object.__setattr__(self, "whole_bytes", whole)

    @property
    def bits_per_element(self) -> float:
        """Bits of one element with its share of the scales of full groups, blocks and runs.

        Data stored once for a row or a whole weight is left out.
        """
        if self.block:
            return 8 * self.block_bytes / self.block
        grouped = self.scale_bits / self.group if self.group else 0.0
        return self.bits + grouped + sum(beside.bits_per_element for beside in self.beside)

    @property
    def period(self) -> int:
        """Elements of a row after which its bytes grow by the same whole number again."""
        if self.block or self.whole_bytes:
            return self.block or 1
        return lcm(self.group or 1, 8 // gcd(self.bits, 8))

    @property
    def computes(self) -> bool:
        """Whether activations may have it, as arithmetic of that name exists."""
        return arithmetic_of(self) in ARITHMETIC_BITS and not self.beside and not self.block

    def nbytes(self, shape: Shape) -> Number:
        """Bytes of an array of this shape, whole bytes; exact integers for integer shapes."""
        if self.whole_bytes:  # as product, without the call: it is asked a hundred times
            result: Number = self.whole_bytes
            for length in reversed(shape):
                result = length * result
            return result
        if self.block:
            return product((*shape[:-1], _parts(shape[-1], self.block)), self.block_bytes)
        bits = product(shape, self.bits)
        if self.group:
            groups = -(-shape[-1] // self.group)
            bits = bits + product((*shape[:-1], groups), self.scale_bits)
        for beside in self.beside:
            bits = bits + beside.nbits(shape)
        return -(-bits // 8)


def ggml(name: str, block: int, block_bytes: int) -> Format:
    """Return a block format of ggml, with the number of bits of its name."""
    bits = int(next(c for c in name if c.isdigit()))
    return Format(name, bits, block=block, block_bytes=block_bytes)


_INT4_NOTE = (
    "int4 alone means groups of 128 weights under one 16-bit scale, GPTQ's and AWQ's usual shape; "
    "int4-g64 is another size of groups, nf4 and Q4_K_M are other 4-bit formats."
)
# bitsandbytes' 4 bits: runs of 64 weights under an fp32 scale, across rows; the double ones have
# scales of 8 bits, 256 under one of fp32, and the table of their values. Each weight has the
# table of its 16 values (bitsandbytes, functional.py: quantize_4bit).
_VALUES, _SCALE_VALUES = Beside(16 * 32, rows=0, columns=0), Beside(256 * 32, rows=0, columns=0)
_SINGLE = (Beside(32, run=64), _VALUES)
_DOUBLE = (Beside(8, run=64), Beside(32, run=64 * 256), _SCALE_VALUES, _VALUES)

_TABLE = (
    Format("fp64", 64),
    Format("fp32", 32),
    Format("bf16", 16),
    Format("fp16", 16),
    # e4m3 or e5m2 with one scale per tensor, too few to count
    Format("fp8", 8, products="fp8"),
    # DeepSeek-V3's: an fp32 scale for 128 x 128 weights.
    Format("fp8_block", 8, arithmetic="fp8", beside=(Beside(32, 128, 128),), products="fp8"),
    Format("int8", 8),  # one scale per tensor or channel, too few to count
    Format("fp6", 6),  # e3m2 or e2m3, as FP6-LLM: a scale a row, too few to count
    # GPTQ's and AWQ's usual shape: groups of 128 weights under one 16-bit scale.
    *(Format(f"int{bits}", bits, group=128, scale_bits=16) for bits in (2, 3)),
    Format("int4", 4, group=128, scale_bits=16, note=_INT4_NOTE),
    *(Format(f"int{bits}", bits, group=128, scale_bits=16) for bits in (5, 6)),
    # OCP Microscaling Formats v1.0: 32 elements under one 8-bit exponent.
    Format("mxfp8", 8, group=32, scale_bits=8, arithmetic="fp8", products="fp8"),
    Format("mxfp6", 6, group=32, scale_bits=8, arithmetic="fp6", products="fp6"),
    Format("mxfp4", 4, group=32, scale_bits=8, arithmetic="fp4"),
    # NVIDIA Blackwell: 16 elements under one fp8 scale.
    Format("nvfp4", 4, group=16, scale_bits=8, arithmetic="fp4", products="fp4"),
    Format("nf4", 4, beside=_SINGLE),
    Format("nf4-double", 4, beside=_DOUBLE),
    Format("bnb-fp4", 4, beside=_SINGLE),
    Format("bnb-fp4-double", 4, beside=_DOUBLE),
    # ggml's blocks (ggml-common.h, https://github.com/ggml-org/ggml): scales and minima are inside.
    ggml("q4_0", 32, 18),
    ggml("q4_1", 32, 20),
    ggml("q5_0", 32, 22),
    ggml("q5_1", 32, 24),
    ggml("q8_0", 32, 34),
    ggml("q8_1", 32, 36),
    ggml("q2_k", 256, 84),
    ggml("q3_k", 256, 110),
    ggml("q4_k", 256, 144),
    ggml("q5_k", 256, 176),
    ggml("q6_k", 256, 210),
    ggml("q8_k", 256, 292),
    ggml("iq1_s", 256, 50),
    ggml("iq1_m", 256, 56),
    ggml("iq2_xxs", 256, 66),
    ggml("iq2_xs", 256, 74),
    ggml("iq2_s", 256, 82),
    ggml("iq3_xxs", 256, 98),
    ggml("iq3_s", 256, 110),
    ggml("iq4_nl", 32, 18),
    ggml("iq4_xs", 256, 136),
    ggml("tq1_0", 256, 54),
    ggml("tq2_0", 256, 66),
    ggml("q1_0", 128, 18),
    ggml("q2_0", 64, 18),
)
FORMATS = {entry.name: entry for entry in _TABLE}

# Names in model configs (torch's names), of GGUF files and of other tools.
_ALIASES = {
    "float64": "fp64",
    "float32": "fp32",
    "float": "fp32",
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "float8_e4m3fn": "fp8",
    "float8_e4m3fnuz": "fp8",
    "float8_e5m2": "fp8",
    "float8_e5m2fnuz": "fp8",
    "fp8_e4m3": "fp8",
    "fp8_e5m2": "fp8",
    "e4m3": "fp8",
    "e5m2": "fp8",
    "w8a8-fp8": "fp8",
    "fp6_e3m2": "fp6",
    "fp6_e2m3": "fp6",
    "f64": "fp64",
    "f32": "fp32",
    "f16": "fp16",
    "fp4": "bnb-fp4",
    "nf4-dq": "nf4-double",
    "bnb-nf4": "nf4",
}

# Arithmetic that a device may list a peak for, with its width in bits. A dtype without a peak runs
# in the next wider one; tf32 is not listed because it is only chosen explicitly.
ARITHMETIC_BITS = {
    "fp4": 4, "int4": 4, "fp6": 6, "fp8": 8, "int8": 8, "bf16": 16, "fp16": 16, "tf32": 19,
    "fp32": 32, "fp64": 64,
}  # fmt: skip

# Of equal width and of floating point: a device that lacks one runs the other.
TWINS = {"bf16": "fp16", "fp16": "bf16"}

_GROUPED = re.compile(r"(int[2-8])-g([0-9]{1,5})")
_BLOCKED = re.compile(r"fp8_block-([0-9]{1,5})x([0-9]{1,5})")


def find_format(name: object) -> Format:
    """Return the format of a name, case ignored, torch's spelling included.

    ``int4-g64`` is int4 in groups of 64, ``fp8_block-1x128`` fp8 in blocks of another size.

    Raises:
        UnknownNameError: no format has that name.
    """
    if isinstance(name, str):
        folded = name.casefold().removeprefix("torch.")
        found = FORMATS.get(_ALIASES.get(folded, folded)) or _sized(folded)
        if found is not None:
            return found
    raise UnknownNameError("number format", name, FORMATS, f"Formats: {', '.join(FORMATS)}.")


def _sized(name: str) -> Format | None:
    """Return a format with another size of groups or blocks, None for no such name."""
    found = _GROUPED.fullmatch(name)
    if found is not None and int(found[2]):
        return Format(
            name, int(found[1][3:]), group=int(found[2]), scale_bits=16, arithmetic=found[1]
        )
    found = _BLOCKED.fullmatch(name)
    if found is not None and int(found[1]) and int(found[2]):
        beside = (Beside(32, int(found[1]), int(found[2])),)
        return replace(FORMATS["fp8_block"], name=name, beside=beside)
    return None


def find_arithmetic_format(name: object, word: str = "activations") -> Format:
    """Return a format that activations, or the dtype of a model, may have.

    Raises:
        UnknownNameError: no format has that name.
        InvalidInputError: no arithmetic of that name exists.
    """
    found = find_format(name)
    if found.computes:
        return found
    known = ", ".join(entry.name for entry in _TABLE if entry.computes)
    raise InvalidInputError(
        f"{word} must be a format with arithmetic, got {found.name}", f"Formats: {known}."
    )


def find_cache_format(name: object) -> Format:
    """Return a format that a cache or a state may have.

    Raises:
        UnknownNameError: no format has that name.
        InvalidInputError: its scales are of a whole weight.
    """
    found = find_format(name)
    if not found.beside:
        return found
    known = ", ".join(entry.name for entry in _TABLE if not entry.beside)
    raise InvalidInputError(
        f"a cache must be a format of rows, got {found.name}, of weights", f"Formats: {known}."
    )


def arithmetic_of(format_: Format) -> str:
    """Return the key under which devices list the peak for this format's arithmetic."""
    return format_.arithmetic or format_.name

"""Kernels: what is asked of one, the constants fitted to its measurements, and its time.

A kernel is one call on a device, such as a matrix product. Its time follows from a formula of
``cost/kernels`` with constants that were fitted to measurements of a device, a dtype and an engine,
or that are the medians of the devices of a class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from memorywall.core.hardware import Hardware
from memorywall.core.numbers import Number
from memorywall.core.quantities import Provenance

Shape: TypeAlias = Mapping[str, Any]  # numbers, arrays and words of one call, by argument


@dataclass(frozen=True, slots=True)
class Constant:
    """A number of a kernel's formula that is fitted.

    Attributes:
        name: its key in calibrations.
        unit: ``s``, ``byte/s``, ``byte/clock`` or "" for shares.
        meaning: one sentence.
        low, high: the bounds within which it is fitted; both positive.
        start: the value that a fit starts from.
    """

    name: str
    unit: str
    meaning: str
    low: float
    high: float
    start: float


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a kernel: a length, or one of some words.

    Attributes:
        name: the keyword.
        meaning: one sentence.
        default: its value where none is given; None if it is required.
        choices: of a word, its values.
    """

    name: str
    meaning: str
    default: Any = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Constants of one kind of kernel on a device, in a dtype, as an engine runs it.

    Attributes:
        kind: the name of the kernel, such as ``gemm``.
        dtype: the arithmetic and the storage, such as ``bf16`` or ``fp8_block``.
        engine: ``trtllm``, ``vllm``, ``sglang``, ``nccl``; "" for any.
        constants: by name.
        low, high: predictions times these are the 80 % interval.
        provenance: ``calibrated``, or ``class default``.
        dataset, version: of the measurements, with their licence; the version of the engine.
        rows, outliers: the number of measurements that were fitted, and of those that were left
            out as impossible.
        median_error, p90_error: of held-out shapes, as shares.
        physics: the result of the check that no measurement beats the device's roofs.
    """

    kind: str
    dtype: str
    engine: str
    constants: Mapping[str, float]
    low: float = 1.0
    high: float = 1.0
    provenance: Provenance = "calibrated"
    dataset: str = ""
    version: str = ""
    rows: int = 0
    outliers: int = 0
    median_error: float | None = None
    p90_error: float | None = None
    physics: str = ""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kind of kernel: one file of ``cost/kernels`` each, which holds it as ``KERNEL``.

    Attributes:
        name: such as ``gemm``: the name of the file, or of one of several in it.
        help: one sentence.
        arguments: its shape.
        constants: those that are fitted.
        prepare: a shape without its ``varying`` arguments, a device, a dtype and constants in;
            what turns the varying arguments, by position, into seconds out. All numbers may be
            arrays that broadcast.
        varying: arguments that a sweep changes, such as the rows of a product; the others are
            those of a layer.
        work: a shape, a device and a dtype in, FLOPs and bytes of the main memory or of the link
            out: the least that the call has to do, from which its bound at the data sheet follows.
    """

    name: str
    help: str
    arguments: tuple[Argument, ...]
    constants: tuple[Constant, ...]
    prepare: Callable[[Shape, Hardware, str, Mapping[str, float]], Callable[..., Number]]
    varying: tuple[str, ...]
    work: Callable[[Shape, Hardware, str], tuple[Number, Number]]
    over: Literal["memory", "link"] = "memory"


@dataclass(frozen=True, slots=True, eq=False)
class KernelTime:
    """The time of a call; numbers, or arrays of the shape that the arguments broadcast to.

    Attributes:
        seconds: predicted.
        low, high: ends of the 80 % interval.
        bound_s: the least time by the data sheet.
        provenance: where the constants come from.
        table: the constants, with their data and error.
    """

    seconds: Number
    low: Number
    high: Number
    bound_s: Number
    provenance: Provenance
    table: Table = field(repr=False)

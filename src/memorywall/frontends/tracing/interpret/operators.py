"""The properties of an overload of an operator: its formula, its writes, its function."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from memorywall.core.geometry import (
    Attention,
    Conv,
    Gemm,
    Space,
)
from memorywall.frontends.tracing.interpret.arrays import format_of
from memorywall.frontends.tracing.interpret.aten import ATEN
from memorywall.frontends.tracing.interpret.backward import find
from memorywall.frontends.tracing.interpret.calls import Call, tensors
from memorywall.frontends.tracing.interpret.elementwise import (
    COPIES,
    FILLS,
    POINTWISE,
    REDUCTION,
    TABLE,
)
from memorywall.frontends.tracing.interpret.events import Work
from memorywall.frontends.tracing.interpret.formulas import FORMULAS, Formula, schema_of

# They write some elements of an argument: as many as the values that they write.
_WRITES_PART = ("index_copy", "index_put", "scatter", "index_fill", "masked_scatter")
_ADDS_PART = ("index_add", "scatter_add", "scatter_reduce", "index_reduce")
_EMPTY = (
    "empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "empty_permuted",
)  # fmt: skip
_PRODUCTS = ("gemm", "attention", "conv")
_CLONES = ("aten::clone", "aten::_to_copy")


@dataclass(slots=True, eq=False)
class Operator:
    """The properties of an overload, looked up once.

    Attributes:
        name: ``namespace::operator``, of an in-place one that of its twin.
        formula: None if there is none.
        written: positions, or names, of the arguments that it writes to.
        allocates: whether it makes memory without writing to it.
        attends: whether it is an attention operator, including its softmax.
        function: as ``Op.function``.
    """

    name: str
    formula: Formula | None
    written: tuple[int | str, ...]
    allocates: bool
    attends: bool
    function: str

    @property
    def short(self) -> str:
        """The name without its namespace."""
        return self.name.partition("::")[2]

    @property
    def partly(self) -> bool:
        """Whether it writes to some elements, which do not follow from shapes."""
        return self.function in ("write part", "add part")

    @property
    def blind(self) -> bool:
        """Whether it writes without reading the old values."""
        return bool(self.written) and self.function in ("copy", "fill", "write part")

    def targets(self, call: Call) -> Iterator[torch.Tensor]:
        """Yield the tensors that a call writes to."""
        for place in self.written:
            value = call.kwargs.get(place) if isinstance(place, str) else call.args[place]
            yield from tensors((value,))


def describe(op: Any) -> Operator:
    """Return the properties of an overload."""
    schema = schema_of(op)
    name = schema.name.rstrip("_") if schema.name.startswith("aten::") else schema.name
    formula = FORMULAS.get(schema.name) or FORMULAS.get(name)
    formula = formula or ATEN.get(name) or TABLE.get(name) or find(name)
    if formula is None and torch.Tag.pointwise in op.tags:
        formula = POINTWISE
    elif formula is None and torch.Tag.reduction in op.tags:
        formula = REDUCTION
    written = tuple(
        declared.name if declared.kwarg_only else position
        for position, declared in enumerate(schema.arguments)
        if declared.alias_info is not None
        and declared.alias_info.is_write
        and declared.name != "grads"  # fused optimizers may scale them; none does by default
    )
    short = name.partition("::")[2]
    attends = "scaled_dot_product" in short
    function = _function(short.removeprefix("_foreach_"), bool(written))
    return Operator(name, formula, written, short in _EMPTY, attends, function)


def _function(short: str, writes: bool) -> str:
    if short in COPIES:
        return COPIES[short]
    if short in FILLS:
        return "fill"
    if writes and short in (*_WRITES_PART, *_ADDS_PART):
        return "write part" if short in _WRITES_PART else "add part"
    return short


def function_of(call: Call, known: Operator) -> str:
    """Return the function of a call: a copy of a view with repeated elements repeats them."""
    if known.name in _CLONES and call.inputs[0].numel() > 1 and 0 in call.inputs[0].stride():
        return "repeat"
    return known.function


def work_of(call: Call, known: Operator) -> Work | None:
    """Return what a call does, in axes without names; None where there is no formula.

    Of an operator whose formula gives a number, that is all; of complex numbers, the spaces.
    """
    if known.formula is None:
        return None
    found, times = known.formula.flops(call), complex_times(call, known)
    if isinstance(found, Gemm | Attention | Conv):
        if times == 1:
            return found
        return tuple([Space(times * space.coefficient, space.axes) for space in found.spaces])
    if isinstance(found, Space):
        return (Space(times * found.coefficient, found.axes),)
    return (Space(times * int(found), ()),)


def values_written(call: Call, target: torch.Tensor) -> int:
    """Return the elements of the largest input of the target's dtype except the target."""
    sizes = [t.numel() for t in call.inputs if t is not target and t.dtype == target.dtype]
    return int(max(sizes, default=0))


def complex_times(call: Call, known: Operator) -> int:
    """Return the real FLOPs per counted FLOP: more than one for complex numbers.

    A complex multiply-add is four real ones, a product alone six FLOPs, any other operator two.
    """
    numbers = sum(tensor.is_complex() for tensor in call.inputs)
    if not numbers or known.formula is None or known.name in FORMULAS:
        return 1
    if known.formula.kind in _PRODUCTS:
        return 4
    return 6 if known.short in ("mul", "div") and numbers > 1 else 2


def arithmetic_of(values: tuple[torch.Tensor, ...]) -> str:
    """Return the key of the arithmetic: that of the first tensor of numbers, else ``fp32``."""
    for tensor in values:
        if tensor.dtype.is_floating_point or tensor.dtype == torch.int8:
            return format_of(tensor.dtype).name
    return "fp32"

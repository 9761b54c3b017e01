"""The interface of operator formulas, and the decorator for custom ones.

A fused multiply-add is two FLOPs, as everywhere here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from memorywall.core.errors import InvalidInputError, shown
from memorywall.core.geometry import Attention, Conv, Gemm, Kind, Space

# The result of a formula: FLOPs, a space that they fill, or a whole geometry.
Found: TypeAlias = int | Space | Gemm | Attention | Conv
# The argument of a formula: ``op``, ``args``, ``kwargs``, and the tensors ``inputs`` and
# ``outputs``.
Count: TypeAlias = Callable[[Any], Found]


@dataclass(frozen=True, slots=True)
class Formula:
    """The formula of an operator.

    Attributes:
        kind: the class that it is counted in.
        flops: FLOPs of one call, or the geometry that they follow from.
        touched: elements of each input that one call reads, where that is not all: embeddings,
            experts. None for an input that is read whole.
    """

    kind: Kind
    flops: Count
    touched: Callable[[Any], tuple[int | None, ...]] | None = None


FORMULAS: dict[str, Formula] = {}  # custom formulas; PyTorch's are in ``aten``


def formula(
    *names: str,
    kind: Kind = "elementwise",
    touched: Callable[[Any], tuple[int | None, ...]] | None = None,
) -> Callable[[Count], Count]:
    """Decorate a function that counts the FLOPs of operators, such as ``mylib::fused_mlp``.

    The function receives the call: ``call.inputs`` and ``call.outputs`` are tensors with shapes and
    dtypes only. Names are ``namespace::operator``, without an overload; PyTorch's are in ``aten``.
    The formula of a known name is replaced.

    Raises:
        InvalidInputError: there is no name, or a name has no namespace.
    """
    bad = [name for name in names if "::" not in name]
    if bad or not names:
        raise InvalidInputError(
            f"a formula requires the operator's name with its namespace, got {shown(bad or names)}",
            "For example: @formula('mylib::fused_mlp'), or 'aten::cumsum'.",
        )

    def register(count: Count) -> Count:
        for name in names:
            FORMULAS[name] = Formula(kind, count, touched)
        return count

    return register


def into(table: dict[str, Formula]) -> Callable[..., Callable[[Count], Count]]:
    """Return a decorator that adds formulas to a table of operators.

    Names without a namespace are in ``aten``.
    """

    def names_of(
        *names: str, kind: Kind = "elementwise", touched: Callable[[Any], Any] | None = None
    ) -> Callable[[Count], Count]:
        def put(count: Count) -> Count:
            for name in names:
                full = name if "::" in name else f"aten::{name}"
                table[full] = Formula(kind, count, touched)
            return count

        return put

    return names_of


def schema_of(op: Any) -> Any:
    """Return an overload's schema: its name and its arguments."""
    return op._schema  # noqa: SLF001 - torch has no public API


def argument(call: Any, name: str, default: Any = None) -> Any:
    """Return a call's argument by its name in the operator's schema."""
    if name in call.kwargs:
        return call.kwargs[name]
    for position, declared in enumerate(schema_of(call.op).arguments):
        if declared.name == name:
            return call.args[position] if position < len(call.args) else default
    return default

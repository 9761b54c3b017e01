"""What a formula of an operator is, and the door for one's own.

A fused multiply-add is two FLOPs, as everywhere here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from memorywall.core.errors import InvalidInputError, shown
from memorywall.core.program import Kind

# What a formula is given: ``op``, ``args``, ``kwargs``, and the tensors ``inputs`` and ``outputs``.
Count: TypeAlias = Callable[[Any], int]


@dataclass(frozen=True, slots=True)
class Formula:
    """What an operator does.

    Attributes:
        kind: the class that it is counted in.
        flops: FLOPs of one call.
        touched: elements of each input that one call reads, where that is not all: embeddings,
            experts. None for an input that is read whole.
    """

    kind: Kind
    flops: Count
    touched: Callable[[Any], tuple[int | None, ...]] | None = None


FORMULAS: dict[str, Formula] = {}  # those of the user; PyTorch's own are in ``aten``


def formula(
    *names: str,
    kind: Kind = "elementwise",
    touched: Callable[[Any], tuple[int | None, ...]] | None = None,
) -> Callable[[Count], Count]:
    """Decorate a function that counts the FLOPs of operators, such as ``mylib::fused_mlp``.

    The function is given the call: ``call.inputs`` and ``call.outputs`` are tensors, of which only
    shapes and dtypes may be asked. Names are ``namespace::operator``, without an overload, and
    PyTorch's own are in ``aten``. A name that is known is given the new formula.

    Raises:
        InvalidInputError: no name, or one without a namespace.
    """
    bad = [name for name in names if "::" not in name]
    if bad or not names:
        raise InvalidInputError(
            f"a formula needs the operator's name with its namespace, got {shown(bad or names)}",
            "Such as @formula('mylib::fused_mlp'), or 'aten::cumsum'.",
        )

    def register(count: Count) -> Count:
        for name in names:
            FORMULAS[name] = Formula(kind, count, touched)
        return count

    return register


def into(table: dict[str, Formula]) -> Callable[..., Callable[[Count], Count]]:
    """Return a decorator that puts formulas into a table of operators.

    Names are without ``aten::`` where they have no namespace.
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
    return op._schema  # noqa: SLF001 - torch offers no other door


def argument(call: Any, name: str, default: Any = None) -> Any:
    """Return a call's argument by its name in the operator's schema."""
    if name in call.kwargs:
        return call.kwargs[name]
    for position, declared in enumerate(schema_of(call.op).arguments):
        if declared.name == name:
            return call.args[position] if position < len(call.args) else default
    return default

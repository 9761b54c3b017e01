"""Cache of operators' output shapes by input shapes, for layers that repeat.

PyTorch computes many operators' shapes in Python, which takes a hundred times as long as a look-up.
Cached are operators that depend on shapes only: they return new tensors and write to none.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import torch

from memorywall.frontends.tracing.capture.modes import META
from memorywall.frontends.tracing.interpret.arrays import address_of
from memorywall.frontends.tracing.interpret.calls import tensors
from memorywall.frontends.tracing.interpret.formulas import schema_of

_Layout = tuple[tuple[int, ...], tuple[int, ...], torch.dtype]


class Shapes:
    """Runs operators on meta tensors, or returns their cached results."""

    def __init__(self) -> None:
        self._known: dict[Hashable, list[_Layout]] = {}
        self._keeps: dict[Any, bool] = {}  # whether an operator returns one new tensor, or several

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operator, or return its cached result for arguments of the same shapes."""
        key = _look((func, args, tuple(kwargs.items()))) if self._may_keep(func) else None
        if key is not None and key in self._known:
            made = [
                torch.empty_strided(shape, strides, dtype=dtype, device=META)
                for shape, strides, dtype in self._known[key]
            ]
            return made[0] if len(made) == 1 else tuple(made)
        out = _run(func, args, kwargs)
        if key is not None:
            self._keep(key, out, func, args)
        return out

    def _may_keep(self, func: Any) -> bool:
        found = self._keeps.get(func)
        if found is None:
            schema = schema_of(func)
            plain = all(str(value.type) == "Tensor" for value in schema.returns)
            aliases = any(part.alias_info for part in (*schema.arguments, *schema.returns))
            takes = any("Tensor" in str(part.type) for part in schema.arguments)
            found = self._keeps[func] = bool(schema.returns) and plain and takes and not aliases
        return found

    def _keep(self, key: Hashable, out: Any, func: Any, args: tuple[Any, ...]) -> None:
        made = (out,) if isinstance(out, torch.Tensor) else out
        if not all(isinstance(tensor, torch.Tensor) for tensor in made):
            return  # a gradient that was not requested
        given = {address_of(tensor) for tensor in tensors(args)}
        if any(address_of(tensor) in given for tensor in made):
            self._keeps[func] = False  # a view, which its schema does not declare
        elif all(tensor.device == META for tensor in made):
            self._known[key] = [(tuple(t.shape), t.stride(), t.dtype) for t in made]


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operator; constants on the CPU are moved to the meta device if needed."""
    if func is GROUPED:
        return grouped(*args, **kwargs)
    try:
        return func(*args, **kwargs)
    except RuntimeError as error:
        if "device" not in str(error):
            raise
        return func(*_joined(args), **dict(zip(kwargs, _joined(kwargs.values()), strict=True)))


GROUPED = torch.ops.aten._grouped_mm.default  # noqa: SLF001 - an operator's name


def grouped(
    left: torch.Tensor, right: torch.Tensor, offsets: Any = None, bias: Any = None,  # noqa: ARG001
    out_dtype: Any = None,
) -> torch.Tensor:  # fmt: skip
    """Return the result of grouped products; on meta PyTorch supports them in bf16 only."""
    groups = [] if left.dim() + right.dim() == 5 else [max(left.shape[0], right.shape[0])]
    if left.dim() == right.dim() == 2:
        groups = [offsets.shape[0]]
    return left.new_empty(*groups, left.shape[-2], right.shape[-1], dtype=out_dtype or left.dtype)


def _joined(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return arguments with every tensor on the meta device."""
    return tuple(
        value.to(META) if isinstance(value, torch.Tensor)
        else type(value)(_joined(value)) if isinstance(value, list | tuple)
        else value
        for value in values
    )  # fmt: skip


def _look(value: Any) -> Hashable:
    """Return a key of the arguments' shapes; None if their values may matter."""
    if isinstance(value, torch.Tensor):
        if value.device != META:
            return None
        return tuple(value.shape), value.stride(), value.storage_offset(), value.dtype
    if isinstance(value, list | tuple):
        parts = tuple([_look(part) for part in value])
        return None if None in parts else parts
    return (type(value), value) if value is not None else "None"

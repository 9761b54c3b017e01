"""One call of an operator of PyTorch, and the tensors among its arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(slots=True, eq=False)
class Call:
    """One call of an aten operator.

    Attributes:
        op: the overload that ran, such as ``aten.mm.default``.
        args, kwargs: its arguments.
        inputs, outputs: the tensors among its arguments and results, in order, nested ones too.
        path: of the module whose ``forward`` was running, such as ``layers.0.mlp``; "" outside.
        full: whether every pair under a causal mask counts.
    """

    op: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    inputs: tuple[torch.Tensor, ...]
    outputs: tuple[torch.Tensor, ...]
    path: str
    full: bool = False


def tensors(values: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors among values, those within lists and tuples too."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors(value)

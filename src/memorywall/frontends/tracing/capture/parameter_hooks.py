"""Hooks on parameters: register a tensor's hooks on its fake."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import CellType, FunctionType
from typing import Any

import torch

from memorywall.core.errors import InvalidInputError

# Types in a hook's globals that may hold parameters; all other globals are shared.
_HOLDERS = (torch.Tensor, torch.optim.Optimizer, torch.nn.Module, dict, list, tuple)


def carry_hooks(name: str, weight: torch.Tensor, fake: torch.Tensor, known: dict[int, Any]) -> None:
    """Register a parameter's hooks on its fake; tensors of the module in hooks are replaced.

    Args:
        name: the parameter's.
        weight: has the hooks.
        fake: its replacement.
        known: replacements by ``id``; optimizers that hooks share are added to it.

    Raises:
        InvalidInputError: a hook holds an object that cannot be copied.
    """
    try:
        for hook in _hooks(weight._backward_hooks):  # noqa: SLF001 - there is no public API
            fake.register_hook(_moved(hook, known))
        for hook in _hooks(getattr(weight, "_post_accumulate_grad_hooks", None)):
            fake.register_post_accumulate_grad_hook(_moved(hook, known))
    except Exception as error:
        raise InvalidInputError(
            f"a hook on the parameter {name} cannot be copied: {type(error).__name__}: {error}",
            "It may hold only optimizers of the module's parameters.",
        ) from error


def _hooks(registered: Mapping[int, Any] | None) -> list[Any]:
    return list((registered or {}).values())


def _moved(value: Any, known: dict[int, Any]) -> Any:
    """Return a copy with fakes instead of tensors, including those in a function's closure."""
    if not isinstance(value, FunctionType):
        return copy.deepcopy(value, known)
    if id(value) in known:
        return known[id(value)]
    cells = tuple(CellType() for _ in value.__closure__ or ())
    used = {name: value.__globals__.get(name) for name in value.__code__.co_names}
    held = {name: _moved(one, known) for name, one in used.items() if isinstance(one, _HOLDERS)}
    moved = FunctionType(value.__code__, value.__globals__ | held, value.__name__, None, cells)
    known[id(value)] = moved
    moved.__defaults__ = _moved(value.__defaults__, known)
    moved.__kwdefaults__ = _moved(value.__kwdefaults__, known)
    for cell, old in zip(cells, value.__closure__ or (), strict=True):
        cell.cell_contents = _moved(old.cell_contents, known)
    return moved

"""Modules and inputs without memory: shapes, dtypes and devices, and no data."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves, tree_map_only

from memorywall.core.errors import InvalidInputError, UnsupportedError


def fake_mode() -> FakeTensorMode:
    """Return the mode under which nothing is stored; real ones may enter."""
    return FakeTensorMode(allow_non_fake_inputs=True)


def fake_module(module: torch.nn.Module, device: str, *, copied: bool) -> torch.nn.Module:
    """Return a module on fake tensors, tied weights still tied; to be called in ``fake_mode()``.

    Args:
        module: on real tensors or on the meta device.
        device: what the fakes are on.
        copied: whether a copy is changed in place of the module itself.

    Raises:
        UnsupportedError: a parameter has no shape yet.
        InvalidInputError: the module cannot be copied.
    """
    fakes = _fakes_of(module, device)
    if not copied:
        for part in module.modules():
            _replace(part, fakes)
        return module
    try:
        return copy.deepcopy(module, dict(fakes))
    except Exception as error:
        raise InvalidInputError(
            f"{type(module).__name__} cannot be copied: {type(error).__name__}: {error}",
            "Give a function that makes it in place of the module itself.",
        ) from error


def _fakes_of(module: torch.nn.Module, device: str) -> dict[int, torch.Tensor]:
    """Return a fake for every tensor that a module holds, by the tensor's ``id``."""
    fake = _faking(device)
    fakes: dict[int, torch.Tensor] = {}
    for name, part in module.named_modules():
        for tensor in filter(torch.is_tensor, tree_leaves(dict(vars(part)))):
            if isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin):
                raise UnsupportedError(
                    f"{name or 'the module'} is lazy: a parameter has no shape yet.",
                    "Give modules all of their sizes.",
                )
            if id(tensor) not in fakes:
                fakes[id(tensor)] = _like(tensor, fake)
    return fakes


def _replace(part: torch.nn.Module, fakes: Mapping[int, torch.Tensor]) -> None:
    """Put fakes in the place of all tensors that one module holds itself."""
    for key, value in vars(part).items():
        if any(map(torch.is_tensor, tree_leaves(value))):
            vars(part)[key] = tree_map_only(torch.Tensor, lambda tensor: fakes[id(tensor)], value)


def fake_inputs(inputs: Any, device: str) -> Any:
    """Return inputs with every tensor among them, in lists and mappings too, as a fake one."""
    return tree_map_only(torch.Tensor, _faking(device), inputs)


def _like(tensor: torch.Tensor, fake: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    if isinstance(tensor, torch.nn.Parameter):
        return torch.nn.Parameter(fake(tensor), requires_grad=tensor.requires_grad)
    return fake(tensor)


def _faking(device: str) -> Callable[[torch.Tensor], torch.Tensor]:
    def fake(tensor: torch.Tensor) -> torch.Tensor:
        made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device)
        return made.requires_grad_(tensor.requires_grad)

    return fake

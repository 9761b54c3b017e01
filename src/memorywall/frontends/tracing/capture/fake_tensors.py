"""Modules and inputs without memory: shapes, dtypes and devices, and no data."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves, tree_map_only

from memorywall.core.errors import InvalidInputError, UnsupportedError
from memorywall.frontends.tracing.capture.parameter_hooks import carry_hooks


def fake_mode() -> FakeTensorMode:
    """Return the mode in which tensors have no storage; real tensors are accepted."""
    return FakeTensorMode(allow_non_fake_inputs=True)


def fake_module(module: torch.nn.Module, device: str, *, copied: bool) -> torch.nn.Module:
    """Return a module on fake tensors, with tied weights; call it in ``fake_mode()``.

    Args:
        module: on real tensors or on the meta device.
        device: of the fakes.
        copied: whether to change a copy instead of the module itself.

    Raises:
        UnsupportedError: a lazy parameter has no shape.
        InvalidInputError: the module cannot be copied.
    """
    fakes = _fakes_of(module, device)
    held = list(module.named_parameters())
    known: dict[int, Any] = dict(fakes)
    if copied:
        module = _copy(module, known)
    else:
        for part in module.modules():
            _replace(part, fakes)
            known[id(part)] = part
    for name, weight in held:
        carry_hooks(name, weight, fakes[id(weight)], known)
    return module


def _copy(module: torch.nn.Module, known: dict[int, Any]) -> torch.nn.Module:
    """Return a module's copy; ``known`` holds existing parts by ``id``."""
    try:
        return copy.deepcopy(module, known)
    except Exception as error:
        raise InvalidInputError(
            f"{type(module).__name__} cannot be copied: {type(error).__name__}: {error}",
            "Pass a function that returns the module instead of the module.",
        ) from error


def _fakes_of(module: torch.nn.Module, device: str) -> dict[int, torch.Tensor]:
    """Return a fake for every tensor of a module, by the tensor's ``id``.

    Tensors that share storage share it as fakes, too.
    """
    fake = _sharing(device)
    fakes: dict[int, torch.Tensor] = {}
    for name, part in module.named_modules():
        for tensor in filter(torch.is_tensor, tree_leaves(dict(vars(part)))):
            if isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin):
                raise UnsupportedError(
                    f"{name or 'the module'} is lazy: a parameter has no shape.",
                    "Set all sizes of the modules.",
                )
            check_dense(tensor, name or "the module")
            if id(tensor) not in fakes:
                fakes[id(tensor)] = _like(tensor, fake)
    return fakes


def check_dense(tensor: torch.Tensor, whose: str) -> None:
    """Refuse a tensor whose size depends on values.

    Raises:
        UnsupportedError: it is sparse; ``whose`` is its owner.
    """
    if tensor.layout is not torch.strided:
        raise UnsupportedError(
            f"{whose}: sparse tensors are not supported, since their size depends on values.",
            "Trace it dense: an nn.Embedding with sparse=False, whose gradient is as large as its "
            "table, and adam instead of sparseadam.",
        )


def _replace(part: torch.nn.Module, fakes: Mapping[int, torch.Tensor]) -> None:
    """Replace the tensors of one module, without its submodules, by fakes."""
    for key, value in vars(part).items():
        if any(map(torch.is_tensor, tree_leaves(value))):
            vars(part)[key] = tree_map_only(torch.Tensor, lambda tensor: fakes[id(tensor)], value)


def fake_inputs(inputs: Any, device: str) -> Any:
    """Return inputs with every tensor, including those in lists and mappings, as a fake."""
    return tree_map_only(torch.Tensor, _faking(device), inputs)


def _like(tensor: torch.Tensor, fake: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    if isinstance(tensor, torch.nn.Parameter):
        return torch.nn.Parameter(fake(tensor), requires_grad=tensor.requires_grad)
    return fake(tensor)


def _sharing(device: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function that makes fakes which share storage as the tensors do."""
    storages: dict[int, torch.Tensor] = {}
    plain = _faking(device)

    def fake(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if not storage.nbytes():
            return plain(tensor)
        whole = storages.get(storage._cdata)  # noqa: SLF001 - a storage's one identity
        if whole is None:
            count = storage.nbytes() // tensor.element_size()
            whole = torch.empty(count, dtype=tensor.dtype, device=device)
            storages[storage._cdata] = whole  # noqa: SLF001
        view = whole.view(tensor.dtype).as_strided(
            tensor.shape, tensor.stride(), tensor.storage_offset()
        )
        return view.detach().requires_grad_(tensor.requires_grad)

    return fake


def _faking(device: str) -> Callable[[torch.Tensor], torch.Tensor]:
    def fake(tensor: torch.Tensor) -> torch.Tensor:
        check_dense(tensor, "an input")
        made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device)
        return made.requires_grad_(tensor.requires_grad)

    return fake

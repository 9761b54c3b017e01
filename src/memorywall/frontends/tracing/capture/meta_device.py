"""A module without memory: made by a factory on the meta device, or run there as it stands."""

from __future__ import annotations

import gc
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from memorywall.core.errors import (
    InvalidInputError,
    MemoryWallError,
    UnsupportedError,
    shown,
)
from memorywall.core.formats import find_format
from memorywall.frontends.tracing.capture.caches import without_values
from memorywall.frontends.tracing.capture.failures import failed_pass
from memorywall.frontends.tracing.capture.modes import META, Fills, OneDevice
from memorywall.frontends.tracing.capture.scans import analytic_scans
from memorywall.frontends.tracing.capture.tracer import Tracer

_REMOTE_CODE = "transformers_modules"  # where transformers keeps code that came with a model
_DTYPES = {
    "fp64": torch.float64, "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16,
}  # fmt: skip


class Bare:
    """A module whose parameters and buffers have no memory; the module itself is left as it is.

    Args:
        module: built or real.
        uniform: addresses of buffers whose elements are all alike.
    """

    def __init__(self, module: torch.nn.Module, uniform: Container[int] = ()) -> None:
        self.module = module
        self._uniform = uniform
        self._paths = {id(part): name for name, part in module.named_modules()}
        seen: dict[int, torch.Tensor] = {}
        self.parameters = {name: _bare(p, seen) for name, p in module.named_parameters()}
        self._buffers = {name: _bare(b, seen) for name, b in module.named_buffers()}
        self._swaps = bool(seen)

    def tracer(self, *, full: bool = False) -> Tracer:
        """Return a tracer that knows its parameters and buffers."""
        tracer = Tracer(self.module, full=full)
        tracer.notes.take_in(self.parameters, "weight")
        tracer.notes.take_in(self._buffers, "state", self._uniform)
        return tracer

    def run(self, tracer: Tracer, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """Run it under a tracer and return what it returns.

        Raises:
            MemoryWallError: it cannot be traced; where it stopped, why, and what to do.
        """
        one_device = OneDevice(tracer.attend)
        try:
            with (
                torch.no_grad(), without_values(), _evaluating(self.module), _uncollected(),
                analytic_scans(self.module, tracer.notes), tracer, one_device,
            ):  # fmt: skip
                out = self._call(inputs, named)
        except Exception as error:
            raise failed_pass(error, self._paths, len(tracer.events)) from error
        tracer.asked = one_device.asked
        return out

    def _call(self, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        if not self._swaps:
            return self.module(*inputs, **named)
        bare = {**self.parameters, **self._buffers}
        return torch.func.functional_call(self.module, bare, inputs, dict(named))


def build(source: Any, dtype: str | None = None) -> Bare:
    """Return a module, or what a factory makes, without memory.

    Raises:
        MemoryWallError: as ``make``.
    """
    return Bare(*make(source, dtype))


def make(source: Any, dtype: str | None = None) -> tuple[torch.nn.Module, Container[int]]:
    """Return a module, or what a factory makes on the meta device with ``dtype`` as the default.

    Beside it stand the addresses of what it made of one value, such as zeros.

    Raises:
        InvalidInputError: neither, or a factory that makes no module.
        UnsupportedError: the factory fails, or it is code that came with a downloaded model.
    """
    if isinstance(source, torch.nn.Module):
        return _trusted(source), ()
    if not callable(source):
        raise InvalidInputError(
            f"what is traced must be a module or a function that makes one, got {shown(source)}",
            "Such as mw.trace(lambda: torch.nn.Linear(8, 8), 'float32[1,8]').",
        )
    fills = Fills()
    try:
        with META, _default_dtype(dtype), fills:
            made = source()
    except MemoryWallError:
        raise
    except Exception as error:
        raise UnsupportedError(
            f"The factory failed on the meta device: {type(error).__name__}: {error}",
            "Tensors have shapes and no values there: make constants that are read with "
            "device='cpu', or give a module that is built.",
        ) from error
    if not isinstance(made, torch.nn.Module):
        raise InvalidInputError(
            f"the factory made {shown(made)}, which is no module.",
            "Let it return a torch.nn.Module.",
        )
    return _trusted(made), fills.made


@contextmanager
def unchanged(module: torch.nn.Module) -> Iterator[None]:
    """Leave on every part the attributes that it had: what a run puts there has no values."""
    before = [(part, dict(vars(part))) for part in module.modules()]
    try:
        yield
    finally:
        for part, attributes in before:
            vars(part).clear()
            vars(part).update(attributes)


def _trusted(module: torch.nn.Module) -> torch.nn.Module:
    """Return a module, unless it is what transformers loaded from a hub as code."""
    for part in module.modules():
        if any(base.__module__.partition(".")[0] == _REMOTE_CODE for base in type(part).__mro__):
            raise UnsupportedError(
                f"{type(part).__name__} is code that came with a downloaded model; it is not "
                "traced.",
                "Trace transformers' own class, built without trust_remote_code.",
            )
    return module


def _bare(tensor: torch.Tensor, seen: dict[int, torch.Tensor]) -> torch.Tensor:
    """Return a tensor without memory, the same one for the same."""
    if tensor.device == META:
        return tensor
    if id(tensor) not in seen:
        seen[id(tensor)] = tensor.detach().to(META)
    return seen[id(tensor)]


@contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Run without dropout, and leave every part as it was."""
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python's collector from walking through all that a trace notes, again and again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextmanager
def _default_dtype(name: str | None) -> Iterator[None]:
    before = torch.get_default_dtype()
    if name is not None:
        format_ = find_format(name).name
        if format_ not in _DTYPES:
            raise InvalidInputError(
                f"dtype {shown(name)} is none that PyTorch builds modules in.",
                f"Choose of {', '.join(_DTYPES)}.",
            )
        torch.set_default_dtype(_DTYPES[format_])
    try:
        yield
    finally:
        torch.set_default_dtype(before)

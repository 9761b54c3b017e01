"""A module without memory: built by a factory on the meta device, or moved there."""

from __future__ import annotations

import gc
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.parameter import is_lazy

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
from memorywall.frontends.tracing.capture.other_threads import OtherThreads
from memorywall.frontends.tracing.capture.scans import analytic_scans
from memorywall.frontends.tracing.capture.tracer import Tracer

_REMOTE_CODE = "transformers_modules"  # the package of code that transformers downloads with models
_DTYPES = {
    "fp64": torch.float64, "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16,
}  # fmt: skip


class Bare:
    """A module whose parameters and buffers have no memory; the module itself is unchanged.

    Args:
        module: built or real.
        uniform: addresses of buffers whose elements are all equal.
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
        """Return a tracer with its parameters and buffers."""
        tracer = Tracer(self.module, full=full)
        tracer.notes.take_in(self.parameters, "weight")
        tracer.notes.take_in(self._buffers, "state", self._uniform)
        return tracer

    def run(self, tracer: Tracer, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """Run it under a tracer and return its output.

        Raises:
            MemoryWallError: it cannot be traced; with the place, the cause and the next step.
        """
        one_device, others = OneDevice(tracer.attend), OtherThreads()
        try:
            with (
                torch.no_grad(), without_values(), _evaluating(self.module), _uncollected(),
                others.watched(), analytic_scans(self.module, tracer.notes), tracer, one_device,
            ):  # fmt: skip
                out = self._call(inputs, named)
        except (Exception, SystemExit) as error:
            others.refuse()
            raise failed_pass(error, self._paths, len(tracer.events)) from error
        others.refuse()
        tracer.asked = one_device.asked
        return out

    def _call(self, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        if not self._swaps:
            return self.module(*inputs, **named)
        bare = {**self.parameters, **self._buffers}
        return torch.func.functional_call(self.module, bare, inputs, dict(named))


def build(source: Any, dtype: str | None = None) -> Bare:
    """Return a module, or the module from a factory, without memory.

    Raises:
        MemoryWallError: as ``make``.
    """
    return Bare(*make(source, dtype))


def make(source: Any, dtype: str | None = None) -> tuple[torch.nn.Module, Container[int]]:
    """Return a module, or the one a factory builds on the meta device in ``dtype`` by default.

    The second result holds the addresses of buffers filled with one value, such as zeros.

    Raises:
        InvalidInputError: neither a module nor a factory that returns one.
        UnsupportedError: the factory fails, or it is code downloaded with a model.
    """
    if isinstance(source, torch.nn.Module):
        return _trusted(source), ()
    if not callable(source):
        raise InvalidInputError(
            f"the model must be a module or a function that returns one, got {shown(source)}",
            "For example: mw.trace(lambda: torch.nn.Linear(8, 8), 'float32[1,8]').",
        )
    fills = Fills()
    try:
        with META, _default_dtype(dtype), fills:
            made = source()
    except MemoryWallError:
        raise
    except (Exception, SystemExit) as error:
        raise UnsupportedError(
            f"The factory failed on the meta device: {type(error).__name__}: {error}",
            "Tensors have shapes and no values there: make constants that are read with "
            "device='cpu', or pass a module that is already built.",
        ) from error
    if not isinstance(made, torch.nn.Module):
        raise InvalidInputError(
            f"the factory must return a torch.nn.Module, got {shown(made)}.",
            "For example: lambda: torch.nn.Linear(8, 8).",
        )
    return _trusted(made), fills.made


@contextmanager
def unchanged(module: torch.nn.Module) -> Iterator[None]:
    """Restore the attributes of every submodule: those set in a run have no values."""
    before = [(part, dict(vars(part))) for part in module.modules()]
    try:
        yield
    finally:
        for part, attributes in before:
            vars(part).clear()
            vars(part).update(attributes)


def _trusted(module: torch.nn.Module) -> torch.nn.Module:
    """Return a module, unless transformers loaded its code from a hub, or it has no sizes yet."""
    for name, parameter in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(parameter):
            raise UnsupportedError(
                f"{shown(name)} has no size: the module is lazy, and was never run.",
                "Run it once on inputs of these shapes, in the factory too, or state its sizes.",
            )
    for part in module.modules():
        if any(base.__module__.partition(".")[0] == _REMOTE_CODE for base in type(part).__mro__):
            raise UnsupportedError(
                f"{type(part).__name__} is code downloaded with a model, which is not traced.",
                "Trace transformers' class, built without trust_remote_code.",
            )
    return module


def _bare(tensor: torch.Tensor, seen: dict[int, torch.Tensor]) -> torch.Tensor:
    """Return a tensor without memory, one per original."""
    if tensor.device == META:
        return tensor
    if id(tensor) not in seen:
        seen[id(tensor)] = tensor.detach().to(META)
    return seen[id(tensor)]


@contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Run without dropout, and restore the mode of every submodule."""
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
    """Disable Python's garbage collector, which would traverse the events repeatedly."""
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
                f"PyTorch cannot build modules in dtype {shown(name)}.",
                f"One of {', '.join(_DTYPES)}.",
            )
        torch.set_default_dtype(_DTYPES[format_])
    try:
        yield
    finally:
        torch.set_default_dtype(before)

"""Observe PyTorch's calls: every aten operator with its tensors and its module's path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack

from memorywall.frontends.tracing.interpret.calls import Call, tensors


class Recorder(TorchDispatchMode):  # type: ignore[misc]
    """Calls ``watch`` after every aten operator that runs while it is entered.

    Works on real, meta and fake tensors; the run is not changed. Paths are those of
    ``module.named_modules()``; a module in several places has the first path.
    """

    def __init__(self, module: torch.nn.Module, watch: Callable[[Call], object]) -> None:
        super().__init__()
        self.watch = watch
        self.running = [""]  # paths of the modules that are running, the innermost last
        self._paths = {id(part): name for name, part in module.named_modules()}
        self._hooks: list[Any] = []

    @property
    def path(self) -> str:
        """Path of the innermost module that is running."""
        return self.running[-1]

    def __enter__(self) -> Self:
        self._hooks = [
            register_module_forward_pre_hook(self._before),
            register_module_forward_hook(self._after, always_call=True),
        ]
        super().__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for hook in self._hooks:
            hook.remove()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        out = self.execute(func, args, kwargs)
        inputs = (*tensors(args), *tensors(kwargs.values()))
        self.watch(Call(func, args, kwargs, inputs, tuple(tensors((out,))), self.path))
        return out

    def execute(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operator."""
        return func(*args, **kwargs)

    def _before(self, module: torch.nn.Module, args: object) -> None:
        if self._is_watching():
            self._enter(module, args)

    def _after(self, module: torch.nn.Module, args: object, out: object) -> None:
        if self._is_watching():
            self._leave(module, args, out)

    def _enter(self, module: torch.nn.Module, _args: object) -> None:
        # A module outside the traced one counts for the module that called it.
        self.running.append(self._paths.get(id(module), self.path))

    def _leave(self, _module: torch.nn.Module, _args: object, _out: object) -> None:
        self.running.pop()

    def _is_watching(self) -> bool:
        """Return whether this thread is recorded: hooks of modules are called in all threads.

        Threads are not compared, since a backward pass may run a module in another thread.
        """
        return any(mode is self for mode in _get_current_dispatch_mode_stack())

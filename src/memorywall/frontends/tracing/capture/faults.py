"""Why a trace stopped, said so that its owner knows where and what to do."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from types import TracebackType

import torch

from memorywall.core.errors import MemoryWallError, UnsupportedError, printable

_BY_VALUE = (
    "cannot be called on meta tensors",
    "Cannot copy out of meta tensor",
    "_local_scalar_dense",
    "aten::nonzero",
    "aten::masked_select",
    "aten::_unique",
    "aten::unique",
    "aten::equal",
    "data-dependent",
    "data-independent implementation does not exist",
    "boolean mask",
)

_HINT_VALUES = (
    "Let the branch depend on shapes or on Python numbers, make constants that are read with "
    "device='cpu', or trace the part without it. Experts: choose an implementation without "
    "nonzero, such as experts_implementation='grouped_mm'."
)
_HINT_OPERATOR = (
    "Tell PyTorch its shapes with @torch.library.register_fake('namespace::operator'), and its "
    "FLOPs with @memorywall.formula('namespace::operator')."
)
_HINT_INPUTS = (
    "Give every input by itself, a tensor or its dtype and sizes: --input 'int64[1,512]' or "
    "--input NAME='int64[1,512]', mw.trace(module, 'int64[1,512]')."
)


def stopped(error: Exception, paths: Mapping[int, str], operators: int) -> MemoryWallError:
    """Return the error to raise for one that a module raised while it was traced."""
    if isinstance(error, MemoryWallError):
        return error
    module, line = _place(error.__traceback__, paths)
    where = f"in module {module!r}" if module else "in the module's own forward"
    said = printable(" ".join(str(error).split()), 200)
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    message, hint = _explain(what)
    return UnsupportedError(
        f"The trace stopped {where}{line}, after {operators} operators: {message}", hint
    )


def _explain(what: str) -> tuple[str, str]:
    """Return what is wrong and what to do, for the faults that modules have under a trace."""
    if any(word in what for word in _BY_VALUE):
        return (
            f"it depends on the values of a tensor, and a trace has shapes only ({what})",
            _HINT_VALUES,
        )
    if "'Meta' backend" in what or "no fake impl" in what or "Meta tensors" in what:
        return f"an operator does not say what shapes it returns ({what})", _HINT_OPERATOR
    if "device" in what.casefold() or "CUDA" in what or "NVIDIA" in what:
        return (
            f"it wants a device of its own ({what})",
            "Make tensors on the device of an input: torch.zeros(n, device=x.device).",
        )
    if "required positional argument" in what:
        return f"it is given too few inputs ({what})", _HINT_INPUTS
    if "must be Tensor, not" in what:
        return f"it is given what is no tensor ({what})", _HINT_INPUTS
    return (
        what,
        "Check that the module runs on inputs of these shapes and dtypes: a trace runs its code.",
    )


def _place(trace: TracebackType | None, paths: Mapping[int, str]) -> tuple[str, str]:
    """Return the innermost module that was running, and the line of its own code that did."""
    module, line = "", ""
    own_line = False
    for frame, number in traceback.walk_tb(trace):
        code = frame.f_code
        running = frame.f_locals.get("self")
        if isinstance(running, torch.nn.Module) and id(running) in paths:
            module, own_line = paths[id(running)], False
        within = "/torch/" in code.co_filename or "/memorywall/frontends/" in code.co_filename
        if not within and not own_line:
            line = f" ({code.co_filename.rpartition('/')[2]}, line {number}, {code.co_name})"
    return module, line

"""Why a trace stopped: in which module and at which stage, the cause, and what to do."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from types import TracebackType

import torch

from memorywall.core.errors import MemoryWallError, UnsupportedError, printable
from memorywall.core.training import StepStage

_LONGEST = 300  # characters of what a module's own error says
_INPUTS = (
    "Give every input by itself, a tensor or its dtype and sizes: --input 'int64[1,512]' or "
    "--input NAME='int64[1,512]', mw.trace(module, 'int64[1,512]')."
)
_BY_VALUE = (
    "cannot be called on meta tensors|Cannot copy out of meta tensor|_local_scalar_dense|"
    "aten::(nonzero|masked_select|_unique|unique|equal)|data-dependent|boolean mask|"
    "data-independent implementation does not exist|DataDependentOutput|DynamicOutputShape"
)
_VALUES = (
    "Let the branch depend on shapes or on Python numbers, select with torch.where, make constants "
    "that are read with device='cpu', or trace the part without it. A factory: give the module "
    "itself. Experts: choose an implementation without nonzero, such as "
    "experts_implementation='grouped_mm'."
)
_OPERATOR = (
    "Tell PyTorch its shapes with @torch.library.register_fake('namespace::operator'), and its "
    "FLOPs with @memorywall.formula('namespace::operator')."
)
_DEVICE = (
    "Make tensors on the device of an input, as torch.zeros(n, device=x.device), or register them "
    "as buffers."
)
# What an error says, the cause, and what to do: the first that matches is taken.
_KNOWN = (
    (_BY_VALUE, "it depends on the values of a tensor, and a trace has shapes only", _VALUES),
    (
        "'Meta' backend|no fake impl|Meta tensors|UnsupportedOperator",
        "an operator does not say what shapes it returns",
        _OPERATOR,
    ),
    # Not the device in what PyTorch prints of a tensor: FakeTensor(..., device='cpu').
    ("(?i:device(?!=))|CUDA|NVIDIA", "it requires a device of its own", _DEVICE),
    ("required positional argument", "it is given too few inputs", _INPUTS),
    ("must be Tensor, not", "it is given what is no tensor", _INPUTS),
)
_MODULE = (
    "Check that the module runs on real inputs of these shapes and dtypes: a trace runs its code."
)
_OPTIMIZER = (
    "Give a function that makes the optimizer of the module, with all its arguments; one of second "
    "order needs create_graph=True."
)


def failed_pass(error: Exception, paths: Mapping[int, str], operators: int) -> MemoryWallError:
    """Return the error for what a module raised while a forward pass was traced.

    Args:
        error: what was raised; one of ours is returned as it is.
        paths: of the modules, by ``id``.
        operators: how many had run.
    """
    if isinstance(error, MemoryWallError):
        return error
    module, line = _place(error.__traceback__, paths)
    where = f"in module {module!r}" if module else "in the module's own forward"
    what, hint = _explained(error, _MODULE)
    return UnsupportedError(
        f"The trace stopped {where}{line}, after {operators} operators: {what}", hint
    )


def failed_step(error: Exception, path: str, stage: StepStage) -> MemoryWallError:
    """Return the error for what was raised while a training step was traced.

    Args:
        error: what was raised; one of ours is returned as it is.
        path: of the module that was running; "" for the outermost one.
        stage: of the step that was running.
    """
    if isinstance(error, MemoryWallError):
        return error
    own = stage in ("setup", "optimizer")
    what, hint = _explained(error, _OPTIMIZER if own else _MODULE)
    return UnsupportedError(
        f"{path or ('the optimizer' if own else 'the module')}, {stage}: {what}", hint
    )


def _explained(error: Exception, otherwise: str) -> tuple[str, str]:
    """Return what went wrong, with what the error itself says, and what to do."""
    said = printable(" ".join(str(error).split()), _LONGEST)
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    for pattern, cause, hint in _KNOWN:
        if re.search(pattern, what):
            return f"{cause} ({what})", hint
    return what, otherwise


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

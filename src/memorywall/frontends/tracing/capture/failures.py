"""Errors of stopped traces: the module, the stage, the cause, and the next step."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from types import TracebackType

import torch

from memorywall.core.errors import MemoryWallError, UnsupportedError, printable
from memorywall.core.training import StepStage

_LONGEST = 300  # characters of the message of a module's error
_INPUTS = (
    "Pass every input separately, as a tensor or as its dtype and sizes: --input 'int64[1,512]' or "
    "--input NAME='int64[1,512]', mw.trace(module, 'int64[1,512]')."
)
_BY_VALUE = (
    "cannot be called on meta tensors|Cannot copy out of meta tensor|_local_scalar_dense|"
    "aten::(nonzero|masked_select|_unique|unique|equal)|data-dependent|boolean mask|"
    "data-independent implementation does not exist|DataDependentOutput|DynamicOutputShape"
)
_VALUES = (
    "Make the branch depend on shapes or on Python numbers, select with torch.where, make "
    "constants that are read with device='cpu', or trace the part without it. For a factory: pass "
    "the module itself. For experts: choose an implementation without nonzero, such as "
    "experts_implementation='grouped_mm'."
)
_OPERATOR = (
    "Declare its shapes with @torch.library.register_fake('namespace::operator'), and its "
    "FLOPs with @memorywall.formula('namespace::operator')."
)
_DEVICE = (
    "Make tensors on the device of an input, as torch.zeros(n, device=x.device), or register them "
    "as buffers."
)
# Pattern of the message, cause and hint: the first match is used.
_KNOWN = (
    (_BY_VALUE, "it depends on the values of a tensor, and a trace has shapes only", _VALUES),
    (
        "'Meta' backend|no fake impl|Meta tensors|UnsupportedOperator",
        "an operator does not declare its output shapes",
        _OPERATOR,
    ),
    # Not the device in PyTorch's text of a tensor: FakeTensor(..., device='cpu').
    ("(?i:device(?!=))|CUDA|NVIDIA", "it requires a specific device", _DEVICE),
    ("required positional argument", "it has too few inputs", _INPUTS),
    ("must be Tensor, not", "an input is not a tensor", _INPUTS),
)
_MODULE = (
    "Check that the module runs on real inputs of these shapes and dtypes: a trace runs its code."
)
_OPTIMIZER = (
    "Pass a function of the module that returns the optimizer, with all its arguments; a "
    "second-order optimizer requires create_graph=True."
)


def failed_pass(
    error: Exception | SystemExit, paths: Mapping[int, str], operators: int
) -> MemoryWallError:
    """Return the error for an exception in a traced forward pass.

    Args:
        error: the exception; a MemoryWallError is returned unchanged.
        paths: of the modules, by ``id``.
        operators: the number that had run.
    """
    if isinstance(error, MemoryWallError):
        return error
    module, line = _place(error.__traceback__, paths)
    where = f"in module {module!r}" if module else "in the module's forward"
    what, hint = _explained(error, _MODULE)
    return UnsupportedError(
        f"The trace stopped {where}{line}, after {operators} operators: {what}", hint
    )


def failed_step(error: Exception | SystemExit, path: str, stage: StepStage) -> MemoryWallError:
    """Return the error for an exception in a traced training step.

    Args:
        error: the exception; a MemoryWallError is returned unchanged.
        path: of the running module; "" for the outermost one.
        stage: of the running step.
    """
    if isinstance(error, MemoryWallError):
        return error
    own = stage in ("setup", "optimizer")
    what, hint = _explained(error, _OPTIMIZER if own else _MODULE)
    return UnsupportedError(
        f"{path or ('the optimizer' if own else 'the module')}, {stage}: {what}", hint
    )


def _explained(error: Exception | SystemExit, otherwise: str) -> tuple[str, str]:
    """Return the cause with the message of the error, and the hint."""
    if isinstance(error, SystemExit):
        return "it leaves the program (SystemExit)", "Raise an error in place of sys.exit()."
    said = printable(" ".join(str(error).split()), _LONGEST)
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    for pattern, cause, hint in _KNOWN:
        if re.search(pattern, what):
            return f"{cause} ({what})", hint
    return what, otherwise


def _place(trace: TracebackType | None, paths: Mapping[int, str]) -> tuple[str, str]:
    """Return the innermost running module, and the running line of its code."""
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

"""Why a module could not be traced: where it happened, and what to do about it."""

from __future__ import annotations

import re

from memorywall.core.errors import MemoryWallError, UnsupportedError, printable

_LONGEST = 300
# What an error says -> what that means, and what to do.
_KNOWN = (
    (
        "DataDependentOutput|DynamicOutputShape",
        "it asks for values, and a trace has shapes only",
        "Let neither branches nor shapes hang on data (torch.where), or trace what does not.",
    ),
    (
        "UnsupportedOperator|no fake impl",
        "an operator has no form without data",
        "Say what shape it returns: torch.library.register_fake.",
    ),
    (
        "two (different )?devices|not (compiled|linked) with|No CUDA GPUs|NVIDIA driver",
        "tensors are on several devices, or on one that is not here",
        "Make tensors on the inputs' device (x.device, or register_buffer), not on a fixed one.",
    ),
    (
        "meta tensor",
        "it asks for values of what a factory makes, which has none",
        "Make what is read with device='cpu', or give the module itself in place of a factory.",
    ),
)
_OTHER = {
    "the module": "Does the module train with real inputs of these shapes?",
    "the optimizer": "Give a function that makes it of the module, with all that it asks for; one "
    "of second order needs create_graph=True.",
}


def explain(error: Exception, path: str, phase: str) -> MemoryWallError:
    """Return the error for the user: the module's path, what went wrong, and what to do.

    Args:
        error: what was raised while tracing.
        path: of the module that was running; "" for the outermost one.
        phase: what the training step was at.
    """
    if isinstance(error, MemoryWallError):
        return error
    said = printable(" ".join(str(error).split()), _LONGEST)
    what = f"{type(error).__name__}: {said}"
    whose = "the optimizer" if phase in ("setup", "optimizer") else "the module"
    where = f"{path or whose}, {phase}"
    for pattern, meaning, hint in _KNOWN:
        if re.search(pattern, what):
            return UnsupportedError(f"{where}: {meaning} ({what})", hint)
    return UnsupportedError(f"{where}: {what}", _OTHER[whose])

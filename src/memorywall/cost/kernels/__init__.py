"""Formulas of the time of kernels, one file a kind; constants come from calibrations."""

from __future__ import annotations

from functools import lru_cache

from memorywall.core.errors import UnknownNameError
from memorywall.core.kernels import Kernel
from memorywall.core.plugin import find, walk


def find_kernel(name: object) -> Kernel:
    """Return a kind of kernel by its name.

    Raises:
        UnknownNameError: no file of this room, nor of an entry point, has that name.
    """
    found = _find(name) if isinstance(name, str) else None
    if found is None:
        known = tuple(kernel.name for kernel in all_kernels())
        raise UnknownNameError("kernel", name, known, f"One of {', '.join(known)}.")
    return found


@lru_cache
def _find(name: str) -> Kernel | None:
    own: Kernel | None = find(__name__, name, "KERNEL")
    if own is not None:
        return own
    return next((kernel for kernel in all_kernels() if kernel.name == name), None)


@lru_cache
def all_kernels() -> tuple[Kernel, ...]:
    """Return every kind of kernel, those of other packages last."""
    return tuple(walk(__name__, "KERNEL"))

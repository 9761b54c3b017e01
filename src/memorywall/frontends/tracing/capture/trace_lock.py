"""One trace at a time: much of what a trace sets holds for the whole process, not for a thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

_TURN = RLock()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no other thread traces or imports what traces; also a decorator.

    PyTorch's default dtype, checks of values, the fetching of kernels and Python's collector are
    set and put back by each trace. Two that interleave would leave them changed for good.
    """
    with _TURN:
        yield

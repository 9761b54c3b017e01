"""One trace at a time: a trace changes settings of the whole process, not of a thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

_TURN = RLock()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no other thread traces or imports the tracer; also a decorator.

    PyTorch's default dtype, checks of values, the fetching of kernels and Python's collector are
    set and restored by each trace. Two interleaved traces would leave them changed.
    """
    with _TURN:
        yield

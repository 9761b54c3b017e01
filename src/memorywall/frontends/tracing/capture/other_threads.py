"""Operators that a module runs in other threads, which a trace does not see."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from memorywall.core.errors import UnsupportedError


class OtherThreads:
    """The threads, started during a run, in which PyTorch's operators ran."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch every thread that Python starts meanwhile: PyTorch's modes are of one thread."""
        run = threading.Thread.run

        def run_watched(thread: threading.Thread) -> None:
            with _Notices(self.names, thread.name):
                run(thread)

        threads: Any = threading.Thread
        threads.run = run_watched
        try:
            yield
        finally:
            threads.run = run

    def refuse(self) -> None:
        """Refuse a run whose operators are not all seen.

        Raises:
            UnsupportedError: an operator ran in another thread.
        """
        if self.names:
            names = ", ".join(sorted(self.names)[:4])
            raise UnsupportedError(
                f"The module runs operators in other threads ({names}), which a trace does not "
                "follow.",
                "Run them in the thread that calls the module while it is traced.",
            )


class _Notices(TorchDispatchMode):  # type: ignore[misc]
    """Notes the name of its thread at the first operator."""

    def __init__(self, names: set[str], thread: str) -> None:
        super().__init__()
        self.names, self.thread = names, thread

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.names.add(self.thread)
        return func(*args, **(kwargs or {}))

"""Studies: one argument at length, a paper's beside what it printed or our own; one a folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from memorywall.core.errors import UnknownNameError
from memorywall.core.plugin import find, walk
from memorywall.core.study import Study


def studies() -> Iterator[Study[Any]]:
    """Yield every study, by the names of their folders."""
    yield from walk(__name__, "STUDY")


def find_study(name: str) -> Study[Any]:
    """Return a study by its name.

    Raises:
        UnknownNameError: no such study.
    """
    found: Study[Any] | None = find(__name__, name.replace("-", "_"), "STUDY")
    if found is not None:
        return found
    every = {study.name: study for study in studies()}
    if name not in every:
        raise UnknownNameError("study", name, every)
    return every[name]


def study(name: str, **options: Any) -> Any:
    """Return the answer of a study: a frozen value with ``to_dict()``.

    Args:
        name: such as ``paper`` or ``long-context``; see ``memorywall study --help``.
        options: those of its command, by keyword: ``--kv-cache`` is ``kv_cache``.

    Raises:
        UnknownNameError: no such study, or no such option of it.
        MemoryWallError: an option without effect, or a value that cannot be used.
    """
    return find_study(name).ask(**options)

"""Find the plug-ins of a room: one file, one constant.

A family, remedy or study is a module holding one constant (``FAMILY = Family(...)``). It is found
by the module of its name; the whole room, and the entry points by which other packages add to it,
are searched only on a miss or for a listing, so that start-up stays fast.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from typing import Any


def find(room: str, name: str, constant: str) -> Any | None:
    """Return the constant of the module ``name`` in a room such as ``memorywall.families``.

    None where the room has no such module.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):  # so private modules and paths are not names
        return None
    path = f"{room}.{name}"
    try:
        module = import_module(path)
    except ModuleNotFoundError as error:
        if error.name == path:
            return None
        raise
    return getattr(module, constant, None)


def walk(room: str, constant: str) -> Iterator[Any]:
    """Yield the constant of every module of a room, then those of other packages.

    Other packages declare entry points of a group of the room's name, each naming a constant.
    """
    for name in sorted(
        module.name for module in pkgutil.iter_modules(import_module(room).__path__)
    ):
        found = find(room, name, constant)
        if found is not None:
            yield found
    yield from _others(room)


@lru_cache(maxsize=64)
def _others(room: str) -> tuple[Any, ...]:
    """Return the constants of other packages for a room: installed packages are read once."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import, rarely needed

    return tuple(entry.load() for entry in sorted(entry_points(group=room)))

"""Check that no room of memorywall imports what is private to another: run by ``make contracts``.

    python tools/rooms.py

A room is a package of ``memorywall``. A module or a name that begins with an underscore is private
to its room. import-linter checks modules and not names, so this tool reads the imports.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"
PACKAGE = "memorywall"


def main() -> int:
    """Print every import of another room's private names, and return 1 if there is one."""
    found = [line for path in sorted((SOURCE / PACKAGE).rglob("*.py")) for line in breaches(path)]
    print(*found, f"{len(found)} private names imported from another room", sep="\n")
    return 1 if found else 0


def breaches(path: Path, source: Path = SOURCE) -> Iterator[str]:
    """Yield where a module imports or reads another room's private names.

    Args:
        path: of the module, below ``source``.
        source: the folder that holds the package.
    """
    place = path.relative_to(source)
    room, tree = _room(place.with_suffix("").parts), ast.parse(path.read_text(encoding="utf-8"))
    others: dict[str, str] = {}  # what was imported from other rooms, by its name here
    for name, full, line in _imported(tree):
        if _room(full.split(".")) != room:
            others[name] = full
            if _is_private(full):
                yield f"{place}:{line}: {full}"
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
            continue
        if node.value.id in others and _is_private(node.attr):
            yield f"{place}:{node.lineno}: {others[node.value.id]}.{node.attr}"


def _imported(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """Yield what imports of the package bind: its name here, its whole path, the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            paths = {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            paths = {a.asname or a.name: a.name for a in node.names}
        else:
            continue
        for name, full in paths.items():
            if full.split(".")[0] == PACKAGE:
                yield name, full, node.lineno


def _room(parts: list[str] | tuple[str, ...]) -> str:
    return parts[1] if len(parts) > 1 else ""


def _is_private(full: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in full.split("."))


if __name__ == "__main__":
    sys.exit(main())

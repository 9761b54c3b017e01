"""Rooms of the source: private names stay in theirs, and `families` holds readers only."""

from __future__ import annotations

import importlib.util
import pkgutil
from importlib import import_module
from pathlib import Path

import pytest

from memorywall.core.model import Family

_TOOL = Path(__file__).parents[2] / "tools" / "rooms.py"


def breaches(path: Path, source: Path) -> list[str]:
    spec = importlib.util.spec_from_file_location("rooms", _TOOL)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return [line.rpartition(": ")[2] for line in tool.breaches(path, source)]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("from memorywall.cost._roof import price", ["memorywall.cost._roof.price"]),
        ("from memorywall.cost import _roof", ["memorywall.cost._roof"]),
        ("from memorywall.cost.roof import _price", ["memorywall.cost.roof._price"]),
        ("import memorywall.cost._roof", ["memorywall.cost._roof"]),
        ("def f():\n    from memorywall.cost import _roof", ["memorywall.cost._roof"]),
        ("from memorywall.cost import roof\nroof._price()", ["memorywall.cost.roof._price"]),
        ("from memorywall.report._rows import row", []),  # of the same room
        ("from memorywall.cost.roof import price", []),
        ("from memorywall import __version__", []),
        ("from torch._ops import OpOverload", []),  # of another package
    ],
)
def test_private_names_of_other_rooms_are_found(
    line: str, found: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "memorywall" / "report" / "table.py"
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    assert breaches(path, tmp_path) == found


def test_families_holds_readers_only() -> None:
    room = import_module("memorywall.families")
    for module in pkgutil.iter_modules(room.__path__):
        assert isinstance(import_module(f"{room.__name__}.{module.name}").FAMILY, Family)

"""Numbers that papers print, as they print them; the first lines of each file name the source."""

from __future__ import annotations

import csv
from pathlib import Path


def read(name: str) -> list[dict[str, str]]:
    """Return the rows of ``name.csv``, every value the text that was printed."""
    lines = _lines(name)
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def source(name: str) -> str:
    """Return where the numbers of ``name.csv`` come from."""
    return " ".join(line.removeprefix("#").strip() for line in _lines(name) if line[:1] == "#")


def _lines(name: str) -> list[str]:
    return (Path(__file__).parent / f"{name}.csv").read_text(encoding="utf-8").splitlines()

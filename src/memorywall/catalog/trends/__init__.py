"""Dated numbers that trends are fitted to, one CSV per dataset, and their index."""

from __future__ import annotations

import csv
import tomllib
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

from memorywall.core.errors import UnknownNameError

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Dataset:
    """The description of a dataset file.

    Attributes:
        name: its file, without the suffix.
        title, source, licence: its content, origin and terms.
        date: of the newest state of the source in the file.
        rows: their number, including those that no series uses.
        notes: the meaning of its columns.
    """

    name: str
    title: str
    source: str
    licence: str
    date: date
    rows: int
    notes: tuple[str, ...]


@lru_cache(maxsize=1)
def datasets() -> dict[str, Dataset]:
    """Return every dataset by its name, as the index lists them."""
    entries = tomllib.loads((FOLDER / "index.toml").read_text(encoding="utf-8"))
    return {
        name: Dataset(name, **{**entry, "notes": tuple(entry["notes"])})
        for name, entry in entries.items()
    }


@lru_cache(maxsize=16)
def read(name: str) -> tuple[dict[str, str], ...]:
    """Return all rows of a dataset as text, empty for unknown numbers.

    Raises:
        UnknownNameError: there is no dataset of that name.
    """
    if name not in datasets():
        raise UnknownNameError("dataset", name, datasets())
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def used(name: str) -> list[dict[str, str]]:
    """Return the rows without a reason for exclusion."""
    return [row for row in read(name) if not row.get("excluded")]


def excluded(name: str) -> list[tuple[str, str]]:
    """Return (name, reason) of every excluded row."""
    return [(row["name"], row["excluded"]) for row in read(name) if row.get("excluded")]

"""Dated numbers that trends are fitted to, one CSV a dataset, and the index that says of what."""

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
    """What a file holds.

    Attributes:
        name: its file, without the suffix.
        title, source, licence: what, where from, and under which terms.
        date: of the source's newest state that the file holds.
        rows: how many, those that no series uses among them.
        notes: how its columns are to be read.
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
    """Return all rows of a dataset as text, an empty one where a number is not known.

    Raises:
        UnknownNameError: there is no dataset of that name.
    """
    if name not in datasets():
        raise UnknownNameError("dataset", name, datasets())
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def used(name: str) -> list[dict[str, str]]:
    """Return the rows that carry no reason for being left out."""
    return [row for row in read(name) if not row.get("excluded")]


def excluded(name: str) -> list[tuple[str, str]]:
    """Return (name, reason) of every row that is left out."""
    return [(row["name"], row["excluded"]) for row in read(name) if row.get("excluded")]

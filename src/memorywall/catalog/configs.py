"""Published model configs, keyed by hub id: the part after the slash is enough, case ignored.

Each file in ``configs/`` holds an id, other ids of the same model, the page that it was taken from,
and the config as published, without keys that do not affect shapes (token ids, labels).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "configs"


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the catalogue."""

    id: str
    aliases: tuple[str, ...]
    source: str
    config: dict[str, Any]


def config_names() -> list[str]:
    """Return the catalogue's hub ids, sorted, case ignored."""
    return sorted((entry.id for entry in entries()), key=str.casefold)


def entries() -> Iterator[Entry]:
    """Yield every entry, by file name."""
    for path in sorted(FOLDER.glob("*.json")):
        yield _read(path.stem)


def find_config(name: str) -> Entry | None:
    """Return the entry of a hub id, of an alias, or of the part after the slash; else None.

    An id with another owner is another model: ``someone/gpt2`` is not the catalogue's.
    """
    owner, slash, rest = name.casefold().rpartition("/")
    if "/" in owner or not rest:
        return None
    for stem in (rest,) if rest in _stems() else _stems():  # the file of that name, else an alias
        entry = _read(stem)
        for known in (entry.id, *entry.aliases):
            folded = known.casefold()
            if folded == name.casefold() or (not slash and folded.rpartition("/")[2] == rest):
                return entry
    return None


@lru_cache(maxsize=1)
def _stems() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


@lru_cache(maxsize=512)
def _read(stem: str) -> Entry:
    data = json.loads((FOLDER / f"{stem}.json").read_text(encoding="utf-8"))
    return Entry(data["id"], tuple(data.get("aliases", ())), data["source"], data["config"])

"""Published model configs, keyed by hub id: the part after the slash is enough, case ignored.

Each file in ``configs/`` holds an id, other ids of the same shape, the page that it was taken from,
and the config as published, without keys that do not affect shapes (token ids, labels). Its
``variants`` are published models of nearly the same config, by their ids: each lists the keys that
differ, such as ``quantization_config`` or ``max_position_embeddings``. They were taken from the
config.json of that id, or from the hf_quant_config.json beside it, as published or as copied in
ai-dynamo/aiconfigurator; lists of modules, which the files repeat for each layer, are written as
one pattern. Where no copy was at hand, the quantisation is that which its maker documents: Qwen's
AWQ and GPTQ recipes (qwen.readthedocs.io) and its fp8 in blocks of 128 x 128, as in the siblings'
files; ModelOpt's default for NVIDIA's, every linear layer but the head and the routers, with the
cache in fp8.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "configs"

# Words for the maker and the tuning of a model, which change no shape, and for one of its releases.
_MAKER = re.compile(r"^(?:meta|nvidia)[-_:]")
_TUNING = re.compile(r"[-_:](?:instruct|chat|it|pt|base|hf)(?=[-_:]|$)")
_RELEASE = re.compile(r"[-_:](?:v\d+(?:\.\d+)?|\d{4})(?=[-_:]|$)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the catalogue.

    Attributes:
        aliases: ids of models with the same config in all keys that are read.
        source: the page of the config.
        variants: the keys in which another model differs, by its id.
        note: what the config leaves out of the model, if anything.
        text_part: whether the config is that of the decoder of a model that sees images.
    """

    id: str
    aliases: tuple[str, ...]
    source: str
    config: dict[str, Any]
    variants: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    note: str = ""
    text_part: bool = False

    def variant(self, name: str) -> Entry:
        """Return a variant as a separate entry."""
        page = f"https://huggingface.co/{name}/blob/main/config.json"
        config = {**self.config, **self.variants[name]}
        return replace(self, id=name, aliases=(), source=page, config=config, variants={})


def config_names() -> list[str]:
    """Return the catalogue's hub ids, sorted, case ignored."""
    return sorted((entry.id for entry in entries()), key=str.casefold)


def known_names() -> list[str]:
    """Return every hub id that the catalogue answers: of entries, aliases and variants."""
    return [name for entry in entries() for name in (entry.id, *entry.aliases, *entry.variants)]


def entries() -> Iterator[Entry]:
    """Yield every entry, by file name."""
    for path in sorted(FOLDER.glob("*.json")):
        yield _read(path.stem)


def find_config(name: str) -> Entry | None:
    """Return the entry of a hub id, of an alias, or of the part after the slash; else None.

    An id with another owner is another model: ``someone/gpt2`` is not the catalogue's. A name
    without owner may leave out hyphens, its maker, tuning and release, and may name another tuning,
    if one entry alone fits it: ``mixtral-8x7b-instruct`` and ``mixtral8x7b`` are Mixtral-8x7B-v0.1.
    """
    owner, slash, rest = name.casefold().rpartition("/")
    if "/" in owner or not rest:
        return None
    if rest in _stems():  # the file of that name, without reading the others
        entry = _read(rest)
        if _names_of(entry, name.casefold(), rest, bare=not slash):
            return entry
    found = _ids().get(name.casefold()) if slash else _bare_names().get(rest)
    return _entry(found) if found is not None else None if slash else _by_shorthand(rest)


def _names_of(entry: Entry, whole: str, rest: str, *, bare: bool) -> bool:
    known = [one.casefold() for one in (entry.id, *entry.aliases)]
    return any(one == whole or (bare and one.rpartition("/")[2] == rest) for one in known)


def _entry(place: tuple[str, str]) -> Entry:
    stem, name = place
    entry = _read(stem)
    return entry.variant(name) if name in entry.variants else entry


def _by_shorthand(name: str) -> Entry | None:
    """Return the entry that a name means without words of tuning, then of releases."""
    plain = (_MAKER, _TUNING)
    wanted = _shortened(name, *plain)
    for words in (plain, (*plain, _RELEASE)):
        places = [
            place for known, place in _bare_names().items() if _shortened(known, *words) == wanted
        ]
        if places:
            return _entry(places[0]) if len({stem for stem, _ in places}) == 1 else None
    return None


def _shortened(name: str, *kinds: re.Pattern[str]) -> str:
    """Return a name without words of some kinds, hyphens, underscores, colons and spaces."""
    for words in kinds:
        name = words.sub("", name)
    return re.sub(r"[-_: ]", "", name)


@lru_cache(maxsize=1)
def _stems() -> frozenset[str]:
    return frozenset(path.stem for path in FOLDER.glob("*.json"))


@lru_cache(maxsize=1)
def _ids() -> dict[str, tuple[str, str]]:
    """Return the file and the id of every name with its owner, folded."""
    return {
        name.casefold(): (stem, name)
        for stem in sorted(_stems())
        for entry in (_read(stem),)
        for name in (entry.id, *entry.aliases, *entry.variants)
    }


@lru_cache(maxsize=1)
def _bare_names() -> dict[str, tuple[str, str]]:
    """Return the same without owner; entries come before variants of the same name."""
    places = sorted(_ids().values(), key=lambda place: place[1] in _read(place[0]).variants)
    bare: dict[str, tuple[str, str]] = {}
    for stem, name in places:
        bare.setdefault(name.casefold().rpartition("/")[2], (stem, name))
    return bare


@lru_cache(maxsize=1024)
def _read(stem: str) -> Entry:
    data = json.loads((FOLDER / f"{stem}.json").read_text(encoding="utf-8"))
    return Entry(
        data["id"], tuple(data.get("aliases", ())), data["source"], data["config"],
        data.get("variants", {}), data.get("note", ""), data.get("part") == "text",
    )  # fmt: skip

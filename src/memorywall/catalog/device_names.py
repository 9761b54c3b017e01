"""Names of devices as people write them: ids, titles and aliases, by one folded spelling."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from memorywall.core.errors import UnknownNameError, UnsupportedError, join_words, shown

FOLDER = Path(__file__).parent / "hardware"
# Words of vendors, which people and drivers put before the name of a product or leave out.
_VENDORS = {
    "nvidia": "NVIDIA", "geforce": "NVIDIA", "tesla": "NVIDIA", "amd": "AMD", "radeon": "AMD",
    "instinct": "AMD", "intel": "Intel", "apple": "Apple", "google": "Google",
}  # fmt: skip
_LEFT_OUT = frozenset(
    (*_VENDORS, "corporation", "edition", "generation", "gpu", "graphics", "r", "tm")
)
# Families of cards that people leave out where a number follows: 4090, 7900 xtx, a770.
_FAMILIES = ("rtx", "gtx", "rx", "arc")
_SEVERAL = re.compile(r"\s*(\d{1,6})\s*[x*\u00d7]\s*(\S.*)", re.IGNORECASE)
_LONGEST_NAME = 200
_NEAR, _MOST_NEAR = 0.5, 3


def device_names() -> list[str]:
    """Return the ids of the catalogue's devices, sorted."""
    return list(_ids())


@lru_cache(maxsize=1)
def _ids() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def resolved(name: str) -> str:
    """Return the id of a device by its id, its title, an alias or a short name.

    Case, spaces, hyphens and the words of vendors are ignored.

    Raises:
        UnsupportedError: several devices, such as ``8xh100``.
        UnknownNameError: the catalogue has no such device.
    """
    name = name[:_LONGEST_NAME]
    found = _known(name)
    if found is not None:
        return found
    several = _SEVERAL.fullmatch(name)
    alone = None if several is None else _known(several[2])
    if alone is not None:
        raise UnsupportedError(
            f"{shown(name)} names several devices, which are not supported yet.",
            f"Ask for one of them: {alone}",
        )
    near = nearest(name)
    offer = f"Did you mean {join_words(near, 'or')}? " if near else ""
    raise UnknownNameError(
        "device", name, (), f"{offer}All devices: memorywall hardware. A TOML works by its path."
    )


def folded(name: str) -> str:
    """Return the letters and digits of a name, without case and the words of vendors."""
    return "".join(word for word in _words(name) if word not in _LEFT_OUT)


def nearest(name: str) -> list[str]:
    """Return the ids whose spelling is nearest, best first; digits and the beginning weigh most."""
    from difflib import SequenceMatcher  # noqa: PLC0415 - only needed on the way to an error

    wanted = folded(name)[:40]

    def likeness(some: str, other: str) -> float:
        return SequenceMatcher(None, some, other).ratio()

    scores = []
    for known in device_names():
        spelled = folded(known)
        near = likeness(wanted, spelled)
        if near >= _NEAR or (len(wanted) > 2 and wanted in spelled):
            (letters, number), (ours, theirs) = _beginning(wanted), _beginning(spelled)
            score = near + 2 * likeness(number, theirs) + 1.5 * (letters == ours)
            scores.append((score, known))
    scores.sort(key=lambda pair: (-pair[0], pair[1]))
    return [known for _, known in scores[:_MOST_NEAR]]


def _known(name: str) -> str | None:
    folded_case = name.casefold()
    if folded_case in _ids():
        return folded_case
    written = _written()
    words = _words(name)
    known = _spellings().get("".join(words)) or _spellings().get(folded(name))
    vendors = {_VENDORS[word] for word in words if word in _VENDORS}
    return known if known is None or vendors <= {written[known].vendor} else None


@dataclass(frozen=True, slots=True)
class _Written:
    """The names in a device's file."""

    title: str
    vendor: str
    aliases: tuple[str, ...]


@lru_cache(maxsize=1)
def _written() -> dict[str, _Written]:
    found = {}
    for known in _ids():
        data = tomllib.loads((FOLDER / f"{known}.toml").read_text(encoding="utf-8"))
        found[known] = _Written(data["title"], data["vendor"], tuple(data.get("aliases", ())))
    return found


@lru_cache(maxsize=1)
def _spellings() -> dict[str, str]:
    """Return the id by every spelling that names one device alone, in full and folded.

    An id goes before an alias, an alias before a title, and a spelling without the family's word
    comes last.
    """
    written = _written()
    aliases = [(alias, known) for known, names in written.items() for alias in names.aliases]
    found: dict[str, str] = {}
    for pairs in (
        [("".join(_words(spelling)), known) for spelling, known in aliases],
        [(folded(known), known) for known in written],
        [(folded(spelling), known) for spelling, known in aliases],
        [(folded(names.title), known) for known, names in written.items()],
        [(folded(rest), known) for known in written if (rest := _without_family(known))],
    ):
        _add(found, pairs)
    return found


def _add(found: dict[str, str], pairs: Iterable[tuple[str, str]]) -> None:
    """Add spellings that are free, and leave out those that several devices claim."""
    claimed: dict[str, set[str]] = {}
    for spelling, known in pairs:
        claimed.setdefault(spelling, set()).add(known)
    for spelling, owners in claimed.items():
        if spelling and len(owners) == 1:
            found.setdefault(spelling, *owners)


def _without_family(known: str) -> str:
    first, _, rest = known.partition("-")
    return rest if first in _FAMILIES else ""


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", name.casefold())


def _beginning(spelled: str) -> tuple[str, str]:
    """Return the letters and the number with which a name begins: rtx and 4090."""
    number = re.search(r"\d+", spelled)
    return (spelled[: number.start()], number[0]) if number else (spelled, "")

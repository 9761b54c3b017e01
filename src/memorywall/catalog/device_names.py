"""Names of devices as people write them: ids, titles and aliases, by one folded spelling."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from memorywall.core.errors import UnknownNameError, UnsupportedError, join_words, shown

FOLDER = Path(__file__).parent / "hardware"
# Words that drivers and shops put around the name of a product, and that tell no two apart.
_LEFT_OUT = frozenset((
    "amd", "apple", "corporation", "edition", "geforce", "generation", "google", "gpu", "graphics",
    "instinct", "intel", "nvidia", "r", "radeon", "tesla", "tm", "vendor",
))  # fmt: skip
# Families of cards that people leave out where a number follows: 4090, 7900 xtx, a770.
_FAMILIES = ("rtx", "gtx", "rx", "arc")
_SEVERAL = re.compile(r"\s*(\d{1,6})\s*[x*\u00d7]\s*(\S.*)", re.IGNORECASE)
_LONGEST_NAME = 200
_NEAR, _MOST_NEAR = 0.5, 3


def device_names() -> list[str]:
    """Return the ids of the catalogue's devices, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


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
    words = re.findall(r"[a-z0-9]+", name.casefold())
    return "".join(word for word in words if word not in _LEFT_OUT)


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
            digits = likeness(_digits(wanted), _digits(spelled))
            scores.append((2 * digits + near + (_letters(wanted) == _letters(spelled)), known))
    scores.sort(key=lambda pair: (-pair[0], pair[1]))
    return [known for _, known in scores[:_MOST_NEAR]]


def _known(name: str) -> str | None:
    folded_case = name.casefold()
    if folded_case in device_names():
        return folded_case
    return _spellings().get(folded(name))


@lru_cache(maxsize=1)
def _spellings() -> dict[str, str]:
    """Return the id by every folded spelling that names one device alone.

    An id goes before an alias, an alias before a title, and a spelling without the family's word
    comes last.
    """
    ids = device_names()
    written: dict[str, tuple[str, list[str]]] = {}
    for known in ids:
        data = tomllib.loads((FOLDER / f"{known}.toml").read_text(encoding="utf-8"))
        written[known] = (data["title"], data.get("aliases", []))
    found: dict[str, str] = {}
    for pairs in (
        ((known, known) for known in ids),
        ((alias, known) for known in ids for alias in written[known][1]),
        ((written[known][0], known) for known in ids),
        _without_family((known, known) for known in ids),
    ):
        _add(found, pairs)
    return found


def _add(found: dict[str, str], pairs: Iterable[tuple[str, str]]) -> None:
    """Add spellings that are free, and leave out those that several devices claim."""
    claimed: dict[str, set[str]] = {}
    for spelling, known in pairs:
        claimed.setdefault(folded(spelling), set()).add(known)
    for spelling, owners in claimed.items():
        if spelling and len(owners) == 1:
            found.setdefault(spelling, *owners)


def _without_family(pairs: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    for spelling, known in pairs:
        first, _, rest = spelling.partition("-")
        if first in _FAMILIES and rest:
            yield rest, known


def _digits(spelled: str) -> str:
    return "".join(letter for letter in spelled if letter.isdigit())


def _letters(spelled: str) -> str:
    """Return the letters before the first digit."""
    return re.match(r"[a-z]*", spelled)[0]  # type: ignore[index]

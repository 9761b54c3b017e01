"""Errors with a message and a hint: the fault, and the next step of the reader."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Sequence
from itertools import islice

# A file may hold any number of keys and faults; a message and the time for it stay bounded.
_MOST_FAULTS = 20
_MOST_CANDIDATES = 2000
_LONGEST_NAME = 200
# Of near names with numbers: the least similarity of the whole and of the first word, and the part
# of the similarity that each number takes off which only one of two names has.
_LEAST_LIKE = 0.5
_LEAST_ALIKE = 0.6
_PER_NUMBER = 0.08
_NUMBER = re.compile(r"\d+(?:\.\d+)?[a-z]?")
_LETTERS = re.compile(r"[^\W\d_]+")


class MemoryWallError(Exception):
    """A fault that the user can correct.

    ``message`` gives the offender, the place, the requirement and the value; ``hint`` is the next
    step. The command prints both and exits with 2.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UnknownNameError(MemoryWallError):
    """An unknown name; the hint lists similar names."""

    def __init__(self, what: str, name: object, known: Iterable[str], hint: str = "") -> None:
        near = near_names(str(name), known)
        offer = f"Did you mean {join_words(near, 'or')}?" if near else ""
        super().__init__(
            f"{what} {shown(name)} is not known.", " ".join(filter(None, (offer, hint)))
        )


class InvalidInputError(MemoryWallError):
    """A value, a file or a set of options that cannot be used as given."""


class UnsupportedError(MemoryWallError):
    """A valid question that the program does not support."""


class UncoveredError(UnsupportedError):
    """A part of an architecture that its family does not support; transformers' class may."""


class MissingDependencyError(MemoryWallError):
    """A required optional library is not installed."""

    def __init__(self, library: str, extra: str, purpose: str, hint: str = "") -> None:
        super().__init__(
            f"{purpose} requires {library}, which is not installed.",
            f"Install it with: pip install 'memorywall[{extra}]'{hint}",
        )


def invalid_file(where: str, faults: Sequence[str], hint: str = "") -> InvalidInputError:
    """One error that lists every fault found in one file or mapping."""
    if len(faults) == 1:
        return InvalidInputError(f"{where}: {faults[0]}", hint)
    listing = "\n".join(f"  - {fault}" for fault in faults[:_MOST_FAULTS])
    if len(faults) > _MOST_FAULTS:
        listing += f"\n  and {len(faults) - _MOST_FAULTS} more"
    return InvalidInputError(f"{where}: {len(faults)} faults\n{listing}", hint)


def near_names(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return the known names closest to ``name``, best first, in their own spelling.

    Names are compared without their owner. Where the name has numbers, sizes and versions weigh:
    ``llama-3.1-8b-instrct`` is near no model of another name, and nearest to one of its size.
    """
    import difflib  # noqa: PLC0415 - only needed on the way to an error

    candidates = (c for c in islice(known, _MOST_CANDIDATES) if len(c) <= _LONGEST_NAME)
    spelling = {candidate.casefold(): candidate for candidate in candidates}
    wanted = name[:_LONGEST_NAME].casefold()
    # "h100" is nearest to names that contain it, regardless of their length; names that begin with
    # it come first, without the owner.
    holding = [folded for folded in sorted(spelling) if len(wanted) > 2 and wanted in folded]
    holding.sort(key=lambda folded: not _without_owner(folded).startswith(wanted))
    if any(character.isdigit() for character in wanted):
        close = _close_by_numbers(_without_owner(wanted), spelling)
    else:
        close = difflib.get_close_matches(wanted, spelling, n=count, cutoff=0.5)
    ranked = list(dict.fromkeys(holding[:count] + close))
    return [spelling[folded] for folded in ranked[:count]]


def _close_by_numbers(wanted: str, known: Iterable[str]) -> list[str]:
    """Return the names that begin with a similar word, those with the same numbers first."""
    from difflib import SequenceMatcher  # noqa: PLC0415 - only needed on the way to an error

    numbers, word = _numbers(wanted), _first_word(wanted)
    letters, whole = SequenceMatcher(b=word), SequenceMatcher(b=wanted)
    scores: dict[str, float] = {}
    for folded in known:
        plain = _without_owner(folded)
        letters.set_seq1(_first_word(plain))
        whole.set_seq1(plain)
        if whole.quick_ratio() < _LEAST_LIKE or (word and letters.ratio() < _LEAST_ALIKE):
            continue
        differing = len(numbers ^ _numbers(plain))
        score = whole.ratio() - _PER_NUMBER * differing
        if score >= _LEAST_LIKE:
            scores[folded] = score
    best = max(scores.values(), default=0)
    near = [folded for folded, score in scores.items() if score >= best - _PER_NUMBER]
    return sorted(near, key=lambda folded: (-scores[folded], folded))


def _without_owner(name: str) -> str:
    return name.rpartition("/")[2]


def _numbers(name: str) -> frozenset[str]:
    """Return the sizes and versions in a name: ``3.1`` and ``8b``."""
    return frozenset(_NUMBER.findall(name))


def _first_word(name: str) -> str:
    """Return the letters that a name begins with."""
    found = _LETTERS.match(name)
    return found[0] if found else ""


def join_words(words: Sequence[str], last: str = "and") -> str:
    """Join words as a sentence does: 'a, b and c'."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def printable(text: str, limit: int = 120) -> str:
    """Return external text as one short line without control characters."""
    return "".join(c if c.isprintable() else "?" for c in text[:limit])


def visible(text: str) -> str:
    """Return text of any length and any lines without characters that steer a terminal.

    Escape sequences recolour or overwrite a terminal, and bidirectional controls reorder what it
    shows; names of paths, modules and devices may contain both, and so may configs.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t\u00a0" else "?" for c in text)


def shown(value: object, limit: int = 80) -> str:
    """Return a value as an error shows it: quoted, on one line, never longer than ``limit``."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**30:
        return f"a whole number of {value.bit_length()} bits"
    text = _REPR.repr(value)  # which neither walks down a deep nest nor spells out a long list
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 80

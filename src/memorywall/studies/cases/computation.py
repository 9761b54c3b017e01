"""Public measurements beside ours, each asked as a user would ask it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, cast

from memorywall.answer.analyze import analyze
from memorywall.catalog.published import read
from memorywall.core.comparison import half_unit
from memorywall.core.errors import InvalidInputError, MemoryWallError
from memorywall.core.parameters import PARAMETERS
from memorywall.core.units import parse
from memorywall.studies.cases.findings import Case, Cases, Relation, Reported, Verdict

WORDS = (
    "phase", "batch_size", "seq_len", "new_tokens", "weights", "kv_cache", "activations",
)  # fmt: skip
# A count of bytes or weights is the same on every device.
_ANY_DEVICE = "h100-sxm"
_TOLERANCE = 0.01
_TEXT = re.compile(r"(?P<number>[0-9.]+(e[0-9]+)?) ?(?P<unit>[A-Za-z/]*)")
_RATES = ("tokens/s", "images/s")


def reported_cases() -> list[Reported]:
    """Return the measurements of the catalogue, in the order of the file."""
    return [
        Reported(
            row["model"],
            row["on"],
            {word: row[word] for word in WORDS if row[word]},
            row["quantity"],
            cast("Relation", row["ours_is"]),
            row["reported"],
            row["engine"],
            row["source"],
            row["reason"],
        )
        for row in read("cases")
    ]


def compute_cases(models: Sequence[str], progress: Callable[[int, int], object]) -> Cases:
    """Return every measurement beside ours.

    Args:
        models: the models to compare; empty for all.
        progress: called with the number of cases that are done, and of all.

    Raises:
        InvalidInputError: no case is of one of the models.
    """
    asked = reported_cases()
    known = {case.model for case in asked}
    for model in models:
        if model not in known:
            raise InvalidInputError(
                f"no public case is of the model {model}",
                f"Cases are of {', '.join(sorted(known))}.",
            )
    chosen = [case for case in asked if not models or case.model in models]
    cases = []
    for number, case in enumerate(chosen, start=1):
        cases.append(beside_ours(case))
        progress(number, len(chosen))
    return Cases(tuple(cases))


def beside_ours(case: Reported) -> Case:
    """Return a measurement with ours and the verdict."""
    reported, half = in_base_units(case.text)
    try:
        ours = _ours(case)
    except MemoryWallError as error:
        return Case(case, reported, None, "not answered", error.message)
    return Case(case, reported, ours, _judge(case.ours_is, reported, half, ours))


def in_base_units(text: str) -> tuple[float, float]:
    """Return a printed number in base units, and half a unit of its last digit.

    ``4352.00 MiB`` is 4,563,402,752 byte, give or take 5,242.88.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise InvalidInputError(f"a case must have a number and a unit, got {text!r}")
    number, unit = found["number"], found["unit"]
    one = 1.0
    if unit and unit not in _RATES:
        one = parse(f"1 {unit}", "byte" if unit.endswith("B") else "s")
    return float(number) * one, half_unit(number) * one


def _ours(case: Reported) -> float:
    # A bound is one of the data sheet's.
    words: dict[str, Any] = {} if case.ours_is == "equal" else {"ceilings": "spec"}
    words |= {
        name: int(word) if PARAMETERS[name].kind in ("count", "length") else word
        for name, word in case.words.items()
    }
    answer = analyze(case.model, on=case.device or _ANY_DEVICE, **words)
    return float(answer.quantity(case.quantity).value)


def _judge(ours_is: Relation, reported: float, half: float, ours: float) -> Verdict:
    """Judge ours by the printed number, ``half`` of whose last digit is unknown."""
    if ours_is == "equal":
        if abs(ours - reported) <= half * (1 + 1e-9):
            return "agrees"
        return "within 1 %" if abs(ours / reported - 1) <= _TOLERANCE else "misses"
    bounded = ours >= reported - half if ours_is == "at most" else ours <= reported + half
    return "holds" if bounded else "misses"

"""Measurements in, tables of errors of the shipped predictions out; one file a kind."""

from __future__ import annotations

from memorywall.core.errors import UnknownNameError
from memorywall.core.plugin import find, walk
from memorywall.validate.errors import Validator


def all_validators() -> list[Validator]:
    """Return the validators of every kind of prediction."""
    return list(walk(__name__, "VALIDATOR"))


def find_validator(name: str) -> Validator:
    """Return a validator by its name.

    Raises:
        UnknownNameError: there is none of that name.
    """
    found: Validator | None = find(__name__, name, "VALIDATOR")
    if found is None:
        known = [validator.name for validator in all_validators()]
        raise UnknownNameError("validation", name, known, f"One of {', '.join(known)}, or all.")
    return found

"""Families: a model's config in, blocks of operators out. One family a file, holding ``FAMILY``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from memorywall.core.model import Family
from memorywall.core.plugin import find, walk


def families() -> Iterator[Family]:
    """Yield every family, those of other packages last."""
    yield from walk(__name__, "FAMILY")


def family_of(model_type: str) -> Family | None:
    """Return the family that reads a ``model_type``, or None."""
    namesake = cast("Family | None", find(__name__, model_type, "FAMILY"))
    if namesake is not None and model_type in namesake.model_types:
        return namesake
    return next((family for family in families() if model_type in family.model_types), None)

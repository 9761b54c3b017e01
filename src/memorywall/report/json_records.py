"""Answers for machines: JSON."""

from __future__ import annotations

import json
from typing import Any


def to_json(record: Any) -> str:
    """Return a record as JSON, two spaces deep; every number in it is finite."""
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    # Controls, which steer a terminal, stay escapes; so does half a pair of surrogates, which is
    # not valid UTF-8.
    return text if text.isascii() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    plain = character.isprintable() or character == "\n"
    return character if plain else json.dumps(character)[1:-1]

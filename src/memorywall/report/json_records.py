"""Answers for machines: JSON."""

from __future__ import annotations

import json
from typing import Any


def to_json(record: Any) -> str:
    """Return a record as JSON, two spaces deep; every number in it is finite."""
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    # Half a pair of surrogates, which a config may hold, is not valid UTF-8: it stays an escape.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")

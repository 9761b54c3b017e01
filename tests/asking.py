"""Many models asked alike: parameters without effect on one of them are left out."""

from __future__ import annotations

from typing import Any

import memorywall as mw
from memorywall.answer.settle import applicable


def analyze_alike(model: Any, *, on: Any, phase: str | None = None, **words: Any) -> mw.Analysis:
    """Return ``mw.analyze`` with those parameters that have an effect on the model."""
    loaded = mw.model(model)
    return mw.analyze(loaded, on=on, phase=phase, **applicable(loaded, phase, words))

"""Programs behind an answer, for tests of operators before fusion."""

from __future__ import annotations

import memorywall as mw
from memorywall.core.program import Program


def unfused(answer: mw.Analysis) -> Program:
    """Return the operators of the first execution of an answer's last pass."""
    question = answer.question
    return question.model.lower(question.forward(answer.passes[-1]))

"""Common helpers of the tests of training."""

from __future__ import annotations

from typing import Any

import memorywall as mw


def train(source: Any, *inputs: Any, **words: Any) -> mw.Traced:
    return mw.trace(source, *inputs, phase="train", **words)


def training_memory(source: Any, *inputs: Any, **words: Any) -> mw.TrainingMemory:
    memory = train(source, *inputs, **words).memory
    assert memory is not None
    return memory

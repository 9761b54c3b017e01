"""Counts in tests: FLOPs of operators, and calls of functions where work must stay small."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import memorywall as mw

_SOURCE = str(Path(mw.__file__).parent)
PRODUCTS = ("gemm", "attention", "conv")


def products(counted: mw.Analysis | mw.Traced, kinds: Collection[str] = PRODUCTS) -> Any:
    """Return the FLOPs of matrix products and convolutions, or of other kinds of operators.

    An answer lists each operator with all of its executions, a traced program once with a count.
    """
    if isinstance(counted, mw.Traced):
        return sum(op.flops * n for _, op, n in counted.program.walk() if op.kind in kinds)
    return sum(op.flops for op in counted.ops if op.kind in kinds)


@dataclass
class Calls:
    """The number of calls of this library's functions."""

    count: int = 0


@contextlib.contextmanager
def python_calls() -> Iterator[Calls]:
    """Count the calls of this library's functions: work, which no busy machine changes.

    Imports are not counted, so that the first call does as much as any other.
    """
    calls = Calls()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_name != "<module>":
            calls.count += frame.f_code.co_filename.startswith(_SOURCE)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(before)

"""Decode steps at many positions from traces of three: shapes that grow evenly.

Between two positions every length and every count of FLOPs of a step grows by as much for each
position; a third trace, in the middle, must lie on that line to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from memorywall.core.errors import UnsupportedError
from memorywall.core.numbers import Array, Number
from memorywall.core.program import Block, Op, Program
from memorywall.core.tensors import Tensor


def between(positions: Array, trace: Callable[[int], Program]) -> Program:
    """Return the program of decode steps at an array of past positions.

    Raises:
        UnsupportedError: the work does not grow evenly, as past a window it does not.
    """
    low, high = int(positions.min()), int(positions.max())
    if low == high:
        return trace(low)
    share = (positions - low) / (high - low)
    ends = trace(low), trace(high)
    middle = (low + high) // 2
    found = _measures(_grown(*ends, np.asarray((middle - low) / (high - low))))
    if not _alike(*ends) or not np.allclose(found, _measures(trace(middle)), rtol=1e-12):
        raise UnsupportedError(
            f"Between {low + 1} and {high + 1} positions the steps of what is traced do not grow "
            "evenly, as with a window.",
            "Ask for one decode step at a time: --phase decode --seq N.",
        )
    return _grown(*ends, share)


def _alike(low: Program, high: Program) -> bool:
    """Tell whether two programs run the same operators on arrays of as many axes."""
    return _looks(low) == _looks(high)


def _looks(program: Program) -> list[object]:
    return [
        (path, op.kind, repeat, [(t.name, len(t.shape)) for t in op.reads + op.writes])
        for path, op, repeat in program.walk()
    ]


def _measures(program: Program) -> list[float]:
    return [float(n) for _, op, _ in program.walk() for n in (op.flops, op.moved_bytes)]


def _grown(low: Program, high: Program, share: Array) -> Program:
    """Return the program that lies at a share of the way from one to another."""
    blocks = zip(low.blocks, high.blocks, strict=False)
    return Program(tuple(_block(*pair, share) for pair in blocks))


def _block(low: Block, high: Block, share: Array) -> Block:
    ops = zip(low.ops, high.ops, strict=False)
    return Block(low.name, tuple(_op(*pair, share) for pair in ops), low.repeat, low.shared)


def _op(low: Op, high: Op, share: Array) -> Op:
    return Op(
        low.name, low.kind, _line(low.flops, high.flops, share),
        tuple(_tensors(low.reads, high.reads, share)),
        tuple(_tensors(low.writes, high.writes, share)), low.dtype, low.function, low.queries,
    )  # fmt: skip


def _tensors(low: tuple[Tensor, ...], high: tuple[Tensor, ...], share: Array) -> Iterator[Tensor]:
    for a, b in zip(low, high, strict=False):
        shape = tuple(_line(m, n, share) for m, n in zip(a.shape, b.shape, strict=False))
        touched = a.touched
        if a.touched is not None and b.touched is not None:
            touched = tuple(_line(m, n, share) for m, n in zip(a.touched, b.touched, strict=False))
        yield Tensor(a.name, shape, a.format, a.role, touched)


def _line(low: Number, high: Number, share: Array) -> Number:
    """Return what lies between two numbers; one that does not change stays whole."""
    return low if low is high or low == high else low + (high - low) * share

"""Convert a traced program of PyTorch's operators into the operators that an engine runs.

PyTorch runs a norm as eight operators, and copies tensors that a kernel would read in place. Three
steps, after which ``fuse`` applies as it does to any program:

1. ``read_through``: readers of a copy read its source, and new keys and values are written directly
    into the cache.
2. ``keep_states``: a state is written by the operator that computes it, without initial zeros.
3. ``group``: the elementwise and row-wise operators of one module become one operator.
"""

from __future__ import annotations

from memorywall.core.program import Program
from memorywall.passes._group import group
from memorywall.passes._states import keep_states
from memorywall.passes._through import read_through
from memorywall.passes.excess import Excess
from memorywall.passes.fuse import fuse


def fuse_traced(program: Program) -> tuple[Program, Excess]:
    """Return a traced program as engines run it, and the bytes that this saves.

    The bytes before equal the bytes after plus the saved bytes, which are listed by class of
    operators and cause.
    """
    excess = Excess()
    grouped = group(keep_states(read_through(program, excess), excess), excess)
    fused = fuse(grouped)
    for before, after in zip(grouped.blocks, fused.blocks, strict=True):
        for op, left in zip(before.ops, after.ops, strict=True):
            saved = (op.moved_bytes - left.moved_bytes) * before.repeat
            excess.add(op.kind, "stays on chip", saved)
    return fused, excess

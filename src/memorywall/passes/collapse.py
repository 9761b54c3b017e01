"""A traced program as an engine would run it: PyTorch's operators made into those of a model.

PyTorch runs a norm as eight operators, and copies where a kernel would read what is there. Three
steps, after which ``fuse`` applies as it does to any program:

1. ``read_through``: whoever reads a copy reads what was copied, and new keys and values are written
   where the cache is.
2. ``keep_states``: a state is written by what makes it, and does not begin with zeros written.
3. ``group``: what one module does element by element, and along rows, is one operator.
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

    What is moved before is exactly what is moved after and all that is saved, which is told by
    class of operators and cause.
    """
    excess = Excess()
    grouped = group(keep_states(read_through(program, excess), excess), excess)
    fused = fuse(grouped)
    for before, after in zip(grouped.blocks, fused.blocks, strict=True):
        for op, left in zip(before.ops, after.ops, strict=True):
            saved = (op.moved_bytes - left.moved_bytes) * before.repeat
            excess.add(op.kind, "stays on chip", saved)
    return fused, excess

"""State as engines keep it: without initial zeros, written by the operator that computes it."""

from __future__ import annotations

from dataclasses import replace

from memorywall.core.program import Block, Op, Program
from memorywall.core.tensors import Tensor
from memorywall.passes.excess import Excess

_COPIES = ("copy", "cast")
_BEGUN = "zeros of a state"
_WINDOW = "window of a convolution"


def keep_states(program: Program, excess: Excess) -> Program:
    """Return a program without the initial zeros of states and without copies into windows."""
    begun = {t.name for _, op, _ in program.walk() if op.function == "fill" for t in _states(op)}
    blocks = []
    for block in program.blocks:
        ops = _with_windows(_without_zeros(block, begun, excess), block.repeat, excess)
        blocks.append(replace(block, ops=tuple(ops)))
    return Program(tuple(blocks), program.returned)


def _states(op: Op) -> list[Tensor]:
    return [tensor for tensor in op.writes if tensor.role == "state"]


def _without_zeros(block: Block, begun: set[str], excess: Excess) -> list[Op]:
    """Remove the operators that fill a state, and the reads of a state that begins in this pass."""
    ops = []
    for op in block.ops:
        if op.function == "fill" and _states(op):
            excess.add(op.kind, _BEGUN, op.moved_bytes * block.repeat)
            continue
        reads = tuple([tensor for tensor in op.reads if tensor.name not in begun])
        kept = op.moving(reads, op.writes)
        excess.add(op.kind, _BEGUN, (op.moved_bytes - kept.moved_bytes) * block.repeat)
        ops.append(kept)
    return ops


def _with_windows(ops: list[Op], repeat: int, excess: Excess) -> list[Op]:
    """Make a convolution write the window that is copied from its input for the next token."""
    convolved = {tensor.name for op in ops if op.kind == "conv" for tensor in op.reads}
    windows: dict[str, Tensor] = {}
    kept = []
    for op in ops:
        source = op.reads[0].name if op.reads else ""
        if op.function in _COPIES and _states(op) and source in convolved:
            windows[source] = op.writes[0]
            excess.add(op.kind, _WINDOW, op.moved_bytes * repeat)
        elif op.kind == "conv" and op.reads[0].name in windows:
            window = windows[op.reads[0].name]
            kept.append(op.moving(op.reads, (*op.writes, window)))
            excess.add(op.kind, _WINDOW, -window.moved_bytes * repeat)
        else:
            kept.append(op)
    return kept

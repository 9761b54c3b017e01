"""Fusing as engines do it: what need not leave the chip is neither written nor read.

The scores of attention stay on chip from Q K^T to P V. An elementwise operator (rotary, activation,
residual add) rides on the operator that produced its input: that input is not moved, and whatever
else the rider reads and writes becomes traffic of its host. Cached latents, which are keys and
values at once, are read once. FLOPs stay where they were. What is left out: norms fused into their
neighbours, and keys read again when queries do not fit on chip.
"""

from __future__ import annotations

from dataclasses import replace

from memorywall.core.program import Block, Op, Program
from memorywall.core.tensors import Tensor

# Intermediates that attention keeps on chip: what flows between operators of these kinds.
_ON_CHIP = {("attention", "softmax"), ("softmax", "attention")}


def fuse(program: Program) -> Program:
    """Return the program with every block fused; it never moves more bytes than before."""
    readers: dict[str, int] = {}
    for block in program.blocks:
        for op in block.ops:
            for tensor in op.reads:
                readers[tensor.name] = readers.get(tensor.name, 0) + 1
    return Program(tuple([_fuse_block(block, readers) for block in program.blocks]))


def _fuse_block(block: Block, readers: dict[str, int]) -> Block:
    """Fuse one block; ``readers`` counts how many operators of the program read each tensor."""
    fused: list[Op] = []
    maker: dict[str, int] = {}  # which operator's traffic holds the writing of an activation
    attended: set[str] = set()  # caches that the scores were made from
    for index, op in enumerate(block.ops):
        host, kept = index, op.reads
        if op.kind == "attention":
            kept = tuple([tensor for tensor in kept if tensor.name not in attended])
            attended.update([tensor.name for tensor in kept if tensor.role == "kv_cache"])
        for tensor in op.reads:
            # Made earlier in this repetition, and read by this operator alone?
            made = maker.get(tensor.name) if readers[tensor.name] == 1 else None
            if made is None:
                continue
            rides = op.kind == "elementwise"
            if rides or (fused[made].kind, op.kind) in _ON_CHIP:
                fused[made].writes = _without(fused[made].writes, tensor)
                kept = _without(kept, tensor)
                if rides:
                    host = made if host == index else max(host, made)
        if host == index:
            fused.append(Op(op.name, op.kind, op.flops, kept, op.writes, op.dtype, op.function))
        else:
            fused[host].reads += kept
            fused[host].writes += op.writes
            fused.append(Op(op.name, op.kind, op.flops, (), (), op.dtype, op.function))
        for tensor in op.writes:
            if tensor.role == "activation":
                maker[tensor.name] = host
    return replace(block, ops=tuple(fused))


def _without(tensors: tuple[Tensor, ...], dropped: Tensor) -> tuple[Tensor, ...]:
    return tuple([tensor for tensor in tensors if tensor.name != dropped.name])

"""Fuse operators as engines do: tensors that stay on chip are neither written nor read.

The scores of attention stay on chip from Q K^T to P V. An elementwise operator (rotary, activation,
residual add) is fused into the operator that produced its input: that input is not moved, and the
other reads and writes of the fused operator become traffic of its host. Cached latents, which are
keys and values at once, are read once by an attention. FLOPs stay with their operators. Not
modelled: norms fused into their neighbours, and keys read again when queries do not fit on chip.
"""

from __future__ import annotations

from dataclasses import replace

from memorywall.core.program import Block, Op, Program
from memorywall.core.tensors import Tensor

# Intermediates that attention keeps on chip: tensors between operators of these kinds.
_ON_CHIP = {("attention", "softmax"), ("softmax", "attention")}
_OF_ATTENTION = frozenset(("attention", "softmax", "elementwise"))
_NONE: frozenset[str] = frozenset()


def fuse(program: Program) -> Program:
    """Return the program with every block fused; its bytes never increase."""
    return _fused(program, rides=True)


def fuse_attention(program: Program) -> Program:
    """Return the program with scores on chip, and every elementwise operator apart.

    That is how eager engines run: a feed-forward writes its gate, its other half and their product.
    """
    return _fused(program, rides=False)


def _fused(program: Program, *, rides: bool) -> Program:
    readers: dict[str, int] = {}
    for block in program.blocks:
        for op in block.ops:
            for tensor in op.reads:
                readers[tensor.name] = readers.get(tensor.name, 0) + 1
    returned = program.returned
    blocks = tuple([_fuse_block(block, readers, returned, rides) for block in program.blocks])
    return Program(blocks, returned)


def _fuse_block(
    block: Block, readers: dict[str, int], returned: frozenset[str], ride: bool
) -> Block:
    """Fuse one block; ``readers`` counts the operators of the program that read each tensor.

    ``ride``: whether elementwise operators are fused into those that made their inputs.

    Tensors in ``returned`` are written; operators fused after them do not read them again.
    """
    fused: list[Op] = []
    maker: dict[str, int] = {}  # the operator whose traffic includes the write of an activation
    behind: dict[str, frozenset[str]] = {}  # caches that scores were made from
    for index, op in enumerate(block.ops):
        host, kept = index, _unread(op, behind)
        for tensor in op.reads:
            # Written earlier in this repetition, and read by this operator alone?
            made = maker.get(tensor.name) if readers[tensor.name] == 1 else None
            if made is None:
                continue
            rides = ride and op.kind == "elementwise"
            if rides or (fused[made].kind, op.kind) in _ON_CHIP:
                if tensor.name not in returned:
                    fused[made].writes = _without(fused[made].writes, tensor)
                kept = _without(kept, tensor)
                if rides:
                    host = made if host == index else max(host, made)
        if host == index:
            fused.append(op.moving(kept, op.writes))
        else:
            fused[host].reads += kept
            fused[host].writes += op.writes
            fused.append(op.moving((), ()))
        for tensor in op.writes:
            if tensor.role == "activation":
                maker[tensor.name] = host
    return replace(block, ops=tuple(fused))


def _unread(op: Op, behind: dict[str, frozenset[str]]) -> tuple[Tensor, ...]:
    """Return the reads of an operator, except the caches from which its scores were computed.

    ``behind`` maps every activation to those caches, and is updated here. If only the size of a
    cache's part is known, the values may be another part.
    """
    if op.kind not in _OF_ATTENTION:
        return op.reads
    found = [behind[tensor.name] for tensor in op.reads if tensor.name in behind]
    attended = found[0].union(*found[1:]) if found else _NONE
    kept = op.reads
    if op.kind == "attention":
        if attended:
            kept = tuple([tensor for tensor in kept if tensor.name not in attended])
        caches = [t.name for t in op.reads if t.role == "kv_cache" and t.is_placed]
        attended = attended.union(caches) if caches else attended
    if attended:
        behind.update([(tensor.name, attended) for tensor in op.writes])
    return kept


def _without(tensors: tuple[Tensor, ...], dropped: Tensor) -> tuple[Tensor, ...]:
    return tuple([tensor for tensor in tensors if tensor.name != dropped.name])

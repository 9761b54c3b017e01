"""Formats of the weights of a program, where a checkpoint states them for each of its layers.

A block is one run of operators for all of its layers. Where layers are stored in different formats
it is split: each part holds the layers that are stored alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from memorywall.core.formats import Format, arithmetic_of
from memorywall.core.forward import Forward
from memorywall.core.geometry import Experts, Gemm, Geometry, Idle
from memorywall.core.program import Block, Op, Program
from memorywall.core.storage import Storage
from memorywall.core.tensors import Tensor


def store(storage: Storage, op: str, geometry: Geometry, reads: tuple[Tensor, ...]) -> None:
    """Give the weights that an operator reads the formats that they have in every layer."""
    for tensor, format_ in _formats(storage, op, geometry, reads, None):
        tensor.format = format_


def product_arithmetic(forward: Forward, geometry: Geometry, reads: tuple[Tensor, ...]) -> str:
    """Return the arithmetic of an operator: of a linear layer whose weights are quantised, theirs.

    Those in the format of the rest are not quantised; attention has no weights.
    """
    if forward.linear and isinstance(geometry, Gemm | Experts):
        storage = forward.storage
        for tensor in reads:
            if tensor.role == "weight" and geometry.is_factor(tensor.axes):
                name = forward.linear if storage is None else storage.computes_in(tensor.format)
                return name or arithmetic_of(forward.activations)
    return arithmetic_of(forward.activations)


def split_layers(program: Program, storage: Storage, forward: Forward) -> Program:
    """Return a program in which layers that are stored differently are separate blocks.

    The part with the most layers keeps the name of its block; the others have the number of their
    first layer behind it.
    """
    blocks: list[Block] = []
    for block in program.blocks:
        blocks += _split(block, storage, forward)
    return Program(tuple(blocks), program.returned)


def _split(block: Block, storage: Storage, forward: Forward) -> list[Block]:
    if block.shared or len(block.layers) != block.repeat:
        return [block]
    alike: dict[tuple[Format, ...], list[int]] = {}
    for layer in block.layers:
        formats = tuple(format_ for op in block.ops for _, format_ in _of_layer(op, storage, layer))
        alike.setdefault(formats, []).append(layer)
    most = max(len(layers) for layers in alike.values())
    parts: list[Block] = []
    for layers in alike.values():
        is_main = len(layers) == most
        most = most if not is_main else len(block.layers) + 1  # one part keeps the name
        name = block.name if is_main else f"{block.name}_{layers[0]}"
        parts.append(_part(block, storage, forward, name, layers))
    return parts


def _part(block: Block, storage: Storage, forward: Forward, name: str, layers: list[int]) -> Block:
    """Return the layers of a block that are stored as the first of them, under a name."""
    stored = {
        id(tensor): format_
        for op in block.ops
        for tensor, format_ in _of_layer(op, storage, layers[0])
    }
    known: dict[int, Tensor] = {}

    def renamed(path: str) -> str:
        return name + path[len(block.name) :] if path.startswith(f"{block.name}.") else path

    def own(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the part's own tensors for those of the block."""
        for tensor in tensors:
            if id(tensor) not in known:
                known[id(tensor)] = replace(
                    tensor,
                    name=renamed(tensor.name),
                    format=stored.get(id(tensor), tensor.format),
                    _resident=None,
                )
        return tuple([known[id(tensor)] for tensor in tensors])

    def moved(op: Op) -> Op:
        made = op.moving(own(op.reads), own(op.writes))
        if forward.linear:
            made.dtype = product_arithmetic(forward, made.geometry, made.reads)
        return made

    return replace(
        block,
        name=name,
        ops=tuple([moved(op) for op in block.ops]),
        repeat=len(layers),
        own=frozenset(map(renamed, block.own)),
        held={renamed(array): number for array, number in block.held.items()},
        layers=tuple(layers),
    )


def _of_layer(op: Op, storage: Storage, layer: int) -> Iterator[tuple[Tensor, Format]]:
    return _formats(storage, op.name, op.geometry, op.reads, layer)


def _formats(
    storage: Storage, op: str, geometry: Geometry, reads: tuple[Tensor, ...], layer: int | None
) -> Iterator[tuple[Tensor, Format]]:
    """Yield the weights that an operator reads, each with the format that it is stored in."""
    runs = geometry.of if isinstance(geometry, Idle) else geometry  # a skipped one is stored too
    product = runs if isinstance(runs, Gemm | Experts) else None
    for tensor in reads:
        if tensor.role == "weight":
            # A tied head multiplies by the table of words.
            is_tied = tensor.axes[0][0] == "vocab" and op not in tensor.name
            yield (
                tensor,
                storage.format_of(
                    op,
                    tensor.name,
                    is_matrix=product is not None and product.is_factor(tensor.axes),
                    is_table=geometry.kind == "embedding" or is_tied,
                    layer=layer,
                ),
            )

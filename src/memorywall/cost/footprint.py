"""The memory that is resident at once: weights, cache, state, and the peak of live activations."""

from __future__ import annotations

from collections.abc import Iterator

from memorywall.core.hardware import Hardware
from memorywall.core.numbers import Number, maximum
from memorywall.core.program import Block, Program
from memorywall.core.results import Footprint
from memorywall.core.training import TrainingMemory


def footprint(program: Program, hardware: Hardware) -> Footprint:
    """Return the memory that one run of a program needs on a device."""
    kept = program.resident_bytes()
    return Footprint(
        weights=kept.get("weight", 0) + kept.get("buffer", 0),
        kv_cache=kept.get("kv_cache", 0),
        activations=peak_activations(program),
        capacity=hardware.usable,
        state=kept.get("state", 0),
    )


def training_footprint(memory: TrainingMemory, hardware: Hardware) -> Footprint:
    """Return the memory of a training step at its peak; inputs and temporaries are activations."""
    peak = memory.at_peak
    return Footprint(
        weights=peak["weights"] + peak["buffers"],
        kv_cache=0,
        activations=peak["inputs"] + peak["activations"] + peak["temporaries"],
        capacity=hardware.usable,
        gradients=peak["gradients"],
        optimizer_states=peak["optimizer_states"],
    )


def peak_activations(program: Program) -> Number:
    """Return the most bytes of activations alive at any operator."""
    peak: Number = 0
    for total in totals_alive(program):
        peak = maximum(peak, total)
    return peak


def totals_alive(program: Program) -> Iterator[Number]:
    """Yield the bytes of activations alive at operators, from the last back, wherever they grow.

    Liveness as in a compiler, from the last operator back: a tensor is alive from the operator that
    writes it to the last that reads it. Tensors that a block reads from an earlier one stay alive
    while the block repeats, since every repetition reads them.
    """
    live: dict[str, Number] = {}
    for block in reversed(program.blocks):
        if block.repeat > 1:
            live = live | _taken_in(block)
        yield from _walk_back(block, live)


def _taken_in(block: Block) -> dict[str, Number]:
    """Return the activations that a block reads before it writes them, with their bytes."""
    made: set[str] = set()
    taken: dict[str, Number] = {}
    for op in block.ops:
        for tensor in op.reads:
            if tensor.role == "activation" and tensor.name not in made:
                taken[tensor.name] = tensor.resident_bytes
        made.update([tensor.name for tensor in op.writes])
    return taken


def _walk_back(block: Block, live: dict[str, Number]) -> Iterator[Number]:
    """Yield the bytes alive within a block; ``live``, after it, becomes what is alive before it."""
    total: Number = sum(live.values(), 0)
    yield total
    for op in reversed(block.ops):
        grown = False
        for tensor in op.writes + op.reads:
            if tensor.role == "activation" and tensor.name not in live:
                live[tensor.name] = size = tensor.resident_bytes
                total, grown = total + size, True
        if grown:
            yield total
        read = [tensor.name for tensor in op.reads]
        for tensor in op.writes:
            if tensor.name in live and tensor.name not in read:
                total = total - live.pop(tensor.name)

"""Common parts of all answers: programs as they are priced, sums, and the provenance of times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from memorywall.catalog.calibrations import has_kernels, provenance_of
from memorywall.core.hardware import Hardware
from memorywall.core.layout import Layout
from memorywall.core.numbers import Number
from memorywall.core.phase import Pass
from memorywall.core.program import Program
from memorywall.core.quantities import CEILINGS, Provenance
from memorywall.core.question import Question
from memorywall.core.results import OpCost
from memorywall.cost.kernels.step import Weights
from memorywall.passes.fuse import fuse
from memorywall.passes.shard import shard


def program_of(question: Question, one: Pass, positions: Number | None = None) -> Program:
    """Return the operators of one execution of a pass, fused if the question counts so."""
    program = question.model.lower(question.forward(one, positions))
    rewrite = rewrite_of(question)
    return program if rewrite is None else rewrite(program)


def rewrite_of(question: Question) -> Callable[[Program], Program] | None:
    """Return the pass that a lowered program goes through before it is priced; None for none."""
    base = None
    if question.counting.traffic != "unfused":
        base = _fuse_traced if question.model.traits.traced else fuse
    return divided(base, question.layout)


@lru_cache(maxsize=1024)
def divided(
    base: Callable[[Program], Program] | None, layout: Layout
) -> Callable[[Program], Program] | None:
    """Return the pass to the program of one device of a layout, after another pass.

    The same one for the same layout, since templates are known by it.
    """
    if layout.devices == 1:
        return base

    def rewrite(program: Program) -> Program:
        return shard(program if base is None else base(program), layout)

    return rewrite


def _fuse_traced(program: Program) -> Program:
    from memorywall.passes.collapse import fuse_traced  # noqa: PLC0415 - of traces alone

    return fuse_traced(program)[0]


def as_a_framework_runs(question: Question) -> Question:
    """Return a question as a framework runs it: unfused, and without pairs that are masked."""
    counting = replace(question.counting, traffic="unfused", causal="half")
    return replace(question, counting=counting)


def joined(first: list[OpCost], rest: list[OpCost]) -> list[OpCost]:
    """Add costs up by operator; a prefill may run them in another order than a step."""
    found = {op.name: op for op in first}
    for op in rest:
        found[op.name] = found[op.name] + op if op.name in found else op
    return list(found.values())


def is_by_curves(hardware: Hardware) -> bool:
    """Return whether a device is priced by what was measured on it, or not at all."""
    return hardware.calibration is not None or hardware.kind == "measured"


def is_by_kernels(question: Question) -> bool:
    """Return whether the passes of a question are predicted kernel by kernel.

    Traced modules have no symbols, and the kernels of serving engines do not read the blocks of
    llama.cpp's formats.
    """
    hardware, formats = question.hardware, question.formats
    stored = formats.weights if formats.storage is None else formats.storage.linear
    if question.model.traits.traced or stored.block:
        return False
    return has_kernels(hardware)


def time_provenance(question: Question) -> Provenance:
    """Return where the times of a question come from.

    A forecast stays at its roofs. They are ``calibrated`` where the device was measured and
    operators are a family's (PyTorch's own operators, of a traced module, were not measured), or
    where constants were fitted to published measurements of it; ``class default`` where those of
    its class replace them.
    """
    hardware = question.hardware
    if hardware.draws is not None:
        return "forecast"
    if question.counting.ceilings == "spec":
        return CEILINGS[hardware.kind]
    if is_by_curves(hardware):
        measured = hardware.calibration is not None and not question.model.traits.traced
        return "calibrated" if measured else CEILINGS[hardware.kind]
    return provenance_of(hardware, by_kernels=is_by_kernels(question))


def weights_of(question: Question) -> Weights:
    """Return what the weights of a question are like, as far as its rates depend on it."""
    formats = question.formats
    storage = formats.storage
    stored = formats.weights if storage is None else storage.linear
    computed = formats.linear if storage is None else storage.computes_in(stored)
    packed = stored.bits_per_element < formats.activations.bits and not computed
    return Weights(
        float(stored.bits_per_element) if packed else 0.0, bool(question.model.traits.experts)
    )

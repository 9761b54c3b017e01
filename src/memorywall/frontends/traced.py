"""A trace as a model: a traced pass is priced like a pass lowered by a family."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from memorywall.core.errors import UnsupportedError
from memorywall.core.forward import Forward
from memorywall.core.model import Family, Model
from memorywall.core.numbers import Number
from memorywall.core.program import Program
from memorywall.core.traced import Traced
from memorywall.core.traits import TracedPass, Traits


@dataclass(frozen=True, slots=True)
class TracedModule:
    """A traced module as an architecture; its program is that of the traced pass."""

    class_name: str
    dtype: str
    program: Program
    notes: tuple[str, ...]
    traced_pass: TracedPass = field(compare=False, repr=False)
    max_positions: int | None = None

    @property
    def traits(self) -> Traits:
        """One traced pass."""
        causal = self.traced_pass.phase in ("prefill", "decode")
        return Traits(
            causal=causal, caches=causal, masks=True, traced=True, traced_pass=self.traced_pass
        )


def _read(_config: Any, where: str) -> TracedModule:
    raise UnsupportedError(f"{where}: a traced module has no config.", "Trace it: mw.trace(...).")


def _lower(module: TracedModule, _forward: Forward) -> Program:
    return module.program


TRACED = Family("traced", (), _read, _lower)


def model_of(traced: Traced) -> Model:
    """Return a trace as a model with the one traced pass.

    Raises:
        UnsupportedError: the module computes and moves nothing.
    """
    if not traced.program.work.moved_bytes:
        raise UnsupportedError(
            f"{traced.name} runs no operator, so there is no work to price.",
            "Does its forward pass use its inputs?",
        )
    one = TracedPass(
        traced.phase,
        traced.batch_size,
        traced.seq_len,
        traced.conventions.get("causal", "half"),
        _arithmetic(traced),
        traced.inputs,
        traced.unit,
        traced.memory,
    )
    notes = (*_unknown(traced), *traced.notes, *_peak(traced))
    return Model(
        traced.name, TRACED, TracedModule(traced.name, traced.dtype, traced.program, notes, one)
    )  # fmt: skip


def _arithmetic(traced: Traced) -> str:
    """Return the format of most FLOPs: under autocast it is not the weights'."""
    flops: dict[str, Number] = {}
    for _, op, repeat in traced.program.walk():
        flops[op.dtype] = flops.get(op.dtype, 0) + op.flops * repeat
    return max(flops, key=lambda dtype: float(flops[dtype]), default=traced.dtype)


_OF_A_CPU = (
    "The memory is that of a run on the CPU. A GPU's optimizers work on all weights at once, which "
    "takes room for another copy of them, and its allocator hands out blocks of 512 bytes: ask for "
    "backend='cuda' (--backend cuda) with a PyTorch built for CUDA. Without one, "
    "optimizer_options={'foreach': True} counts the copy."
)


def _peak(traced: Traced) -> tuple[str, ...]:
    if traced.memory is None:
        return ()
    moment = traced.memory.peak_moment
    device = traced.memory.conventions.get("device", "cpu")
    note = (
        "The memory is that of PyTorch's allocator at the peak of the step, in the "
        f"{moment.phase} phase at {moment.operator}, unfused; see the trace's memory."
    )
    return (note,) if device.startswith("cuda") else (note, _OF_A_CPU)


def _unknown(traced: Traced) -> tuple[str, ...]:
    return tuple(
        f"{unknown.op} has no FLOP formula ({unknown.calls} calls, first in "
        f"{unknown.path or 'the module'}): its bytes are counted, its FLOPs are not."
        for unknown in traced.coverage.unknown
    )

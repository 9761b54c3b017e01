"""A trace as a model: what was traced once is priced like what a family lowers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from memorywall.core.errors import UnsupportedError, shown
from memorywall.core.forward import Forward
from memorywall.core.model import Family, Model
from memorywall.core.program import Program
from memorywall.core.scenario import Scenario
from memorywall.core.traced import Traced
from memorywall.core.training import TrainingMemory
from memorywall.frontends.traced_class import TRACED_CLASS


@dataclass(frozen=True, slots=True)
class TracedModule:
    """What a trace knows in an architecture's place; its program is that of the traced pass.

    ``memory`` is what a training step keeps; None of a single pass.
    """

    class_name: str
    causal: bool
    dtype: str
    program: Program
    inputs: tuple[str, ...]
    notes: tuple[str, ...] = ()
    max_positions: int | None = None
    windows: tuple[int, ...] = ()
    memory: TrainingMemory | None = field(default=None, compare=False, repr=False)

    @property
    def trains(self) -> bool:
        """Whether it is a training step."""
        return self.memory is not None


def _read(_config: Any, where: str) -> TracedModule:
    raise UnsupportedError(f"{where}: a traced module has no config.", "Trace it: mw.trace(...).")


def _lower(module: TracedModule, _forward: Forward) -> Program:
    return module.program


TRACED = Family("traced", (), _read, _lower)


def is_traced(model: Model) -> bool:
    """Tell whether a model's operators are PyTorch's own, of a module or of a class."""
    return model.family is TRACED or model.family is TRACED_CLASS


def check_honoured(scenario: Scenario) -> None:
    """Refuse what a class that is traced cannot be asked for: it runs as transformers wrote it.

    Raises:
        UnsupportedError: the first option that would change nothing.
    """
    if scenario.model.family is not TRACED_CLASS:
        return
    conventions = scenario.conventions
    asked = {
        "cache_page": conventions.cache_page or None,
        "routing": conventions.routing if conventions.routing != "uniform" else None,
        "mla": conventions.mla if conventions.mla != "auto" else None,
        "state": scenario.precision.state,
    }
    for name, value in asked.items():
        if value is not None:
            raise UnsupportedError(
                f"{name} is {shown(value)}, which {scenario.model.architecture.class_name} is not "
                "asked for: transformers' class is traced as it is.",
                f"Leave {name} out.",
            )


def model_of(traced: Traced) -> Model:
    """Return a trace as a model; it has the one pass that was traced."""
    return Model(
        traced.name,
        TRACED,
        TracedModule(
            traced.name, traced.phase in ("prefill", "decode"), traced.dtype, traced.program,
            traced.inputs, (*_unknown(traced), *traced.notes, *_peak(traced)),
            memory=traced.memory,
        ),
    )  # fmt: skip


_OF_A_CPU = (
    "The memory is that of a run on the CPU. A GPU's optimizers work on all weights at once, which "
    "takes room for another copy of them, and its allocator hands out blocks of 512 bytes: ask for "
    "device='cuda' (--device cuda) with a PyTorch built for CUDA. Without one, "
    "optimizer_options={'foreach': True} counts the copy."
)


def _peak(traced: Traced) -> tuple[str, ...]:
    if traced.memory is None:
        return ()
    moment = traced.memory.peak_moment
    device = traced.memory.conventions.get("device", "cpu")
    note = (
        "The memory is what PyTorch's allocator holds at the peak of the step, in the "
        f"{moment.phase} phase at {moment.operator}, unfused; see the trace's memory."
    )
    return (note,) if device.startswith("cuda") else (note, _OF_A_CPU)


def _unknown(traced: Traced) -> tuple[str, ...]:
    return tuple(
        f"{unknown.op} has no FLOP formula ({unknown.calls} calls, first in "
        f"{unknown.path or 'the module'}): its bytes are counted, its FLOPs are not."
        for unknown in traced.coverage.unknown
    )

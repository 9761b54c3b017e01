"""The operators of one training step, phase by phase, with the roles of their arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from memorywall.core.training import StepStage
from memorywall.frontends.tracing.interpret.arrays import Array
from memorywall.frontends.tracing.interpret.calls import Call
from memorywall.frontends.tracing.interpret.events import Event, Frame
from memorywall.frontends.tracing.interpret.operator_notes import Notes

# Suffixes of names by phase, as one operator may run in several.
_MARKS: Mapping[StepStage, str] = {"backward": "@backward", "optimizer": "@optimizer"}


class Step:
    """Records the operators of a training step.

    Args:
        module: the trained module.
        inputs: of one batch.
        full: count every pair of a causal attention.
    """

    def __init__(self, module: torch.nn.Module, inputs: Any, *, full: bool) -> None:
        self._notes = Notes(full=full, hold=False)
        self._module = module
        self._weights: set[Array] = set()
        self._cuts: list[tuple[StepStage, int]] = []
        self._notes.take_in(dict(module.named_parameters()), "weight")
        self._notes.take_in(dict(module.named_buffers()), "state")
        self._notes.take_in(
            {f"input_{i}": t for i, t in enumerate(tree_leaves(inputs)) if torch.is_tensor(t)},
            "activation",
        )

    def enter(self, phase: StepStage, optimizer: torch.optim.Optimizer | None) -> None:
        """Begin another phase; persistent arrays of the last one get their role."""
        self._take_in_gradients()
        if optimizer is not None:
            self._take_in_states(optimizer)
        self._notes.mark = _MARKS.get(phase, "")
        self._cuts.append((phase, len(self._notes.events)))

    def note(self, call: Call, frame: Frame) -> None:
        """Record one operator of a call of a module."""
        self._notes.frame = frame
        self._notes.note(call)

    def phases(self) -> Iterator[tuple[StepStage, list[Event]]]:
        """Yield the phases in which operators ran, with their operators."""
        events = self._notes.events
        ends = [start for _, start in self._cuts[1:]] + [len(events)]
        for (phase, start), end in zip(self._cuts, ends, strict=True):
            part = events[start:end]
            for event in part:
                _settle_kind(event, phase)
            if part:
                yield phase, part

    def unread(self) -> list[Array]:
        """Return the weights that no operator reads."""
        read = {view.array for event in self._notes.events for view, _ in event.reads}
        return [array for array in self._notes.arrays.of_role("weight") if array not in read]

    def _take_in_gradients(self) -> None:
        for name, weight in self._module.named_parameters():
            found = None if weight.grad is None else self._array(weight.grad)
            if found is not None:
                found.name, found.role = f"{name}.grad", "gradient"

    def _take_in_states(self, optimizer: torch.optim.Optimizer) -> None:
        names = {weight: name for name, weight in self._module.named_parameters()}
        for name, key, state in states_of(optimizer, names):
            array = self._notes.arrays.add(state, f"{name}.{key}")
            if array.role == "activation":
                array.name, array.role = f"{name}.{key}", "optimizer_state"

    def _array(self, tensor: torch.Tensor) -> Array | None:
        return self._notes.arrays.find(tensor)


def states_of(
    optimizer: torch.optim.Optimizer, names: Mapping[torch.Tensor, str]
) -> Iterator[tuple[str, str, torch.Tensor]]:
    """Yield the states of each weight: the weight's name, the state's name, the array."""
    for weight, states in optimizer.state.items():
        for key, state in states.items() if isinstance(states, dict) else ():
            if torch.is_tensor(state) and weight in names:
                yield names[weight], str(key), state


def _settle_kind(event: Event, phase: StepStage) -> None:
    """Set the roles that are known after the step: optimizer operators and gradients."""
    if phase == "optimizer" and event.kind == "elementwise":
        event.kind = "optimizer"
    if event.op == "aten::bmm" and any(v.array.role == "gradient" for v, _ in event.writes):
        event.kind = "gemm"

"""Run a module without memory, and record the reads, writes and FLOPs of its operators."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch

from memorywall.frontends.tracing.capture.dispatch import Recorder
from memorywall.frontends.tracing.capture.operand_types import check_types
from memorywall.frontends.tracing.capture.output_shapes import Shapes
from memorywall.frontends.tracing.interpret.calls import Call, tensors
from memorywall.frontends.tracing.interpret.events import Frame
from memorywall.frontends.tracing.interpret.operator_notes import Notes

_SDPA = torch.ops.aten.scaled_dot_product_attention.default


class Tracer(Recorder):
    """Records events while a module runs on meta tensors.

    Args:
        module: the source of the operators' paths.
        full: count every pair of a causal attention.
    """

    def __init__(self, module: torch.nn.Module, *, full: bool = False) -> None:
        self.notes = Notes(full=full)
        super().__init__(module, self.notes.note)
        self.events, self.arrays = self.notes.events, self.notes.arrays
        self.asked: set[str] = set()  # devices that the module requested by name
        self._shapes = Shapes()
        self._frames = [self.notes.frame]
        self._visits: Counter[str] = Counter()

    def execute(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operator on tensors without memory."""
        check_types(func, args)
        return self._shapes.run(func, args, kwargs)

    def _enter(self, module: torch.nn.Module, args: object) -> None:
        super()._enter(module, args)
        self._visits[self.path] += 1
        above = self._frames[-1]
        self._frames.append(Frame(self.path, above, self._visits[self.path], above.depth + 1))
        self.notes.frame = self._frames[-1]

    def _leave(self, module: torch.nn.Module, args: object, out: object) -> None:
        super()._leave(module, args, out)
        self._frames.pop()
        self.notes.frame = self._frames[-1]

    def attend(self, args: tuple[Any, ...], kwargs: dict[str, Any], out: torch.Tensor) -> None:
        """Record an attention as one operator."""
        before = len(self.events)
        self.notes.note(Call(_SDPA, args, kwargs, tuple(tensors(args)), (out,), self.path))
        whole = self.events[before]
        whole.writes[0][0].array.name = whole.name

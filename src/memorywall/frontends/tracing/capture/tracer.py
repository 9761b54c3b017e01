"""Run a module without memory, and note what its operators read, write and compute."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch

from memorywall.frontends.tracing.capture.dispatch import Recorder
from memorywall.frontends.tracing.capture.output_shapes import Shapes
from memorywall.frontends.tracing.interpret.calls import Call, tensors
from memorywall.frontends.tracing.interpret.events import Frame
from memorywall.frontends.tracing.interpret.operator_notes import Notes

_SDPA = torch.ops.aten.scaled_dot_product_attention.default


class Tracer(Recorder):
    """Notes events while a module runs on meta tensors.

    Args:
        module: whose paths the operators stand under.
        full: count every pair of a causal attention.
    """

    def __init__(self, module: torch.nn.Module, *, full: bool = False) -> None:
        self.notes = Notes(full=full)
        super().__init__(module, self.notes.note)
        self.events, self.arrays = self.notes.events, self.notes.arrays
        self.asked: set[str] = set()  # devices that the module asked for by name
        self._shapes = Shapes()
        self._frames = [self.notes.frame]
        self._visits: Counter[str] = Counter()

    def execute(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operator on tensors without memory."""
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
        """Note an attention that was left whole."""
        before = len(self.events)
        self.notes.note(Call(_SDPA, args, kwargs, tuple(tensors(args)), (out,), self.path))
        whole = self.events[before]
        whole.writes[0][0].array.name = whole.name

"""Run a module without memory, and note what its operators read, write and compute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch

from memorywall.core.numbers import Number
from memorywall.core.program import Kind
from memorywall.core.tensors import Role
from memorywall.frontends._arrays import Array, Arrays, View, address_of, geometry_of
from memorywall.frontends._aten import score_pairs
from memorywall.frontends._events import Event, Frame, Parts
from memorywall.frontends._operators import (
    Operator,
    arithmetic_of,
    describe,
    function_of,
    values_written,
)
from memorywall.frontends._shapes import Shapes
from memorywall.frontends._values import Touched, Values
from memorywall.frontends.torch_dispatch import Call, Recorder, tensors

_SDPA = torch.ops.aten.scaled_dot_product_attention.default
_SOFTMAX = "aten::softmax"
_SOFTMAX_FLOPS = 6  # of a pair: scale, running maximum, subtract, exponential, sum, divide


@dataclass(slots=True, eq=False)
class _Attention(Call):
    """An attention that was left whole; ``full`` counts every pair under a causal mask."""

    full: bool = False


class Tracer(Recorder):
    """Notes events while a module runs on meta tensors.

    Args:
        module: whose paths the operators stand under.
        full: count every pair of a causal attention.
    """

    def __init__(self, module: torch.nn.Module, *, full: bool = False) -> None:
        super().__init__(module, self.note)
        self.events: list[Event] = []
        self.arrays = Arrays()
        self.asked: set[str] = set()  # devices that the module asked for by name
        self._full = full
        self._values = Values(self.arrays)
        self._shapes = Shapes()
        self._frames = [Frame("", None, 1, 0)]
        self._visits: Counter[str] = Counter()
        self._operators: dict[Any, Operator] = {}

    def take_in(
        self, named: Mapping[str, torch.Tensor], role: Role, uniform: Container[int] = ()
    ) -> None:
        """Take in tensors that stand before the run, tied ones under the first of their names.

        ``uniform`` are the addresses of storages whose elements are all alike.
        """
        for name, tensor in named.items():
            array = self.arrays.add(tensor, name, role)
            if address_of(tensor) in uniform:
                self._values.uniform.add(array)

    def execute(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operator on tensors without memory."""
        return self._shapes.run(func, args, kwargs)

    def _enter(self, module: torch.nn.Module, args: object) -> None:
        super()._enter(module, args)
        self._visits[self.path] += 1
        above = self._frames[-1]
        self._frames.append(Frame(self.path, above, self._visits[self.path], above.depth + 1))

    def _leave(self, module: torch.nn.Module, args: object, out: object) -> None:
        super()._leave(module, args, out)
        self._frames.pop()

    def attend(self, args: tuple[Any, ...], kwargs: dict[str, Any], out: torch.Tensor) -> None:
        """Note an attention that was left whole, and the softmax within it, which moves nothing."""
        inputs = tuple(tensors(args))
        call = _Attention(_SDPA, args, kwargs, inputs, (out,), self.path, self._full)
        self.note(call)
        whole = self.events[-1]
        whole.writes[0][0].array.name = whole.name
        flops = _SOFTMAX_FLOPS * score_pairs(call)
        name = f"{whole.name}.softmax"
        self.events.append(
            Event(name, _SOFTMAX, whole.frame, "softmax", flops, (), (), whole.dtype)
        )

    def scan(
        self,
        name: str,
        inputs: tuple[torch.Tensor, ...],
        outputs: tuple[torch.Tensor, ...],
        flops: int,
    ) -> None:
        """Note a recurrence as one operator."""
        frame = self._frames[-1]
        path = frame.unique(name)
        reads, writes = self._parts(inputs), self._parts(outputs, read=False)
        for index, (view, _) in enumerate(writes):
            view.array.name = f"{path}.{index}" if index else path
        dtype = arithmetic_of(inputs)
        self.events.append(
            Event(path, f"scan::{name}", frame, "scan", flops, reads, writes, dtype, name)
        )

    def note(self, call: Call) -> None:
        """Note one operator: a view is a way of reading; anything else moves what it touches."""
        known = self._operators.get(call.op)
        if known is None:
            known = self._operators[call.op] = describe(call.op)
        source = self._shown(call) if call.outputs and not known.written else None
        if source is not None:
            self._note_view(call, source)
        elif known.written or call.outputs:
            self._note_event(call, known)

    def _shown(self, call: Call) -> torch.Tensor | None:
        """Return the input that the output is a view of."""
        address = address_of(call.outputs[0])
        for tensor in call.inputs:
            if address_of(tensor) == address:
                return tensor
        return None

    def _note_view(self, call: Call, source: torch.Tensor) -> None:
        array, above = self._array(source), geometry_of(source)
        for tensor in call.outputs:
            view = geometry_of(tensor)
            if view != above:
                array.parents.setdefault(view, above)

    def _note_event(self, call: Call, known: Operator) -> None:
        frame = self._frames[-1]
        name = frame.unique(known.short)
        reads = self._reads(call, known)  # before its outputs, which may stand in the same arrays
        if known.written:
            writes = tuple([self._written(call, known, target) for target in known.targets(call)])
        else:
            writes = self._made(call, name)
            self._values.learn(call, known, reads, writes)
        if known.allocates:
            return
        formula = known.formula
        flops = None if formula is None else int(formula.flops(call))
        kind = self._kind(known, reads)
        queries = call.inputs[0].shape[-2] if kind == "attention" else 0
        dtype, function = arithmetic_of(call.inputs + call.outputs), function_of(call, known)
        self.events.append(
            Event(name, known.name, frame, kind, flops, reads, writes, dtype, function, queries)
        )

    def _kind(self, known: Operator, reads: Parts) -> Kind:
        """Return the class of an operator; a batched product of activations is attention's."""
        kind: Kind = known.formula.kind if known.formula else "elementwise"
        if kind == "gemm" and known.short in ("bmm", "baddbmm"):
            weighted = any(self._values.is_weight(view.array) for view, _ in reads)
            return kind if weighted else "attention"
        return kind

    def _made(self, call: Call, name: str) -> Parts:
        """Take in the arrays that an operator made."""
        made = []
        for index, tensor in enumerate(call.outputs):
            array = self.arrays.add(tensor, f"{name}.{index}" if index else name)
            made.append((View(array, array.versions, geometry_of(tensor)), None))
        return tuple(made)

    def _written(
        self, call: Call, known: Operator, target: torch.Tensor
    ) -> tuple[View, Number | None]:
        """Return what is written of a target; all of an activation is a new version of it."""
        array = self._array(target)
        self._values.uniform.discard(array)
        whole = prod(target.shape) == array.elements and not known.partly
        if whole and array.role == "activation":
            array.versions += 1
        else:
            array.in_parts = True
        moved = values_written(call, target) if known.partly else None
        return View(array, array.versions, geometry_of(target)), moved

    def _reads(self, call: Call, known: Operator) -> Parts:
        touched = self._values.touched(call, known)
        targets = [id(target) for target in known.targets(call)]
        read: list[torch.Tensor] = []
        moved: list[Number | None] = []
        for index, tensor in enumerate(call.inputs):
            if known.blind and id(tensor) in targets:
                continue
            part = touched[index] if index < len(touched) else None
            if known.function == "add part" and id(tensor) in targets:
                part = values_written(call, tensor)
            read.append(tensor)
            moved.append(part)
        return self._parts(read, tuple(moved))

    def _parts(
        self, values: Iterable[torch.Tensor], moved: Touched = (), *, read: bool = True
    ) -> Parts:
        """Return tensors as parts of their arrays; ``moved`` elements of each where not all."""
        parts = []
        for index, tensor in enumerate(values):
            if not tensor.numel():
                continue
            array = self._array(tensor)
            view = View(array, array.versions, geometry_of(tensor))
            if read:
                array.seen.setdefault(array.versions, set()).add(view.geometry)
            parts.append((view, moved[index] if index < len(moved) else None))
        return tuple(parts)

    def _array(self, tensor: torch.Tensor) -> Array:
        """Return a tensor's array; one that the trace did not see made is a constant."""
        found = self.arrays.find(tensor)
        if found is None:
            found = self.arrays.add(tensor, self._frames[-1].unique("constant"))
        return found

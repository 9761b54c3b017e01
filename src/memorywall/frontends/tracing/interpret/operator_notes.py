"""Record the reads, writes and FLOPs of operators, for forward and training traces."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from math import prod
from typing import Any

import torch

from memorywall.core.axes import unnamed
from memorywall.core.geometry import Conv, Kind, Scan, Softmax, Space
from memorywall.core.numbers import Number
from memorywall.core.tensors import Role
from memorywall.frontends.tracing.interpret.arrays import (
    Array,
    Arrays,
    View,
    address_of,
    geometry_of,
)
from memorywall.frontends.tracing.interpret.aten import score_pairs
from memorywall.frontends.tracing.interpret.calls import Call, tensors
from memorywall.frontends.tracing.interpret.events import Event, Frame, Parts, take_back
from memorywall.frontends.tracing.interpret.operators import (
    Operator,
    arithmetic_of,
    describe,
    function_of,
    values_written,
    work_of,
)
from memorywall.frontends.tracing.interpret.values import Touched, Values

_SOFTMAX = "aten::softmax"
# Per pair: scale, running maximum, subtract, exponential, sum, divide. Backward: scale, subtract,
# exponential; then subtract the row's sum, times the probability, times the scale.
_SOFTMAX_FLOPS = 6


class Notes:
    """Converts calls to events, and the storages that they touch to arrays.

    Args:
        full: count every pair of a causal attention.
        hold: keep every storage, so that no address is reused; else a freed one is forgotten.

    Attributes:
        events: one per operator with traffic or FLOPs.
        frame: the running call of a module.
        mark: the suffix of names of new arrays, so that the names of phases differ.
    """

    def __init__(self, *, full: bool = False, hold: bool = True) -> None:
        self.events: list[Event] = []
        self.arrays = Arrays(hold=hold)
        self.frame = Frame("", None, 1, 0)
        self.mark = ""
        self.full = full
        self._taken: set[Array] = set()  # arrays made within a scan
        self._values = Values(self.arrays)
        self._operators: dict[Any, Operator] = {}

    def take_in(
        self, named: Mapping[str, torch.Tensor], role: Role, uniform: Container[int] = ()
    ) -> None:
        """Add tensors that exist before the run, tied ones under the first of their names.

        ``uniform`` holds the addresses of storages whose elements are all equal.
        """
        for name, tensor in named.items():
            array = self.arrays.add(tensor, name, role)
            if address_of(tensor) in uniform:
                self._values.uniform.add(array)

    def convolve(
        self, reads: tuple[torch.Tensor, ...], out: torch.Tensor, window: torch.Tensor | None = None
    ) -> None:
        """Record a causal convolution of x, the first of ``reads``, by weights [C, W], the second.

        Every channel of [B, C, T] has one filter; ``window`` is kept for the next token.
        """
        taps = reads[1].shape[-1]
        work = (Space(2, unnamed(out.numel(), taps)),)
        geometry = Conv(work, taps, (), "depthwise")
        self._note_whole(geometry, self._parts(reads), out, window)

    def scan(
        self,
        geometry: Scan,
        reads: tuple[torch.Tensor, ...],
        out: torch.Tensor,
        state: torch.Tensor | tuple[torch.Tensor, ...] | None = None,
        gates: tuple[torch.Tensor, ...] = (),
    ) -> None:
        """Record a recurrence as one operator, including the elementwise operators on ``gates``."""
        # The inputs of the gates of an earlier scan of the same mixer are read.
        wanted = tuple([part for part in self._parts(gates) if part[0].array not in self._taken])
        taken = take_back(self.events, self.frame, wanted, self._taken)
        parts = self._parts(reads) + taken
        self._note_whole(geometry, parts, out, state)

    def _note_whole(
        self,
        geometry: Conv | Scan,
        reads: Parts,
        out: torch.Tensor,
        kept: torch.Tensor | tuple[torch.Tensor, ...] | None,
    ) -> None:
        """Record an operator that replaces many of PyTorch's."""
        kind, function = geometry.kind, geometry.function
        path = self.frame.unique(function)
        self.arrays.add(out, path).name = path
        states = tuple(tensors((kept,)))
        for index, state in enumerate(states):
            self.arrays.add(state, f"{path}.state{index or ''}")
        writes = self._parts((out, *states), read=False)
        name, dtype = f"{kind}::{function}", arithmetic_of((out,))
        self.events.append(
            Event(path, name, self.frame, kind, geometry, reads, writes, dtype, function)
        )

    def note(self, call: Call) -> None:
        """Record one operator: a view moves no bytes; any other operator moves its arrays."""
        known = self._operators.get(call.op)
        if known is None:
            known = self._operators[call.op] = describe(call.op)
        if torch.Tag.inplace_view in call.op.tags:
            return  # from here on the tensor is another view
        source = self._shown(call) if call.outputs and not known.written else None
        if source is not None:
            self._note_view(call, source)
        elif known.written or call.outputs:
            self._note_event(call, known)

    def _shown(self, call: Call) -> torch.Tensor | None:
        """Return the input of which the output is a view."""
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
        name = self.frame.unique(known.short)
        reads = self._reads(call, known)  # before its outputs, which may be in the same arrays
        if known.written:
            writes = tuple([self._written(call, known, target) for target in known.targets(call)])
        else:
            writes = self._made(call, name)
            self._values.learn(call, known, reads, writes)
        if known.allocates:
            return
        call.full = self.full
        kind = self._kind(known, reads)
        dtype, function = arithmetic_of(call.inputs + call.outputs), function_of(call, known)
        work = work_of(call, known)
        self.events.append(
            Event(name, known.name, self.frame, kind, work, reads, writes, dtype, function)
        )
        if known.attends:
            self._note_softmax(call, name, dtype)

    def _note_softmax(self, call: Call, name: str, dtype: str) -> None:
        """Note the softmax within an attention that was left whole: it moves nothing."""
        geometry = Softmax((Space(_SOFTMAX_FLOPS, unnamed(score_pairs(call))),))
        frame = self.frame
        self.events.append(
            Event(f"{name}.softmax", _SOFTMAX, frame, "softmax", geometry, (), (), dtype)
        )

    def _kind(self, known: Operator, reads: Parts) -> Kind:
        """Return the class of an operator.

        A batched product of activations counts as attention. Rows of a table of weights indexed by
        a buffer, such as distances, are looked up.
        """
        kind: Kind = known.formula.kind if known.formula else "elementwise"
        if kind == "gemm" and known.short in ("bmm", "baddbmm"):
            weighted = any(self._values.is_weight(view.array) for view, _ in reads)
            return kind if weighted else "attention"
        if known.short in ("index", "index_select"):
            roles = [view.array.role for view, _ in reads]
            return "embedding" if roles == ["weight", "state"] else kind
        return kind

    def _made(self, call: Call, name: str) -> Parts:
        """Add the output arrays of an operator."""
        made = []
        for index, tensor in enumerate(call.outputs):
            own = f"{name}.{index}" if index else name
            array = self.arrays.add(tensor, own + self.mark)
            made.append((View(array, array.versions, geometry_of(tensor)), None))
        return tuple(made)

    def _written(
        self, call: Call, known: Operator, target: torch.Tensor
    ) -> tuple[View, Number | None]:
        """Return the written part of a target; writing all of an activation makes a new version."""
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
        """Return tensors as parts of their arrays; ``moved`` elements of each if not all."""
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
        """Return a tensor's array; one without a recorded origin is a constant."""
        found = self.arrays.find(tensor)
        if found is None:
            found = self.arrays.add(tensor, self.frame.unique("constant"))
        return found

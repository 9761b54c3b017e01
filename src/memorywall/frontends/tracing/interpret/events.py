"""The events of a trace: one per operator with traffic or FLOPs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

from memorywall.core.geometry import (
    Attention,
    Conv,
    Counted,
    Elementwise,
    Gemm,
    Geometry,
    Kind,
    Scan,
    Softmax,
    Space,
    flops_of,
)
from memorywall.core.numbers import Number
from memorywall.frontends.tracing.interpret.arrays import Array, View

UNKNOWN = "unknown"  # the function of an operator that has no formula

# The known work of a call.
Work: TypeAlias = Gemm | Attention | Conv | Scan | Softmax | tuple[Space, ...]
# Parts of arrays, each with the elements moved where that is not all of them.
Parts: TypeAlias = "tuple[tuple[View, Number | None], ...]"


@dataclass(slots=True, eq=False)
class Frame:
    """One call of a module: its path, its caller, and the number of earlier calls."""

    path: str
    parent: Frame | None
    visit: int
    depth: int
    names: dict[str, int] = field(default_factory=dict)

    def unique(self, name: str) -> str:
        """Return a new name for an operator of this call."""
        count = self.names.get(name, 0) + 1
        self.names[name] = count
        path = f"{self.path}.{name}" if self.path else name
        visit = f"@{self.visit}" if self.visit > 1 else ""
        return f"{path}_{count}{visit}" if count > 1 else f"{path}{visit}"

    def within(self, other: Frame) -> bool:
        """Return whether this call is the other, or was made within it."""
        frame: Frame | None = self
        while frame is not None and frame is not other:
            frame = frame.parent
        return frame is not None


@dataclass(slots=True, eq=False)
class Event:
    """One call of an operator.

    Attributes:
        name: its path, such as ``layers.0.mlp.up_proj.mm``.
        op: the operator, such as ``aten::mm``.
        work: its geometry, or the spaces of its FLOPs; None if unknown.
        reads, writes: the moved parts.
        function: as ``Op.function``.
    """

    name: str
    op: str
    frame: Frame
    kind: Kind
    work: Work | None
    reads: Parts
    writes: Parts
    dtype: str
    function: str = ""

    @property
    def flops(self) -> Number | None:
        """FLOPs of the call; None if unknown."""
        if self.work is None:
            return None
        return flops_of(self.work) if isinstance(self.work, tuple) else self.work.flops

    @property
    def geometry(self) -> Geometry:
        """The geometry of the call, as of an operator of a program.

        A product of activations is attention's, and one within an optimizer's step its own: of
        these the spaces alone are known.
        """
        work, kind, function = self.work, self.kind, self.function
        if work is None:
            return Counted((Space(0, ()),), kind, UNKNOWN)
        if isinstance(work, Gemm | Conv) and work.kind == kind:
            return replace(work, which=function)
        if not isinstance(work, tuple) and work.kind == kind:
            return work
        spaces = work if isinstance(work, tuple) else tuple(work.spaces)
        return (
            Elementwise(spaces, function)
            if kind == "elementwise"
            else Counted(spaces, kind, function)
        )


def take_back(events: list[Event], frame: Frame, wanted: Parts, made: set[Array]) -> Parts:
    """Remove the elementwise events of a module call on arrays; return their inputs.

    Arrays that other operators read stay. Arrays that are no longer made are added to ``made``.
    """
    arrays, read = {view.array for view, _ in wanted}, [*wanted]
    for index in reversed(range(len(events))):
        event = events[index]
        if not event.frame.within(frame):
            break
        writes = {view.array for view, _ in event.writes}
        if event.kind == "elementwise" and writes and writes <= arrays:
            del events[index]
            read += event.reads
            made |= writes
            arrays |= {view.array for view, _ in event.reads}
        else:
            arrays -= {view.array for view, _ in event.reads}
    return tuple([(view, moved) for view, moved in read if view.array not in made])

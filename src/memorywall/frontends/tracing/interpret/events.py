"""What a trace notes: one event for every operator that moves or computes anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from memorywall.core.numbers import Number
from memorywall.core.program import Kind
from memorywall.frontends.tracing.interpret.arrays import Array, View

# Parts of arrays, each with the elements moved where that is not all of them.
Parts: TypeAlias = "tuple[tuple[View, Number | None], ...]"


@dataclass(slots=True, eq=False)
class Frame:
    """One call of a module: where it stands, by whom it was called, and how often it was before."""

    path: str
    parent: Frame | None
    visit: int
    depth: int
    names: dict[str, int] = field(default_factory=dict)

    def unique(self, name: str) -> str:
        """Return a name that no operator of this call has had."""
        count = self.names.get(name, 0) + 1
        self.names[name] = count
        path = f"{self.path}.{name}" if self.path else name
        visit = f"@{self.visit}" if self.visit > 1 else ""
        return f"{path}_{count}{visit}" if count > 1 else f"{path}{visit}"

    def within(self, other: Frame) -> bool:
        """Tell whether this call is another, or was made by it."""
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
        flops: None where nobody knows.
        reads, writes: what it moves.
        function: what it does, as ``Op.function``.
    """

    name: str
    op: str
    frame: Frame
    kind: Kind
    flops: int | None
    reads: Parts
    writes: Parts
    dtype: str
    function: str = ""
    queries: int = 0


def take_back(events: list[Event], frame: Frame, wanted: Parts, made: set[Array]) -> Parts:
    """Take back what a call of a module did to arrays element by element; return what that read.

    What is read by anything else stays. Arrays that are no longer made are added to ``made``.
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

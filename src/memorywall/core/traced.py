"""The result of a trace: a module's program, and its coverage by formulas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from memorywall.core.numbers import Number
from memorywall.core.program import Program
from memorywall.core.records import recorded, to_record
from memorywall.core.training import TrainingMemory

SCHEMA = "memorywall.trace/1"


@dataclass(frozen=True, slots=True)
class Unknown:
    """An operator without a formula: its first module, its calls, and the bytes it moved."""

    op: str
    path: str
    calls: int
    moved_bytes: int


@recorded(derived=("of_operators", "of_bytes"))
@dataclass(frozen=True, slots=True)
class Coverage:
    """The share of a trace with a FLOP formula; bytes and names of the rest are reported."""

    operators: int
    moved_bytes: int
    unknown: tuple[Unknown, ...] = ()

    @property
    def of_operators(self) -> float:
        """Share of the operators that ran."""
        missing = sum(unknown.calls for unknown in self.unknown)
        return 1 - missing / self.operators if self.operators else 1.0

    @property
    def of_bytes(self) -> float:
        """Share of the bytes that they moved."""
        missing = sum(unknown.moved_bytes for unknown in self.unknown)
        return 1 - missing / self.moved_bytes if self.moved_bytes else 1.0


@dataclass(frozen=True, slots=True)
class TracedOp:
    """An operator of a trace.

    Attributes:
        name, kind, function: which; the name is its path.
        repeat: the number of its runs.
        flops: of all of them.
        traffic: bytes of all of them, by role.
    """

    name: str
    kind: str
    function: str
    repeat: int
    flops: Number
    traffic: Mapping[str, Number]


@recorded(SCHEMA, hidden=("program",), derived=("flops", "moved_bytes", "traffic", "ops"))
@dataclass(frozen=True, eq=False)
class Traced:
    """One pass of a module, or one training step, operator by operator.

    Attributes:
        name: the module's class.
        program: PyTorch's operators, unfused; repeated layers occur once, with their number.
        parameters: weights of the module, tied ones once, including those that the pass does not
            use.
        coverage: the share with a FLOP formula.
        phase: ``prefill``, ``decode``, ``encode`` or ``train``.
        batch_size, seq_len: sequences, for a training step those of all its batches, and positions
            of each; 1 if an input has none.
        dtype: the format of most weights.
        inputs: those of the run, as text.
        notes: caveats on the numbers.
        memory: memory by role over a training step; None for a single pass.
        unit: of a row of its inputs: ``tokens``, or ``samples`` such as images.
    """

    name: str
    program: Program
    parameters: int
    coverage: Coverage
    phase: str
    batch_size: int
    seq_len: int
    dtype: str
    inputs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    conventions: Mapping[str, str] = field(default_factory=dict)
    memory: TrainingMemory | None = None
    unit: str = "samples"

    def __repr__(self) -> str:
        return f"<Traced {self.name}, {self.phase}: {self.flops:,} FLOP, {self.moved_bytes:,} B>"

    @property
    def flops(self) -> Number:
        """All FLOPs that have a formula; a fused multiply-add is two."""
        return self.program.work.flops

    @property
    def moved_bytes(self) -> Number:
        """Bytes that the operators move as PyTorch runs them, one after the other."""
        return self.program.work.moved_bytes

    @property
    def traffic(self) -> dict[str, Number]:
        """The same by role."""
        return self.program.traffic

    def by_module(self, depth: int = 2) -> dict[str, tuple[Number, Number]]:
        """Return FLOPs and bytes by the first ``depth`` parts of the modules' paths."""
        found: dict[str, tuple[Number, Number]] = {}
        for path, op, repeat in self.program.walk():
            key = ".".join(path.split(".")[:-1][:depth]) or path
            flops, moved = found.get(key, (0, 0))
            work = op.work * repeat
            found[key] = (flops + work.flops, moved + work.moved_bytes)
        return found

    @property
    def ops(self) -> tuple[TracedOp, ...]:
        """Every operator with the number of its runs, in their order."""
        return tuple(
            TracedOp(
                path, op.kind, op.function, repeat, op.flops * repeat,
                {role: moved * repeat for role, moved in op.traffic.items()},
            )
            for path, op, repeat in self.program.walk()
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as a record of plain values, with the version of its schema."""
        return to_record(self)

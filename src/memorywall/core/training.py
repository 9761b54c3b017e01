"""The memory of training: a timeline of stored arrays, and its peak."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from memorywall.core.records import recorded, to_record

if TYPE_CHECKING:  # a question of a config imports no NumPy
    import numpy as np
    from numpy.typing import NDArray

StepStage: TypeAlias = Literal["setup", "forward", "backward", "optimizer"]
StorageRole: TypeAlias = Literal[
    "weights", "buffers", "inputs", "optimizer_states", "gradients", "activations", "temporaries"
]
# From persistent arrays to temporaries: the order in which they are stacked and listed.
STORAGE_ROLES: tuple[StorageRole, ...] = (
    "weights", "buffers", "inputs", "optimizer_states", "gradients", "activations", "temporaries",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Allocation:
    """The lifetime of one stored array; views share it.

    Attributes:
        nbytes: its size.
        role: its use. Activations are arrays that a forward pass leaves for the backward pass,
            temporaries all other short-lived arrays.
        module: path of the module that made it, for a weight the one that holds it.
        operator: the one that made it.
        born, died: the first and the last moment at which it is alive; None if it outlives the
            trace.
    """

    nbytes: int
    role: StorageRole
    module: str
    operator: str
    born: int
    died: int | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """One operator that ran, with its phase and module."""

    phase: StepStage
    operator: str
    module: str


@recorded(names={"nbytes": "bytes"})
@dataclass(frozen=True, slots=True)
class Standing:
    """Arrays of one role and module that are alive at a moment; repeated layers are one module.

    Attributes:
        role: their role.
        module: their path, a layer's number written as ``*``.
        count: how many arrays.
        nbytes: their bytes.
    """

    role: StorageRole
    module: str
    count: int
    nbytes: int


@dataclass(frozen=True)
class Timeline:
    """Every operator of some training steps, and the lifetime of every array.

    Attributes:
        moments: the operators in the order in which they ran.
        allocations: the arrays in the order of allocation; times are indices into ``moments``.
    """

    moments: tuple[Moment, ...]
    allocations: tuple[Allocation, ...]

    @cached_property
    def live_bytes(self) -> dict[StorageRole, NDArray[np.int64]]:
        """Live bytes at every moment, by role."""
        import numpy as np  # noqa: PLC0415

        changes = {role: np.zeros(len(self.moments) + 1, np.int64) for role in STORAGE_ROLES}
        for array in self.allocations:
            changes[array.role][array.born] += array.nbytes
            if array.died is not None:
                changes[array.role][array.died + 1] -= array.nbytes
        return {role: np.cumsum(change[:-1]) for role, change in changes.items()}

    @cached_property
    def total_bytes(self) -> NDArray[np.int64]:
        """Live bytes at every moment, over all roles."""
        import numpy as np  # noqa: PLC0415

        total: NDArray[np.int64] = np.sum(list(self.live_bytes.values()), axis=0)
        return total

    @cached_property
    def peak(self) -> int:
        """The first moment with the most live bytes."""
        return int(self.total_bytes.argmax())

    def by_role(self, moment: int) -> dict[StorageRole, int]:
        """Return the live bytes at a moment, by role."""
        return {role: int(live[moment]) for role, live in self.live_bytes.items()}

    def standing(self, moment: int) -> tuple[Standing, ...]:
        """Return the live arrays at a moment by role and module, most bytes first."""
        sums: dict[tuple[StorageRole, str], list[int]] = defaultdict(lambda: [0, 0])
        for array in self.allocations:
            if array.born <= moment and (array.died is None or moment <= array.died):
                entry = sums[array.role, _any_layer(array.module)]
                entry[0] += 1
                entry[1] += array.nbytes
        found = (Standing(role, module, *entry) for (role, module), entry in sums.items())
        return tuple(sorted(found, key=lambda group: -group.nbytes))

    def end_of_forward(self) -> int:
        """Return the last moment of the last forward pass."""
        return max(i for i, moment in enumerate(self.moments) if moment.phase == "forward")

    def thinned(self, count: int) -> list[int]:
        """Return at most ``count`` moments, each the peak of its interval."""
        import numpy as np  # noqa: PLC0415

        edges = np.linspace(0, len(self.moments), min(count, len(self.moments)) + 1).astype(int)
        return [int(low + self.total_bytes[low:high].argmax()) for low, high in pairwise(edges)]


@recorded(
    "memorywall.training/1",
    hidden=("timeline",),
    derived={
        "peak_bytes": "peak_bytes",
        "peak_at": "peak_moment",
        "at_peak": "at_peak",
        "by_module": "by_module",
        "activations": "activations",
        "most": "most",
        "timeline": "moments",
    },
)
@dataclass(frozen=True)
class TrainingMemory:
    """The memory of some training steps, and its peak.

    Attributes:
        model: its name.
        parameters: their number, tied ones once.
        timeline: the steps.
        conventions: the settings of the steps.
        notes: the assumptions.
        inputs: those of the run, as text.
    """

    model: str
    parameters: int
    timeline: Timeline
    conventions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    @property
    def peak_bytes(self) -> int:
        """The peak of live bytes."""
        return int(self.timeline.total_bytes[self.timeline.peak])

    @property
    def peak_moment(self) -> Moment:
        """The operator at the peak."""
        return self.timeline.moments[self.timeline.peak]

    @property
    def at_peak(self) -> dict[StorageRole, int]:
        """Bytes at the peak, by role."""
        return self.timeline.by_role(self.timeline.peak)

    @property
    def by_module(self) -> tuple[Standing, ...]:
        """The live arrays at the peak by role and module, most bytes first."""
        return self.timeline.standing(self.timeline.peak)

    @property
    def activations(self) -> int:
        """Bytes that a forward pass leaves for the backward pass, without the inputs."""
        return self.timeline.by_role(self.timeline.end_of_forward())["activations"]

    @property
    def most(self) -> dict[StorageRole, int]:
        """The most bytes that each role takes at any moment."""
        return {role: int(live.max()) for role, live in self.timeline.live_bytes.items()}

    @property
    def moments(self) -> dict[str, list[Any]]:
        """The timeline at 500 moments: the phase of each, and the bytes that stand, by role."""
        line, times = self.timeline, self.timeline.thinned(500)
        phases = [line.moments[time].phase for time in times]
        return {"phase": phases, **{r: live[times].tolist() for r, live in line.live_bytes.items()}}

    def to_dict(self) -> dict[str, Any]:
        """Return its record, the timeline thinned to 500 moments."""
        return to_record(self)


def _any_layer(path: str) -> str:
    """Return a module's path with every number in it as ``*``: ``layers.*.mlp``."""
    return re.sub(r"(?<![^.])\d+(?![^.])", "*", path)

"""Segments of a trace, and what their names stand for: a name of a folded one is of many arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from memorywall.core.tensors import Role
from memorywall.frontends.tracing.fold.layer_names import layer_names
from memorywall.frontends.tracing.interpret.arrays import Array
from memorywall.frontends.tracing.interpret.events import Event

# What all rounds of a segment hold in the place of an array of the one that stands for them.
Alike = Mapping[Array, set[Array]]

_HELD: tuple[Role, ...] = ("weight", "state", "kv_cache")


@dataclass(slots=True, eq=False)
class Segment:
    """A run of events, each ``repeat`` times; under ``path``, less ``prefix`` of its own names.

    ``layers`` are the paths that stand for those of single layers; ``phase`` is of a training step;
    ``alike`` is what the rounds hold, where there are several.
    """

    path: str
    prefix: str
    events: list[Event]
    repeat: int = 1
    shared: bool = False
    layers: Mapping[str, str] = field(default_factory=dict)
    phase: str = ""
    alike: Alike = field(default_factory=dict)

    def names(self) -> dict[Array, str]:
        """Return the names of what belongs to layers, where it is not the arrays' own."""
        arrays = (view.array for event in self.events for view, _ in event.reads + event.writes)
        return layer_names(arrays, self.layers) if self.layers else {}

    def held(self, *roles: Role) -> Iterator[tuple[str, set[Array]]]:
        """Yield the names of what outlives an operator, with the arrays that each stands for."""
        names = self.names()
        met: set[tuple[Array, int]] = set()
        for event in self.events:
            for view, _ in event.reads + event.writes:
                array = view.array
                if array.role in roles and (array, view.version) not in met:
                    met.add((array, view.version))
                    name = names.get(array, array.name_of(view.version))
                    yield name, self.alike.get(array, {array})


def alike(runs: Sequence[list[Event]]) -> Alike:
    """Return what runs of the same events hold in the places of the second's arrays."""
    found: dict[Array, set[Array]] = {}
    for run in runs:
        for event, like in zip(run, runs[1], strict=True):
            parts = zip(event.reads + event.writes, like.reads + like.writes, strict=True)
            for (view, _), (named, _) in parts:
                if named.array.role in _HELD:
                    found.setdefault(named.array, set()).add(view.array)
    return found


def weights_by_name(segments: Iterable[Segment]) -> dict[str, set[Array]]:
    """Return the weights that each name stands for; some may stand under several."""
    found: dict[str, set[Array]] = {}
    for segment in segments:
        for name, arrays in segment.held("weight"):
            found.setdefault(name, set()).update(arrays)
    return found


def are_countable(weights: Mapping[str, set[Array]]) -> bool:
    """Tell whether all weights under one name are of one size: their number says how many."""
    return all(len({array.elements for array in arrays}) == 1 for arrays in weights.values())


def resident(segments: Sequence[Segment]) -> dict[str, int]:
    """Return how many arrays the names of what outlives an operator stand for, each counted once.

    An array counts under the first name that it has, wherever it is met: layers that are shared may
    be folded in one place and stand alone in another. What a cache was and what it became are two
    arrays of one name and one memory, so that of caches the most that stand in one place count.
    """
    held = [found for segment in segments for found in segment.held(*_HELD)]
    first: dict[Array, str] = {}
    for name, arrays in held:
        for array in arrays:
            first.setdefault(array, name)
    counts = dict.fromkeys((name for name, _ in held), 0)
    for name, arrays in held:
        own = sum(first[array] == name for array in arrays)
        counts[name] = max(counts[name], own)
    for name, arrays in weights_by_name(segments).items():
        counts[name] = sum(first[array] == name for array in arrays)
    return counts

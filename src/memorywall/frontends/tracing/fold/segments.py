"""Segments of a trace, and the arrays of their names: a folded name represents many arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from memorywall.core.tensors import Role
from memorywall.frontends.tracing.fold.layer_names import layer_names
from memorywall.frontends.tracing.interpret.arrays import Array
from memorywall.frontends.tracing.interpret.events import Event

# The arrays of all rounds of a segment at the place of an array of the representing round.
Alike = Mapping[Array, set[Array]]

_HELD: tuple[Role, ...] = ("weight", "state", "buffer", "kv_cache")


@dataclass(slots=True, eq=False)
class Segment:
    """A run of events, each ``repeat`` times; under ``path``, without ``prefix`` in its names.

    ``layers`` are the representing paths of single layers; ``phase`` is of a training step;
    ``alike`` holds the arrays of the rounds, if there are several.
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
        """Return the names of arrays of layers, if they differ from the arrays' names."""
        arrays = (view.array for event in self.events for view, _ in event.reads + event.writes)
        return layer_names(arrays, self.layers) if self.layers else {}

    def held(self, *roles: Role) -> Iterator[tuple[str, set[Array]]]:
        """Yield the names of persistent arrays, with the arrays that each represents."""
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
    """Return the arrays of runs of the same events, by those of the second run."""
    found: dict[Array, set[Array]] = {}
    for run in runs:
        for event, like in zip(run, runs[1], strict=True):
            parts = zip(event.reads + event.writes, like.reads + like.writes, strict=True)
            for (view, _), (named, _) in parts:
                if named.array.role in _HELD:
                    found.setdefault(named.array, set()).add(view.array)
    return found


def weights_by_name(segments: Iterable[Segment]) -> dict[str, set[Array]]:
    """Return the weights that each name represents; a weight may have several names."""
    found: dict[str, set[Array]] = {}
    for segment in segments:
        for name, arrays in segment.held("weight"):
            found.setdefault(name, set()).update(arrays)
    return found


def are_countable(weights: Mapping[str, set[Array]]) -> bool:
    """Return whether all weights under one name have one size, so that a count describes them."""
    return all(len({array.elements for array in arrays}) == 1 for arrays in weights.values())


def resident(segments: Sequence[Segment]) -> dict[str, int]:
    """Return the number of arrays that each name of a persistent array represents, each once.

    An array counts under its first name: shared layers may be folded in one place and single in
    another. A cache before and after its growth is two arrays of one name and one memory, so for
    caches the largest number at one place counts.
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

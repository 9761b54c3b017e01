"""Names within repeated layers: the names of one layer represent all.

The output of one layer and the input of the next have one name, so that they are one array.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from memorywall.core.program import OF_LAYERS
from memorywall.frontends.tracing.interpret.arrays import Array, View
from memorywall.frontends.tracing.interpret.events import Event


def name_runs(runs: Sequence[list[Event]], path: str, prefix: str) -> None:
    """Name the arrays that runs of the same events write after the second run, with ``path``."""
    ours = runs[1]
    _name_own(ours, prefix, path)
    _name_handed_on(runs[0], ours)
    for run in runs:
        for event, like in zip(run, ours, strict=True):
            for (view, _), (named, _) in zip(event.writes, like.writes, strict=True):
                if not of_layer(view.array):
                    view.array.names[view.version] = named.array.name_of(named.version)


def layer_names(arrays: Iterable[Array], layers: Mapping[str, str]) -> dict[Array, str]:
    """Return names of layers' weights and the arrays that belong to them, by the layers' paths.

    States that an optimizer keeps for several layers have separate names.
    """
    found = {array: _in_layer(array.name, layers) for array in set(arrays) if of_layer(array)}
    uses = Counter(found.values())
    return {
        array: array.name if array.role == "optimizer_state" and uses[name] > 1 else name
        for array, name in found.items()
    }


def of_layer(array: Array) -> bool:
    """Return whether an array is a weight, or belongs to one."""
    return array.role in OF_LAYERS


def _in_layer(name: str, layers: Mapping[str, str]) -> str:
    parts = name.split(".")
    for end in range(1, len(parts)):
        path = layers.get(".".join(parts[:end]))
        if path is not None:
            return ".".join((path, *parts[end:]))
    return name


def _name_own(events: list[Event], prefix: str, path: str) -> None:
    """Replace names of this run's module by the name that represents all runs."""
    if prefix == path:
        return
    for event in events:
        for view, _ in (*event.reads, *event.writes):
            array = view.array
            if array.name.startswith(f"{prefix}.") and not of_layer(array):
                array.name = path + array.name[len(prefix) :]


def _name_handed_on(first: list[Event], second: list[Event]) -> None:
    """Give the input of the first run the name of its output to the second."""
    made = {view.array for event in first for view, _ in event.writes}
    taken: list[tuple[View, View]] = []
    for event, like in zip(first, second, strict=True):
        for (view, _), (named, _) in zip(event.reads, like.reads, strict=True):
            if named.array in made and view.array not in made:
                taken.append((view, named))
    still_read = {view.array for event in second for view, _ in event.reads}
    for view, named in taken:
        if view.array.role == "activation" and view.array not in still_read:
            view.array.names[view.version] = _written_name(first, second, named)


def _written_name(first: list[Event], second: list[Event], handed: View) -> str:
    """Return the name, in the second run, of an array that the first wrote."""
    for event, like in zip(first, second, strict=True):
        for (view, _), (named, _) in zip(event.writes, like.writes, strict=True):
            if view.array is handed.array and view.version == handed.version:
                return named.array.name_of(named.version)
    return handed.array.name_of(handed.version)

"""Paths of repeated layers: one path represents all of them, the same in every phase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from memorywall.frontends.tracing.interpret.events import Event, Frame


class LayerPaths:
    """The paths that represent layers.

    Attributes:
        given: the representing path of each layer, by the layer's path.
    """

    def __init__(self) -> None:
        self.given: dict[str, str] = {}
        self._taken: Counter[str] = Counter()

    def of(self, calls: Sequence[Frame | None], runs: Sequence[list[Event]]) -> tuple[str, str]:
        """Return the path that represents all runs, and the path that it replaces in the second.

        Args:
            calls: of the modules of the first run; None for an operator outside any.
            runs: the operators of each run.
        """
        frames = [frame for frame in calls if frame is not None]
        path, prefix = _common(frames, len(calls) == 1, runs)
        path = self._own(path, prefix)
        if frames:
            self._give(frames[0].depth, [path] if len(calls) == 1 else [], runs)
        return path, prefix

    def _own(self, path: str, prefix: str) -> str:
        """Return the path of a layer in another phase, or one that is unique to its kind."""
        if prefix in self.given:
            return self.given[prefix]
        self._taken[path] += 1
        again = path != prefix and self._taken[path] > 1
        return f"{path}_{self._taken[path]}" if again else path

    def _give(self, depth: int, path: list[str], runs: Sequence[list[Event]]) -> None:
        """Record the representing path of each layer: the path, or those of the second run."""
        layers = [list(dict.fromkeys(_path_at(event, depth) for event in run)) for run in runs]
        for layer in layers:
            for own, ours in zip(layer, path or layers[1], strict=False):
                self.given.setdefault(own, self.given.get(ours, ours))


def _common(frames: list[Frame], alone: bool, runs: Sequence[list[Event]]) -> tuple[str, str]:
    if not (alone and frames):
        above = frames[0].path.rpartition(".")[0] if frames else runs[0][0].frame.path
        return above, above
    ours = _path_at(runs[1][0], frames[0].depth)
    if ours == frames[0].path:
        return ours, ours
    above, _, number = ours.rpartition(".")
    return (above if number.isdigit() and above else ours), ours


def _path_at(event: Event, depth: int) -> str:
    """Return the path of an event's module at a depth."""
    frame = event.frame
    while frame.depth > depth and frame.parent is not None:
        frame = frame.parent
    return frame.path

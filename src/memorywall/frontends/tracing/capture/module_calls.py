"""Which call of a module an operator is part of: while it runs, on the way back, in the optimizer.

An operator of the backward pass is part of what its forward operator was part of. So is what a
checkpoint computes again. An operator of the optimizer is part of the module whose weight it works
on.
"""

from __future__ import annotations

from collections import Counter

import torch

from memorywall.frontends.tracing.interpret.events import Frame


class Frames:
    """Calls of modules, as a training step makes them."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin a step: modules are called for the first time, and names begin anew."""
        self._running = [Frame("", None, 1, 0)]
        self._visits: Counter[str] = Counter()
        self._of_node: dict[int, Frame] = {}  # autograd nodes' sequence numbers -> calls
        self._back: dict[Frame, Frame] = {}
        self._latest: dict[str, Frame] = {}
        self._owners = {"": Frame("", None, 1, 0)}
        self._last = self._twin(self._running[0])

    @property
    def here(self) -> Frame:
        """The call that runs."""
        return self._running[-1]

    def enter(self, path: str) -> None:
        """Begin a call of a module."""
        if _backward() and len(self._running) == 1:
            frame = self._again(path)
        else:
            self._visits[path] += 1
            frame = Frame(path, self.here, self._visits[path], self.here.depth + 1)
            self._latest[path] = frame
        self._running.append(frame)

    def leave(self) -> None:
        """End it."""
        self._running.pop()

    def remember(self, frame: Frame) -> None:
        """Note whose autograd node was made last, if any was: the number has counted on."""
        self._of_node.setdefault(torch.autograd._get_sequence_nr() - 1, frame)  # noqa: SLF001

    def back(self) -> Frame:
        """Return the call that the backward pass is at, or was at last.

        Sums of gradients, between the nodes, are part of what came before.
        """
        if len(self._running) > 1:
            return self.here
        node = torch._C._current_autograd_node()  # noqa: SLF001 - there is no public way
        found = None if node is None else self._of_node.get(node._sequence_nr())  # noqa: SLF001
        if found is not None:
            self._last = self._twin(found)
        return self._last

    def owner(self, path: str) -> Frame:
        """Return what stands for a module in the optimizer."""
        found = self._owners.get(path)
        if found is None:
            above = self.owner(path.rpartition(".")[0])
            found = self._owners[path] = Frame(path, above, 1, above.depth + 1)
        return found

    def _twin(self, frame: Frame) -> Frame:
        """Return what stands for a call on the way back."""
        found = self._back.get(frame)
        if found is None:
            above = None if frame.parent is None else self._twin(frame.parent)
            found = self._back[frame] = Frame(frame.path, above, frame.visit, frame.depth)
            self._back[found] = found
        return found

    def _again(self, path: str) -> Frame:
        """Return the call on the way back that is computed again here."""
        node = torch._C._current_autograd_node()  # noqa: SLF001
        frame = self._of_node.get(node._sequence_nr())  # noqa: SLF001
        while frame is not None and frame.path != path:
            frame = frame.parent
        frame = frame or self._latest.get(path)
        return (
            Frame(path, self._last, 1, self._last.depth + 1) if frame is None else self._twin(frame)
        )


def _backward() -> bool:
    return torch._C._current_autograd_node() is not None  # noqa: SLF001

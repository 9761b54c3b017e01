"""The module call of an operator, in the forward pass, the backward pass and the optimizer.

An operator of the backward pass belongs to the call of its forward operator, and so does the
recomputation of a checkpoint. An operator of the optimizer belongs to the module of its weight.
"""

from __future__ import annotations

from collections import Counter

import torch

from memorywall.frontends.tracing.interpret.events import Frame


class Frames:
    """Calls of modules in a training step."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin a step: reset the calls of modules and the names."""
        self._running = [Frame("", None, 1, 0)]
        self._visits: Counter[str] = Counter()
        self._of_node: dict[int, Frame] = {}  # autograd nodes' sequence numbers -> calls
        self._back: dict[Frame, Frame] = {}
        self._latest: dict[str, Frame] = {}
        self._owners = {"": Frame("", None, 1, 0)}
        self._last = self._twin(self._running[0])

    @property
    def here(self) -> Frame:
        """The running call."""
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
        """Record the call of the latest autograd node, if its sequence number has increased."""
        self._of_node.setdefault(torch.autograd._get_sequence_nr() - 1, frame)  # noqa: SLF001

    def back(self) -> Frame:
        """Return the current, or latest, call of the backward pass.

        Sums of gradients between nodes belong to the previous node.
        """
        if len(self._running) > 1:
            return self.here
        node = torch._C._current_autograd_node()  # noqa: SLF001 - there is no public way
        found = None if node is None else self._of_node.get(node._sequence_nr())  # noqa: SLF001
        if found is not None:
            self._last = self._twin(found)
        return self._last

    def owner(self, path: str) -> Frame:
        """Return the call of a module in the optimizer."""
        found = self._owners.get(path)
        if found is None:
            above = self.owner(path.rpartition(".")[0])
            found = self._owners[path] = Frame(path, above, 1, above.depth + 1)
        return found

    def _twin(self, frame: Frame) -> Frame:
        """Return the backward call of a call."""
        found = self._back.get(frame)
        if found is None:
            above = None if frame.parent is None else self._twin(frame.parent)
            found = self._back[frame] = Frame(frame.path, above, frame.visit, frame.depth)
            self._back[found] = found
        return found

    def _again(self, path: str) -> Frame:
        """Return the backward call whose forward pass is recomputed."""
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

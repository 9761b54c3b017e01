"""The lifetimes of PyTorch's storages: when they are allocated and freed."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from memorywall.core.training import Allocation, Moment, StepStage, StorageRole, Timeline

# The GPU's caching allocator returns multiples of this block size (c10/cuda, kMinBlockSize).
_CUDA_BLOCK = 512


@dataclass(slots=True, eq=False)
class _Life:
    """One storage; ``role`` is None until known, ``recomputed``: allocated in a recomputation."""

    nbytes: int
    module: str
    operator: str
    phase: StepStage
    born: int
    recomputed: bool
    role: StorageRole | None = None
    died: int | None = None
    overwritten: int | None = None  # the time of an accumulation into it, if it ends there
    watched: Any = None  # the weak reference that reports its end


class StorageLedger:
    """Records when storages are allocated and freed.

    Attributes:
        moments: the operators so far; the last one's index is the time.
    """

    def __init__(self) -> None:
        self.moments: list[Moment] = [Moment("setup", "", "")]
        self._lives: list[_Life] = []
        self._alive: dict[int, _Life] = {}
        self._last_gradient = 0  # time of the latest operator without a recorded gradient

    def advance(self, moment: Moment, *, recorded: bool) -> None:
        """Begin the next operator; ``recorded``: whether autograd recorded it."""
        self.moments.append(moment)
        if not recorded:
            self._last_gradient = len(self.moments) - 1

    def note(self, tensor: torch.Tensor, module: str, role: StorageRole | None = None) -> None:
        """Record the storage of a tensor, as allocated now if it is new."""
        storage = tensor.untyped_storage()
        key = storage._cdata  # noqa: SLF001 - the identity of a storage
        life = self._alive.get(key)
        if life is None:
            life = self._alive[key] = self._birth(tensor, storage.nbytes(), module)
            life.watched = weakref.ref(storage, partial(self._death, key))
        life.role = role or life.role

    def overwrite(self, tensor: torch.Tensor) -> None:
        """Record that the current operator overwrites a tensor, if that is its last use."""
        life = self._alive.get(tensor.untyped_storage()._cdata)  # noqa: SLF001
        if life is not None and life.role is None and life.born < len(self.moments) - 1:
            life.overwritten = len(self.moments) - 1

    def belongs(self, tensor: torch.Tensor, module: str) -> None:
        """Set the module of a tensor that was allocated outside any module."""
        life = self._alive.get(tensor.untyped_storage()._cdata)  # noqa: SLF001
        if life is not None:
            life.module = life.module or module

    def module_of(self, tensor: torch.Tensor) -> str:
        """Return the recorded path of a tensor's storage; "" for none."""
        life = self._alive.get(tensor.untyped_storage()._cdata)  # noqa: SLF001
        return life.module if life else ""

    def settle(self, role: StorageRole, *phases: StepStage) -> None:
        """Set the role of storages from some phases that exist and have none."""
        for life in self._alive.values():
            if life.role is None and life.phase in phases:
                life.role = role

    def timeline(self) -> Timeline:
        """Return the recorded lifetimes."""
        return Timeline(
            tuple(self.moments),
            tuple(
                Allocation(
                    life.nbytes, life.role or "temporaries", life.module, life.operator, life.born,
                    life.died,
                )
                for life in self._lives
            ),
        )  # fmt: skip

    def _birth(self, tensor: torch.Tensor, nbytes: int, module: str) -> _Life:
        if tensor.device.type == "cuda":
            nbytes = -(-nbytes // _CUDA_BLOCK) * _CUDA_BLOCK
        now = self.moments[-1]
        recomputed = now.phase == "backward" and torch.is_grad_enabled()
        life = _Life(nbytes, module, now.operator, now.phase, len(self.moments) - 1, recomputed)
        self._lives.append(life)
        return life

    def _death(self, key: int, _gone: object) -> None:
        life = self._alive.pop(key)
        now = len(self.moments) - 1
        life.died = now - 1 if life.overwritten == now else now
        life.watched = None
        # A recomputed array was saved for the backward pass if that ran in between.
        if life.role is None and life.recomputed and self._last_gradient > life.born:
            life.role = "activations"

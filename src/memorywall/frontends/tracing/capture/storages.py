"""What PyTorch stores and for how long: births and deaths of storages."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from memorywall.core.training import Allocation, Moment, StepStage, StorageRole, Timeline

# The caching allocator of a GPU hands out whole blocks of so many bytes (c10/cuda, kMinBlockSize).
_CUDA_BLOCK = 512


@dataclass(slots=True, eq=False)
class _Life:
    """One storage; ``role`` is open until it is clear, ``recomputed`` says how it was born."""

    nbytes: int
    module: str
    operator: str
    phase: StepStage
    born: int
    recomputed: bool
    role: StorageRole | None = None
    died: int | None = None
    overwritten: int | None = None  # when it was added to, if it ends there
    watched: Any = None  # the weak reference that tells of its end


class StorageLedger:
    """Notes when storages are born and die.

    Attributes:
        moments: the operators so far; the last one's index is the time.
    """

    def __init__(self) -> None:
        self.moments: list[Moment] = [Moment("setup", "", "")]
        self._lives: list[_Life] = []
        self._alive: dict[int, _Life] = {}
        self._last_gradient = 0  # when an operator last ran that no gradient is recorded of

    def advance(self, moment: Moment, *, recorded: bool) -> None:
        """Go on to the next operator; ``recorded`` says whether autograd recorded it."""
        self.moments.append(moment)
        if not recorded:
            self._last_gradient = len(self.moments) - 1

    def note(self, tensor: torch.Tensor, module: str, role: StorageRole | None = None) -> None:
        """Note the storage of a tensor, as born now if it is new."""
        storage = tensor.untyped_storage()
        key = storage._cdata  # noqa: SLF001 - a storage's one identity
        life = self._alive.get(key)
        if life is None:
            life = self._alive[key] = self._birth(tensor, storage.nbytes(), module)
            life.watched = weakref.ref(storage, partial(self._death, key))
        life.role = role or life.role

    def overwrite(self, tensor: torch.Tensor) -> None:
        """Say that the operator of now writes over a tensor, if that is its last use."""
        life = self._alive.get(tensor.untyped_storage()._cdata)  # noqa: SLF001
        if life is not None and life.role is None and life.born < len(self.moments) - 1:
            life.overwritten = len(self.moments) - 1

    def belongs(self, tensor: torch.Tensor, module: str) -> None:
        """Say which module a tensor belongs to that none was running for."""
        life = self._alive.get(tensor.untyped_storage()._cdata)  # noqa: SLF001
        if life is not None:
            life.module = life.module or module

    def module_of(self, tensor: torch.Tensor) -> str:
        """Return the path that a tensor's storage was noted with; "" for none."""
        life = self._alive.get(tensor.untyped_storage()._cdata)  # noqa: SLF001
        return life.module if life else ""

    def settle(self, role: StorageRole, *phases: StepStage) -> None:
        """Give a role to what was born in some phases and still stands without one."""
        for life in self._alive.values():
            if life.role is None and life.phase in phases:
                life.role = role

    def timeline(self) -> Timeline:
        """Return all that was noted."""
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
        # What a checkpoint computes again was kept for the backward pass if that came in between.
        if life.role is None and life.recomputed and self._last_gradient > life.born:
            life.role = "activations"

"""Differences on a GPU, as far as a machine without one can test them."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from memorywall.bench import allocations
from memorywall.frontends.tracing.capture.optimizers import make_optimizer
from memorywall.frontends.tracing.capture.storages import StorageLedger
from memorywall.frontends.tracing.capture.training_loop import Recipe


@pytest.mark.parametrize(("numbers", "held"), [(1, 512), (128, 512), (129, 1024), (0, 0)])
def test_blocks_of_the_caching_allocator(numbers: int, held: int) -> None:
    ledger = StorageLedger()
    with FakeTensorMode() as mode:
        bare = torch.empty(numbers, device="meta")
        tensor = FakeTensor(mode, bare, torch.device("cuda", 0))
        ledger.note(tensor, "", "inputs")
    # 4 bytes a number, in blocks of 512.
    assert [array.nbytes for array in ledger.timeline().allocations] == [held]


@pytest.mark.parametrize(
    ("backend", "options", "foreach"),
    [
        ("cuda", {}, True), ("cpu", {}, None), ("cuda", {"foreach": False}, False),
        ("cuda", {"fused": True}, None),
    ],
)  # fmt: skip
def test_optimizers_go_over_all_weights_at_once(
    backend: str, options: dict[str, bool], foreach: bool | None
) -> None:
    recipe = Recipe(optimizer="adamw", optimizer_options=options, backend=backend)
    optimizer = make_optimizer(nn.Linear(2, 2), recipe)
    assert optimizer.defaults["foreach"] is foreach


class Allocator:
    """Replaces a GPU's allocator: bytes allocated before, and at the peak."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def take(self, name: str, value: int = 0) -> int:
        self.calls.append(name)
        return value


@pytest.fixture
def allocator(monkeypatch: pytest.MonkeyPatch) -> Allocator:
    found = Allocator()
    ones = torch.ones
    monkeypatch.setattr(torch, "ones", lambda *sizes, device: ones(*sizes))  # noqa: ARG005, PLW0108
    for name, value in (("memory_allocated", 1000), ("max_memory_allocated", 7500),
                        ("reset_peak_memory_stats", 0), ("synchronize", 0)):  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, partial(found.take, name, value))
    return found


def test_the_peak_is_what_came_on_top(allocator: Allocator) -> None:
    assert allocations._peak_on_gpu(partial(allocator.take, "run")) == 6500
    assert allocator.calls == [
        "memory_allocated", "reset_peak_memory_stats", "run", "synchronize",
        "max_memory_allocated",
    ]  # fmt: skip

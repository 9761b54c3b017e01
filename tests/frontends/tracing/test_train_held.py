"""Hooks on a module's tensors, shared storage, and LSTMs' kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from memorywall.bench.allocations import measure_training
from memorywall.core.errors import InvalidInputError
from memorywall.frontends.tracing.capture.training_loop import Recipe
from tests.training import train, training_memory

D, LAYERS = 256, 8
WEIGHT = 4 * D * D
BATCH = torch.empty(4, D, device="meta")


def layers() -> nn.Module:
    return nn.Sequential(*(nn.Linear(D, D, bias=False) for _ in range(LAYERS)))


def own_optimizers(made_by: Callable[..., torch.optim.Optimizer]) -> nn.Module:
    """Return layers whose weights step as soon as their gradients are there."""
    module = layers()
    optimizers = {weight: made_by([weight]) for weight in module.parameters()}

    def step(weight: Any) -> None:
        optimizers[weight].step()
        weight.grad = None

    for weight in module.parameters():
        weight.register_post_accumulate_grad_hook(step)
    return module


def in_place() -> nn.Module:
    module = layers()
    for weight in module.parameters():
        weight.register_post_accumulate_grad_hook(descend)
    return module


OPTIMIZERS: dict[Any, torch.optim.Optimizer] = {}


def by_name() -> nn.Module:
    """Return layers whose hooks find their optimizers among the names of this file."""
    module = layers()
    OPTIMIZERS.clear()
    for weight in module.parameters():
        OPTIMIZERS[weight] = torch.optim.SGD([weight], lr=0.1, momentum=0.9, foreach=False)
        weight.register_post_accumulate_grad_hook(step_by_name)
    return module


def step_by_name(weight: Any) -> None:
    OPTIMIZERS[weight].step()
    weight.grad = None


def descend(weight: Any) -> None:
    with torch.no_grad():
        weight.add_(weight.grad, alpha=-0.1)
    weight.grad = None


SGD = partial(torch.optim.SGD, lr=0.1, foreach=False)
ADAM = partial(torch.optim.Adam, foreach=False)


@pytest.mark.parametrize(
    ("make", "states"),
    [
        (in_place, 0),
        (partial(own_optimizers, SGD), 0),
        (by_name, LAYERS * WEIGHT),  # a momentum for every weight
        # Two moments, and a count of 4 bytes for every weight.
        (partial(own_optimizers, ADAM), LAYERS * (2 * WEIGHT + 4)),
    ],
    ids=["in place", "sgd", "by name", "adam"],
)
@pytest.mark.parametrize("built", [False, True], ids=["factory", "module"])
def test_hooks_step_on_the_way_back(make: Any, states: int, built: bool) -> None:
    traced = training_memory(make() if built else make, BATCH, optimizer="sgd")
    # A gradient is freed before the next one; at the peak it coexists with one being computed.
    assert traced.most["gradients"] == 0
    assert traced.most["optimizer_states"] == states
    assert traced.most["weights"] == LAYERS * WEIGHT
    real = measure_training(make, (BATCH,), {}, Recipe(optimizer="sgd"))
    assert traced.peak_bytes == pytest.approx(real, rel=0.012)


def test_hooks_on_a_gradient_run_for_every_weight() -> None:
    def make() -> nn.Module:
        module = layers()
        for weight in module.parameters():
            weight.register_hook(lambda gradient: gradient.mul(2))
        return module

    operators = [moment.operator for moment in training_memory(make, BATCH).timeline.moments]
    assert operators.count("aten.mul.Tensor") >= 2 * LAYERS


def test_hooks_that_cannot_be_copied_are_refused() -> None:
    def make() -> nn.Module:
        module = layers()
        lines = (line for line in ("one",))  # a generator has no copy
        module[3].weight.register_hook(lambda gradient: gradient.mul(len(next(lines))))
        return module

    with pytest.raises(InvalidInputError, match=r"hook on the parameter 3\.weight cannot be"):
        training_memory(make, BATCH)


class Shares(nn.Module):  # type: ignore[misc]
    """A weight, and a buffer that shows the same numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(D, D))
        self.register_buffer("flat", self.weight.detach().view(-1)[D:])

    def forward(self, x: Any) -> Any:
        return x @ self.weight + self.flat[:D]


@pytest.mark.parametrize("built", [False, True], ids=["factory", "module"])
def test_what_shares_storage_counts_once(built: bool) -> None:
    traced = training_memory(Shares() if built else Shares, BATCH, optimizer="sgd")
    assert (traced.most["weights"], traced.most["buffers"]) == (WEIGHT, 0)
    real = measure_training(Shares, (BATCH,), {}, Recipe(optimizer="sgd"))
    assert traced.peak_bytes == pytest.approx(real, rel=0.012)


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
def test_an_lstm_runs_operator_by_operator() -> None:
    steps, batch, width = 8, 16, 64
    make = partial(nn.LSTM, width, width)
    given = torch.empty(steps, batch, width, device="meta")
    traced = train(make, given, optimizer="sgd")
    assert traced.coverage.unknown == ()
    forward = [
        op.flops * n
        for path, op, n in traced.program.walk()
        if path.startswith("forward.") and op.kind == "gemm"
    ]
    # Each step's four gates: of its input, and of the state before.
    assert sum(forward) == steps * 2 * batch * 4 * width * (width + width)
    assert any("oneDNN" in note for note in traced.notes)
    with torch.backends.mkldnn.flags(enabled=False):
        real = measure_training(make, (given,), {}, Recipe(optimizer="sgd"))
    assert traced.memory is not None
    assert traced.memory.peak_bytes == pytest.approx(real, rel=0.012)


class Twice(torch.autograd.Function):  # type: ignore[misc]
    """x squared, whose gradient is a sum within the Function."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        return (grad * x) + (x * grad)


class Squared(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(64, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        squared: torch.Tensor = Twice.apply(self.up(x))
        return squared


def test_sums_within_a_function_are_not_gradients_added_up() -> None:
    """Both products stand when their sum is made; autograd adds gradients to those it has."""
    given = torch.empty(4096, 64, device="meta")
    real = measure_training(Squared, (given,), {}, Recipe(optimizer="sgd"))
    memory = training_memory(Squared, given, optimizer="sgd")
    assert memory.peak_bytes == pytest.approx(real, rel=0.012)

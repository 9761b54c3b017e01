"""Training steps on fake tensors: every byte by hand."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import pytorch_optimizer
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import memorywall as mw
from memorywall.core.errors import UnsupportedError
from memorywall.core.training import TrainingMemory
from tests.training import training_memory

B, D, F, V = 16, 64, 128, 32  # batch, inputs, hidden, outputs
WEIGHTS = 4 * (D * F + F + F * V + V)
BATCH = torch.empty(B, D, device="meta")


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(D, F), nn.ReLU(), nn.Linear(F, V))


class Blocks(nn.Module):  # type: ignore[misc]
    """Four blocks of a linear layer and a tanh, each of which may be checkpointed."""

    def __init__(self, *, checkpointed: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(D, D), nn.Tanh()) for _ in range(4))
        self.checkpointed = checkpointed

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = checkpoint(layer, x, use_reentrant=False) if self.checkpointed else layer(x)
        return x

    def gradient_checkpointing_enable(self) -> None:
        self.checkpointed = True


def left_for_backward(traced: TrainingMemory) -> dict[str, int]:
    end = traced.timeline.end_of_forward()
    groups = traced.timeline.standing(end)
    return {group.module: group.nbytes for group in groups if group.role == "activations"}


def test_two_layers_with_adam() -> None:
    traced = training_memory(mlp, BATCH, optimizer="adam")
    assert traced.parameters == D * F + F + F * V + V
    most = traced.most
    assert most["weights"] == most["gradients"] == WEIGHTS
    # Two moments as large as the weights, and a count of steps of 4 bytes for each of 4 tensors.
    assert most["optimizer_states"] == 2 * WEIGHTS + 4 * 4
    assert most["inputs"] == 4 * B * D
    # relu's result [B, F] is what both relu and the second layer need; the first layer needs the
    # batch itself. The loss is 4 bytes.
    assert left_for_backward(traced) == {"*": 4 * B * F, "": 4}
    assert traced.activations == 4 * B * F + 4
    # The optimizer works on the largest weight [F, D]: a square root, and that over a number.
    assert traced.at_peak["temporaries"] == 2 * 4 * D * F
    assert traced.peak_bytes == 4 * WEIGHTS + 4 * 4 + 4 * B * D + 2 * 4 * D * F
    assert traced.peak_moment.phase == "optimizer"
    assert traced.peak_moment.module == "0"


@pytest.mark.parametrize(
    ("optimizer", "options", "states"),
    [
        ("sgd", {}, 0),
        ("sgd", {"momentum": 0.9}, WEIGHTS),
        ("Adam", {"amsgrad": True}, 3 * WEIGHTS + 16),
        ("rmsprop", {}, WEIGHTS + 16),
        # Lion keeps one moment, AdEMAMix two and a slow one.
        ("lion", {}, WEIGHTS),
        ("ademamix", {}, 3 * WEIGHTS),
    ],
)
def test_optimizer_states(optimizer: str, options: dict[str, Any], states: int) -> None:
    traced = training_memory(mlp, BATCH, optimizer=optimizer, optimizer_options=options)
    assert traced.most["optimizer_states"] == states


def test_adafactor_keeps_rows_and_columns() -> None:
    # Of a matrix [m, n] it keeps m + n second moments, of a vector all of them, and a count each.
    traced = training_memory(mlp, BATCH, optimizer="adafactor")
    assert traced.most["optimizer_states"] == 4 * ((F + D) + F + (V + F) + V + 4)


# Why optimizers cannot be made of a name and traced on a small module of matrices and vectors.
WANT_MORE = {
    **dict.fromkeys(("adago", "adamuon", "distributedmuon", "muon", "muonclip", "normuon"),
                    "groups of parameters that say use_muon"),
    **dict.fromkeys(("adalomo", "adammini", "lomo"), "the module"),
    **dict.fromkeys(("adahessian", "sophiah"), "create_graph"),
    **dict.fromkeys(("alig", "lbfgs"), "to run the module themselves"),
    **dict.fromkeys(("bsam", "ranger21"), "a number of data or of steps"),
    **dict.fromkeys(("sara", "spam", "stablespam", "swats"), "values"),
    "demo": "another library",
    "spectralsphere": "matrices alone",
}  # fmt: skip
SUPPORTED = set(pytorch_optimizer.get_supported_optimizers())


def trace_with(name: str) -> TrainingMemory:
    """Trace a step of an optimizer that is made of its name and the parameters alone."""
    make = pytorch_optimizer.load_optimizer(name)
    return training_memory(mlp, BATCH, optimizer=lambda module: make(module.parameters()))


@pytest.mark.parametrize("name", sorted(SUPPORTED - set(WANT_MORE)))
def test_pytorch_optimizer(name: str) -> None:
    traced = trace_with(name)
    assert traced.most["weights"] == WEIGHTS
    assert traced.most["gradients"] >= WEIGHTS


@pytest.mark.parametrize("name", sorted(SUPPORTED & set(WANT_MORE)))
def test_optimizers_that_cannot_be_made_of_a_name(name: str) -> None:
    with pytest.raises(mw.MemoryWallError):
        trace_with(name)


def test_optimizers_that_want_more() -> None:
    squared = lambda out: out.pow(2).sum()  # noqa: E731
    # One array for the hessian's diagonal beside two moments.
    hessian = training_memory(mlp, BATCH, optimizer="adahessian", create_graph=True, loss=squared)
    assert hessian.most["optimizer_states"] == 3 * WEIGHTS
    mini = training_memory(mlp, BATCH, optimizer=pytorch_optimizer.load_optimizer("adammini"))
    # One moment for each weight; a second one for each block of them, not more than each row.
    assert WEIGHTS < mini.most["optimizer_states"] < WEIGHTS + 4 * 2 * (F + V) + 100
    with pytest.raises(UnsupportedError, match="create_graph"):
        training_memory(mlp, BATCH, optimizer="adahessian", loss=squared)


def test_an_optimizer_of_ones_own() -> None:
    only_first = lambda module: torch.optim.Adam(module[0].parameters())  # noqa: E731
    traced = training_memory(mlp, BATCH, optimizer=only_first)
    assert traced.most["optimizer_states"] == 2 * 4 * (D * F + F) + 2 * 4


def test_what_blocks_leave_and_checkpoints_do_not() -> None:
    one = 4 * B * D  # what comes out of a block
    plain = training_memory(Blocks, BATCH, optimizer="sgd")
    # tanh's result, four times: for tanh itself and for the next block's linear layer
    assert plain.activations == 4 * one + 4
    for checkpointed in (
        training_memory(partial(Blocks, checkpointed=True), BATCH, optimizer="sgd"),
        training_memory(Blocks, BATCH, optimizer="sgd", checkpointing=True),
    ):
        # The inputs of the last three; the batch is the input of the first.
        assert checkpointed.activations == 3 * one + 4
        # The last block's two results are computed again: linear and tanh; and the loss and
        # its gradient. All three kept inputs still stand.
        assert checkpointed.most["activations"] == (3 + 2) * one + 8
        assert checkpointed.peak_bytes <= plain.peak_bytes + 2 * one


def test_autocast_keeps_half_and_casts_weights() -> None:
    traced = training_memory(Blocks, BATCH, optimizer="sgd", autocast="bf16")
    half = 2 * B * D
    # The batch in 16 bits, four results of tanh, the weights of all but the first layer in 16 bits
    # (it needs no gradient of the batch), the loss.
    assert traced.activations == half + 4 * half + 3 * 2 * D * D + 2
    assert traced.most["gradients"] == traced.most["weights"] == 4 * 4 * (D * D + D)


def test_accumulation_adds_to_the_gradients() -> None:
    once, twice = (
        training_memory(Blocks, BATCH, optimizer="sgd", accumulation=count) for count in (1, 2)
    )
    assert once.most["gradients"] == twice.most["gradients"] == twice.most["weights"]
    # In the second batch's backward pass all gradients stand, and a layer's new one beside its own.
    first = 4 * (D * D + D)
    assert twice.peak_bytes > once.peak_bytes
    assert twice.at_peak["gradients"] == 4 * first
    forward = [m.phase for m in twice.timeline.moments].count("forward")
    assert forward == 2 * [m.phase for m in once.timeline.moments].count("forward")


def test_tied_weights_are_stored_once() -> None:
    class Tied(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(100, D)
            self.head = nn.Linear(D, 100, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, ids: Any) -> Any:
            return self.head(self.embed(ids))

    ids = torch.zeros(B, dtype=torch.int64)
    for source in (Tied, Tied()):
        traced = training_memory(source, ids, optimizer="sgd")
        assert traced.parameters == 100 * D
        assert traced.most["weights"] == traced.most["gradients"] == 4 * 100 * D


def test_relu_in_place_and_batch_norm() -> None:
    def net(*, inplace: bool) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=inplace)
        )

    image = torch.empty(2, 3, 10, 10, device="meta")
    out = 4 * 2 * 8 * 10 * 10
    # The convolution's output is kept for the norm, relu's result for itself; the norm's mean and
    # inverse deviation are 8 numbers each. In place or not, the norm's own output is not kept.
    traced = [
        training_memory(partial(net, inplace=inplace), image, optimizer="sgd")
        for inplace in (True, False)
    ]
    assert [t.activations for t in traced] == [2 * out + 2 * 4 * 8 + 4] * 2
    # Running mean and variance, and a count of batches in 8 bytes.
    assert traced[0].most["buffers"] == 2 * 4 * 8 + 8


def test_max_pool_keeps_places_of_8_bytes() -> None:
    image = torch.empty(2, 3, 8, 8, device="meta", requires_grad=True)
    traced = training_memory(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.MaxPool2d(2)), image,
        optimizer="sgd",
    )  # fmt: skip
    # The pool's input [2, 4, 8, 8], an index for each of its outputs, the loss.
    assert traced.activations == 4 * 2 * 4 * 64 + 8 * 2 * 4 * 16 + 4


def test_a_module_is_left_as_it_is() -> None:
    module = mlp().eval()
    before = {name: weight.clone() for name, weight in module.state_dict().items()}
    traced = training_memory(module, torch.randn(B, D), optimizer="adam")
    assert traced.peak_bytes == training_memory(mlp, BATCH, optimizer="adam").peak_bytes
    assert not module.training
    assert all(weight.grad is None for weight in module.parameters())
    after = module.state_dict()
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


def test_nothing_is_allocated() -> None:
    # 2 x 10^6 x 10^6 weights of 4 bytes are 8 TB, and Adam's states twice that.
    wide = partial(nn.Linear, 10**6, 10**6, bias=False)
    traced = training_memory(
        lambda: nn.Sequential(wide(), wide()), torch.empty(1, 10**6, device="meta"),
        optimizer="adam",
    )  # fmt: skip
    assert traced.most["weights"] == 8 * 10**12
    assert traced.most["optimizer_states"] == 16 * 10**12 + 8


def test_backward_operators_belong_to_their_modules() -> None:
    traced = training_memory(mlp, BATCH, optimizer="sgd")
    steps = [m for m in traced.timeline.moments if m.phase == "backward"]
    assert [m.module for m in steps if m.operator == "aten.threshold_backward.default"] == [
        "1",
        "1",
    ]
    products = [m.module for m in steps if m.operator == "aten.mm.default"]
    # The second layer's input and weight, then the first's weight; twice.
    assert products == ["2", "2", "0"] * 2


def test_losses() -> None:
    squared = training_memory(mlp, BATCH, optimizer="sgd", loss=lambda out: (out**2).mean())
    # pow keeps its input [B, V].
    assert squared.activations == 4 * B * F + 4 * B * V + 4

    class WithLoss(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(D, V)

        def forward(self, x: Any) -> Any:
            y = self.layer(x)
            return {"scores": y, "other": None}

    named = training_memory(WithLoss, BATCH, optimizer="sgd")
    assert named.activations == 4  # a linear layer keeps its input, which is the batch

"""Modules that cannot be traced: where, why, and what to do."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from memorywall.core.errors import InvalidInputError, UnknownNameError, UnsupportedError
from tests.training import train, training_memory

BATCH = torch.empty(4, 8, device="meta")


class Faulty(nn.Module):  # type: ignore[misc]
    """A module whose second layer does something."""

    def __init__(self, act: Any) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.deep = nn.ModuleDict({"er": Does(act)})

    def forward(self, x: Any) -> Any:
        return self.deep["er"](self.first(x))


class Does(nn.Module):  # type: ignore[misc]
    def __init__(self, act: Any) -> None:
        super().__init__()
        self.act = act

    def forward(self, x: Any) -> Any:
        return self.act(x)


def branch(x: Any) -> Any:
    return x if x.sum() > 0 else -x


def fixed_device(x: Any) -> Any:
    return x + torch.ones(8, device="cuda")


def wrong_shape(x: Any) -> Any:
    return x @ torch.ones(9, 9)


def fails(_x: Any) -> Any:
    raise KeyError("no such key")


@torch.library.custom_op("memorywall_tests::unknown", mutates_args=())  # type: ignore[untyped-decorator]
def unknown(x: torch.Tensor) -> torch.Tensor:
    return x.clone()


@pytest.mark.parametrize(
    ("act", "said", "hint"),
    [
        (branch, "depends on the values of a tensor", "torch.where"),
        (lambda x: x[x > 0], "aten.nonzero", "torch.where"),
        (fixed_device, "cuda", "x.device"),
        (wrong_shape, "RuntimeError", "real inputs"),
        (fails, "KeyError: 'no such key'", "real inputs"),
        (unknown, "memorywall_tests::unknown", "register_fake"),
    ],
    ids=["branch", "mask", "device", "shape", "python", "operator"],
)
def test_forward(act: Any, said: str, hint: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        train(partial(Faulty, act), BATCH)
    assert caught.value.message.startswith("deep.er, forward")
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_backward_names_the_module_of_the_forward_operator() -> None:
    class Breaks(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(_ctx: Any, x: Any) -> Any:
            return x.clone()

        @staticmethod
        def backward(_ctx: Any, grad: Any) -> Any:
            return grad if grad.sum() > 0 else -grad

    with pytest.raises(UnsupportedError) as caught:
        train(partial(Faulty, Breaks.apply), BATCH)
    assert caught.value.message.startswith("deep.er, backward: ")


def test_after_a_checkpoint_has_stopped_early() -> None:
    # Recomputation ends by a separate error; that must neither hide the real one nor keep its
    # frames, and they the activations, alive.
    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Sequential(nn.Linear(8, 8), nn.Tanh())

        def forward(self, x: Any) -> Any:
            x = torch.utils.checkpoint.checkpoint(self.layer, x, use_reentrant=False)
            return torch.utils.checkpoint.checkpoint(self.layer, x, use_reentrant=False)

    traced = training_memory(Net, BATCH)
    end = traced.timeline.by_role(len(traced.timeline.moments) - 1)
    assert end["activations"] == 0


class Sparse(nn.Module):  # type: ignore[misc]
    """Whose table's gradient is of the rows that the indices name."""

    def __init__(self) -> None:
        super().__init__()
        self.deep = nn.ModuleDict({"table": nn.Embedding(100, 8, sparse=True)})

    def forward(self, ids: Any) -> Any:
        return self.deep["table"](ids)


@pytest.mark.parametrize("optimizer", ["sparseadam", "sgd"])
def test_sparse_gradients_are_refused(optimizer: str) -> None:
    with pytest.raises(UnsupportedError, match=r"^deep\.table, backward: sparse tensors") as said:
        train(Sparse, "int64[4,6]", optimizer=optimizer)
    assert "sparse=False" in said.value.hint
    edges = torch.eye(8).to_sparse()
    with pytest.raises(UnsupportedError, match=r"^an input: sparse tensors are not supported"):
        train(lambda: nn.Linear(8, 8), edges)

    class Graph(nn.Linear):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(8, 8)
            self.register_buffer("edges", edges)

    with pytest.raises(UnsupportedError, match=r"^the module: sparse tensors are not supported"):
        train(Graph(), BATCH)


class Uncopyable(nn.Linear):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(8, 8)
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("gpt2", "must be a module or a function"),
        (lambda: 3, "must return a torch.nn.Module, got 3"),
        (lambda: nn.LazyLinear(8), "lazy"),
        (Uncopyable(), "cannot be copied"),
    ],
    ids=["text", "number", "lazy", "lock"],
)
def test_sources(source: Any, said: str) -> None:
    with pytest.raises((InvalidInputError, UnsupportedError), match=said):
        train(source, BATCH)


def test_a_factory_that_fails() -> None:
    with pytest.raises(UnsupportedError, match="The factory failed on the meta device"):
        train(lambda: nn.Linear(int(torch.linspace(1, 8, 3)[2].item()), 8), BATCH)


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ({"optimizer": "adamv"}, UnknownNameError, "Did you mean adam"),
        ({"optimizer": "lbfgs"}, InvalidInputError, "runs the model a number of times"),
        ({"optimizer": "sgd", "optimizer_options": {"rate": 1}}, InvalidInputError, "rate"),
        ({"autocast": "int8"}, UnknownNameError, "bf16"),
        ({"checkpointing": True}, InvalidInputError, "torch.utils.checkpoint"),
        ({"backend": "gpu"}, InvalidInputError, "must be cpu or cuda, got 'gpu'"),
        ({"backend": 3}, InvalidInputError, "must be cpu or cuda, got 3"),
        ({"backend": "cpu:abc"}, InvalidInputError, "got 'cpu:abc'"),
        ({"backend": "cuda:zz"}, InvalidInputError, "got 'cuda:zz'"),
        ({"autocast": ["bf16"]}, InvalidInputError, "must be bf16 or fp16, got"),
        ({"accumulation": True}, InvalidInputError, "from 1, got True"),
        ({"accumulation": 4097}, InvalidInputError, "at most 4096"),
        ({"steps": 10**9}, InvalidInputError, "at most 4096"),
        ({"loss": "cross_entropy"}, InvalidInputError, "loss must be a function, got 'cross"),
        ({"optimizer": 3}, InvalidInputError, "optimizer must be a function, got 3"),
        ({"accumulation": 0}, InvalidInputError, "from 1, got 0"),
        ({"steps": 1.5}, InvalidInputError, "got 1.5"),
        ({"loss": lambda out: out["loss"]}, UnsupportedError, "tensor"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_recipes(words: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        train(lambda: nn.Linear(8, 8), BATCH, **words)


def test_checkpointing_that_a_class_of_transformers_refuses() -> None:
    class Refuses(nn.Linear):  # type: ignore[misc]
        def gradient_checkpointing_enable(self) -> None:
            raise ValueError("Refuses does not support gradient checkpointing.")

    with pytest.raises(InvalidInputError, match="to enable: Refuses does not support"):
        train(lambda: Refuses(8, 8), BATCH, checkpointing=True)


@pytest.mark.parametrize(
    ("act", "loss", "said"),
    [
        (torch.tanh, None, "the sum of its first tensor, without labels"),
        (torch.tanh, lambda out: out.square().mean(), "as given"),
        (lambda x: x.square().mean(), None, "the loss of the output"),
    ],
    ids=["none", "given", "own"],
)
def test_what_the_loss_was_is_reported(act: Any, loss: Any, said: str) -> None:
    traced = train(partial(Faulty, act), BATCH, loss=loss)
    assert traced.conventions["loss"] == said
    assert any("there are no labels" in note for note in traced.notes) == (said[:7] == "the sum")


def test_no_loss() -> None:
    class Says(nn.Linear):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            super().forward(x)
            return "done"

    with pytest.raises(InvalidInputError, match="must return a loss or a tensor"):
        train(lambda: Says(8, 8), BATCH)


def test_values_that_an_optimizer_reads_are_noted() -> None:
    traced = training_memory(lambda: nn.Linear(8, 8), BATCH, optimizer="prodigy")
    assert any("the optimizer read" in note for note in traced.notes)
    # Prodigy keeps two moments, the first weights, and a sum: four arrays of the weights' size.
    assert traced.most["optimizer_states"] >= 4 * 4 * 72


@pytest.mark.skipif(torch.version.cuda is not None, reason="PyTorch is built with CUDA")
def test_cuda_needs_a_build_with_it() -> None:
    with pytest.raises(UnsupportedError, match="built with CUDA"):
        train(lambda: nn.Linear(8, 8), BATCH, backend="cuda")

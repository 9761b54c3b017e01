"""Training steps: the loop that runs on fake tensors in a trace, and on real ones."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from memorywall.core.errors import InvalidInputError, UnknownNameError, shown
from memorywall.core.training import StepStage

# transformers' two names for it, and timm's.
_SWITCHES = (
    "activation_checkpointing_enable", "gradient_checkpointing_enable", "set_grad_checkpointing",
)  # fmt: skip
_FUNCTIONS = {
    "optimizer": "For example: adamw, or lambda module: torch.optim.SGD(module.parameters()).",
    "loss": "A function of the output: lambda out: torch.nn.functional.cross_entropy(out, labels).",
}
_DEVICE = re.compile(r"(cpu|cuda)(:\d{1,2})?")
_MOST_RUNS = 4096  # batches per step, and steps: each takes as long as the first
_OWN_LOSS, _GIVEN_LOSS = "the loss of the output", "as given"
SUMMED_LOSS = "the sum of its first tensor, without labels"
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Recipe:
    """The recipe of a training step.

    Attributes:
        optimizer: a name in torch or pytorch-optimizer, or a function of the module that returns
            one.
        optimizer_options: keyword arguments for an optimizer that is given by name.
        loss: a function of the module's output; None for the output's ``loss``, else the sum of its
            first tensor.
        autocast: ``bf16`` or ``fp16`` for the forward pass; None for none.
        checkpointing: whether the module's own gradient checkpointing is switched on.
        accumulation: batches to an optimizer step.
        create_graph: whether the backward pass is recorded, for optimizers of second order.
        steps: optimizer steps; the states made in the first stand from the second's beginning.
        backend: what it runs on: ``cpu``, ``cuda``, or one GPU, such as ``cuda:1``.
    """

    optimizer: str | Callable[[torch.nn.Module], torch.optim.Optimizer] = "adamw"
    optimizer_options: Mapping[str, Any] | None = None
    loss: Callable[[Any], torch.Tensor] | None = None
    autocast: str | None = None
    checkpointing: bool = False
    accumulation: int = 1
    create_graph: bool = False
    steps: int = 2
    backend: str = "cpu"

    def __post_init__(self) -> None:
        for name, made in (("optimizer", self.optimizer), ("loss", self.loss)):
            named = name == "optimizer" and isinstance(made, str)
            if made is not None and not named and not callable(made):
                raise InvalidInputError(
                    f"{name} must be a function, got {shown(made)}", _FUNCTIONS[name]
                )
        if self.autocast is not None and not isinstance(self.autocast, str):
            raise InvalidInputError(f"autocast must be bf16 or fp16, got {shown(self.autocast)}")
        if self.autocast is not None and self.autocast not in AUTOCAST:
            raise UnknownNameError(
                "autocast format", self.autocast, AUTOCAST, "Formats: bf16, fp16."
            )
        for name in ("accumulation", "steps"):
            _check_count(name, getattr(self, name))
        if not isinstance(self.backend, str) or not _DEVICE.fullmatch(self.backend):
            raise InvalidInputError(
                f"backend must be cpu or cuda, got {shown(self.backend)}",
                "Or one GPU, such as cuda:1.",
            )


def _check_count(name: str, count: object) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= _MOST_RUNS:
        raise InvalidInputError(
            f"{name} must be a whole number from 1, got {shown(count)}",
            f"Each is run: at most {_MOST_RUNS}.",
        )


def train(
    module: torch.nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    enter: Callable[[StepStage], object] = lambda _phase: None,
) -> str:
    """Run the steps of a recipe; arrays of one batch are freed before the next.

    ``enter`` is called before the set-up of a step, every forward and backward pass, and every step
    of the optimizer. Returns the kind of loss.
    """
    loss = ""
    for _ in range(recipe.steps):
        enter("setup")
        optimizer.zero_grad()
        for _ in range(recipe.accumulation):
            loss = _pass(module, args, kwargs, recipe, enter)
        enter("optimizer")
        optimizer.step()
    enter("setup")
    return loss


def enable_checkpointing(module: torch.nn.Module) -> None:
    """Enable a module's gradient checkpointing, by transformers' or timm's method.

    Raises:
        InvalidInputError: it has no such method, or the method refuses.
    """
    why = ""
    for switch in (getattr(module, name) for name in _SWITCHES if hasattr(module, name)):
        try:
            switch()
        except ValueError as error:  # all of transformers' classes have the method
            why = f": {error}"
            break
        return
    raise InvalidInputError(
        f"{type(module).__name__} has no gradient checkpointing to enable{why}",
        "Call torch.utils.checkpoint.checkpoint in its forward: it is traced unchanged.",
    )


def _pass(
    module: torch.nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    recipe: Recipe,
    enter: Callable[[StepStage], object],
) -> str:
    enter("forward")
    with _autocast(recipe):
        loss, what = _loss(module(*args, **kwargs), recipe.loss)
    enter("backward")
    loss.backward(create_graph=recipe.create_graph)
    return what


def _autocast(recipe: Recipe) -> Any:
    if recipe.autocast is None:
        return contextlib.nullcontext()
    return torch.autocast(torch.device(recipe.backend).type, AUTOCAST[recipe.autocast])


def _loss(output: Any, of: Callable[[Any], torch.Tensor] | None) -> tuple[torch.Tensor, str]:
    """Return the scalar of the backward pass, and its kind."""
    if of is not None:
        return of(output), _GIVEN_LOSS
    own = getattr(output, "loss", None)
    if isinstance(own, torch.Tensor):
        return own, _OWN_LOSS
    first = next((leaf for leaf in tree_leaves(output) if isinstance(leaf, torch.Tensor)), None)
    if first is None:
        raise InvalidInputError(
            f"the module must return a loss or a tensor, got {type(output).__name__}.",
            "Pass loss=, a function of the output that returns a scalar.",
        )
    return (first, _OWN_LOSS) if first.ndim == 0 else (first.sum(), SUMMED_LOSS)

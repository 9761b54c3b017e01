"""Training steps: the loop that is traced on fake tensors, and run on real ones."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from memorywall.core.errors import InvalidInputError, UnknownNameError, shown
from memorywall.core.training import Phase

# transformers' two names for it, and timm's.
_SWITCHES = (
    "activation_checkpointing_enable", "gradient_checkpointing_enable", "set_grad_checkpointing",
)  # fmt: skip
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Recipe:
    """How a module is trained.

    Attributes:
        optimizer: a name of torch's or pytorch-optimizer's, or what makes one of the module.
        optimizer_options: keyword arguments for an optimizer that is given by name.
        loss: of the module's output; None for the output's own ``loss``, else the sum of its first
            tensor.
        autocast: ``bf16`` or ``fp16`` for the forward pass; None for none.
        checkpointing: whether the module's own gradient checkpointing is switched on.
        accumulation: batches to an optimizer step.
        create_graph: whether the backward pass is recorded, for optimizers of second order.
        steps: optimizer steps; the states made in the first stand from the second's beginning.
        device: what it runs on.
    """

    optimizer: str | Callable[[torch.nn.Module], torch.optim.Optimizer] = "adamw"
    optimizer_options: Mapping[str, Any] | None = None
    loss: Callable[[Any], torch.Tensor] | None = None
    autocast: str | None = None
    checkpointing: bool = False
    accumulation: int = 1
    create_graph: bool = False
    steps: int = 2
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.autocast is not None and self.autocast not in AUTOCAST:
            raise UnknownNameError(
                "autocast format", self.autocast, AUTOCAST, "Formats: bf16, fp16."
            )
        for name in ("accumulation", "steps"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise InvalidInputError(
                    f"{name}: expected a whole number from 1 on, got {shown(getattr(self, name))}."
                )


def train(
    module: torch.nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    enter: Callable[[Phase], object] = lambda _phase: None,
) -> None:
    """Run the steps of a recipe; nothing of one batch is held when the next begins.

    ``enter`` is called before the set-up of a step, every forward and backward pass, and every
    step of the optimizer.
    """
    for _ in range(recipe.steps):
        enter("setup")
        optimizer.zero_grad()
        for _ in range(recipe.accumulation):
            _pass(module, args, kwargs, recipe, enter)
        enter("optimizer")
        optimizer.step()
    enter("setup")


def enable_checkpointing(module: torch.nn.Module) -> None:
    """Switch a module's own gradient checkpointing on, by transformers' or timm's method.

    Raises:
        InvalidInputError: it has no such method, or that says that it cannot.
    """
    why = ""
    for switch in (getattr(module, name) for name in _SWITCHES if hasattr(module, name)):
        try:
            switch()
        except ValueError as error:  # transformers' classes have it, whether they can or not
            why = f": {error}"
            break
        return
    raise InvalidInputError(
        f"{type(module).__name__} has no gradient checkpointing to switch on{why}",
        "Call torch.utils.checkpoint.checkpoint in its forward: it is traced as it stands.",
    )


def _pass(
    module: torch.nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    recipe: Recipe,
    enter: Callable[[Phase], object],
) -> None:
    enter("forward")
    with _autocast(recipe):
        loss = _loss(module(*args, **kwargs), recipe.loss)
    enter("backward")
    loss.backward(create_graph=recipe.create_graph)


def _autocast(recipe: Recipe) -> Any:
    if recipe.autocast is None:
        return contextlib.nullcontext()
    return torch.autocast(torch.device(recipe.device).type, AUTOCAST[recipe.autocast])


def _loss(output: Any, of: Callable[[Any], torch.Tensor] | None) -> torch.Tensor:
    """Return a scalar to go back from."""
    if of is not None:
        return of(output)
    own = getattr(output, "loss", None)
    if isinstance(own, torch.Tensor):
        return own
    first = next((leaf for leaf in tree_leaves(output) if isinstance(leaf, torch.Tensor)), None)
    if first is None:
        raise InvalidInputError(
            f"the module returned {type(output).__name__}: no loss and no tensor is in it.",
            "Give loss=, a function of the output that returns a scalar.",
        )
    return first if first.ndim == 0 else first.sum()

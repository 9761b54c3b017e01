"""Optimizers by name: those of torch, then those of pytorch-optimizer."""

from __future__ import annotations

import importlib.util
import inspect
from typing import Any

import torch

from memorywall.core.errors import InvalidInputError, UnknownNameError
from memorywall.frontends.tracing.capture.training_loop import Recipe

_HINT = "Or pass a function of the module that returns the optimizer."


def make_optimizer(module: torch.nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer for a module's parameters.

    On a GPU torch's optimizers process all parameters at once (``foreach``), the default there:
    that takes memory for another copy of them.

    Raises:
        UnknownNameError: neither library has the optimizer.
        InvalidInputError: it requires other arguments, or calls the model itself.
    """
    if isinstance(recipe.optimizer, str):
        optimizer = _by_name(module, recipe.optimizer, recipe)
    else:
        optimizer = recipe.optimizer(module)
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise InvalidInputError(
            f"{type(optimizer).__name__} runs the model a number of times that depends on values.",
            "Such an optimizer cannot be traced.",
        )
    return optimizer


def _by_name(module: torch.nn.Module, name: str, recipe: Recipe) -> torch.optim.Optimizer:
    made_by = find_optimizer(name)
    options = dict(recipe.optimizer_options or {})
    words = inspect.signature(made_by).parameters
    if (
        torch.device(recipe.backend).type == "cuda"
        and "foreach" in words
        and not options.get("fused")
    ):
        options.setdefault("foreach", True)
    try:
        return made_by(module.parameters(), **options)
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidInputError(f"{name} cannot be built: {error}", _HINT) from error


def find_optimizer(name: str) -> Any:
    """Return the class of an optimizer by its name, case ignored.

    Raises:
        UnknownNameError: neither library has the optimizer.
    """
    wanted = name.casefold()
    own = {
        key.casefold(): value for key, value in vars(torch.optim).items() if _is_optimizer(value)
    }
    if wanted in own:
        return own[wanted]
    if importlib.util.find_spec("pytorch_optimizer") is None:
        raise UnknownNameError(
            "optimizer", name, own, "For more optimizers: pip install 'memorywall[training]'"
        )
    import pytorch_optimizer  # noqa: PLC0415 - an extra

    others = pytorch_optimizer.get_supported_optimizers()
    if wanted not in others:
        raise UnknownNameError("optimizer", name, [*own, *others], _HINT)
    return pytorch_optimizer.load_optimizer(wanted)


def _is_optimizer(value: Any) -> bool:
    return (
        isinstance(value, type)
        and issubclass(value, torch.optim.Optimizer)
        and value is not torch.optim.Optimizer
    )

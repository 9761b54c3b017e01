"""LSTMs on the CPU, where oneDNN's kernel runs a whole layer as one operator."""

from __future__ import annotations

from functools import wraps
from typing import Any

import torch
from torch.backends import mkldnn

NOTE = (
    "An LSTM is counted as PyTorch's operators run it. On the CPU oneDNN runs it in one operator, "
    "which in training takes about twice the layer's memory: that is not counted. "
    "torch.backends.mkldnn.flags(enabled=False) runs the counted operators."
)


def unfold_lstms(module: torch.nn.Module) -> bool:
    """Make LSTMs within a module run operator by operator; return whether there are any."""
    found = [part for part in module.modules() if isinstance(part, torch.nn.LSTM)]
    for part in found:
        # Around these only: elsewhere it may determine the layout of arrays.
        vars(part)["forward"] = _without_mkldnn(part.forward)
    return bool(found)


def _without_mkldnn(forward: Any) -> Any:
    @wraps(forward)
    def run(*args: Any, **kwargs: Any) -> Any:
        with mkldnn.flags(enabled=False):
            return forward(*args, **kwargs)

    return run

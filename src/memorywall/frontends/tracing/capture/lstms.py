"""LSTMs on the CPU, where oneDNN's kernel hides all of a layer in one operator."""

from __future__ import annotations

from functools import wraps
from typing import Any

import torch
from torch.backends import mkldnn

NOTE = (
    "An LSTM is counted as PyTorch's own operators run it. On the CPU oneDNN runs it in one, which "
    "in training takes about twice the layer's memory: that is left out. "
    "torch.backends.mkldnn.flags(enabled=False) runs what is counted."
)


def unfold_lstms(module: torch.nn.Module) -> bool:
    """Let LSTMs within a module run operator by operator; return whether there are any."""
    found = [part for part in module.modules() if isinstance(part, torch.nn.LSTM)]
    for part in found:
        # Around these alone: elsewhere it may decide how arrays lie.
        vars(part)["forward"] = _without_mkldnn(part.forward)
    return bool(found)


def _without_mkldnn(forward: Any) -> Any:
    @wraps(forward)
    def run(*args: Any, **kwargs: Any) -> Any:
        with mkldnn.flags(enabled=False):
            return forward(*args, **kwargs)

    return run

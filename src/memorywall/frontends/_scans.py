"""Recurrences over a sequence as one operator each, in the place of PyTorch's loops over positions.

Where their kernels are not installed, transformers' state-space and linear-attention layers fall
back on loops in Python, one position or chunk at a time, which no user of a GPU runs and which
take minutes to trace. They are counted as what they compute, position by position: every input is
read once, the outputs are written, and the state stays on chip. Letters: B batch, T positions,
D channels, N state size, H heads, K and V widths of a head's keys and values.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import torch

Arguments: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scan:
    """A recurrence: its FLOPs, what it returns, and the tensors that it reads."""

    flops: Callable[[Arguments], int]
    run: Callable[[Arguments], tuple[torch.Tensor, torch.Tensor]]
    asks_state: str  # the argument that asks for the last state too


def _selective_flops(a: Arguments) -> int:
    """Selective scan of Mamba (Gu and Dao 2023, Algorithm 2): [B, D, T], a state of N each.

    For every state element 8: dt A and its exponential, dt B, times x; decay times the state, plus
    that; C times the state, summed. For every channel 2 for D x; 4 and 1 for silu(z) and its
    product; 1 for the bias of dt, 3 for its softplus.
    """
    channels, state = a["hidden_states"].numel(), a["A"].shape[-1]
    each = 2 * (a["D"] is not None) + 5 * (a["z"] is not None)
    each += (a["delta_bias"] is not None) + 3 * bool(a["delta_softplus"])
    return int(channels * (8 * state + each))


def _selective(a: Arguments) -> tuple[torch.Tensor, torch.Tensor]:
    x = a["hidden_states"]
    return torch.empty_like(x), x.new_empty(*x.shape[:2], a["A"].shape[-1])


def _chunked_flops(a: Arguments) -> int:
    """State-space duality of Mamba-2 (Dao and Gu 2024) as a recurrence: [B, T, H, V], N.

    For every state element 5: decay, dt x times B, added; C times the state, summed. For every
    value 1 for dt x and 2 for D x; for every head 2 for its decay.
    """
    x, state = a["hidden_states"], a["B"].shape[-1]
    heads = prod(x.shape[:-1])
    return int(x.numel() * (5 * state + 1 + 2 * (a["D"] is not None)) + 2 * heads)


def _chunked(a: Arguments) -> tuple[torch.Tensor, torch.Tensor]:
    x = a["hidden_states"]
    batch, _, heads, width = x.shape
    return torch.empty_like(x), x.new_empty(batch, heads, width, a["B"].shape[-1])


def _delta_flops(a: Arguments) -> int:
    """Gated delta rule (Yang, Kautz and Hatamizadeh 2024) as a recurrence: [B, T, H, V], K.

    For every state element 7: decay; what the key recalls, 2; key times the correction, added, 2;
    what the query reads, 2. For every value 2: the difference, times beta.
    """
    value, width = a["value"], a["key"].shape[-1]
    return int(value.numel() * (7 * width + 2))


def _delta(a: Arguments) -> tuple[torch.Tensor, torch.Tensor]:
    value = a["value"]
    batch, _, heads, width = value.shape
    return torch.empty_like(value), value.new_empty(batch, heads, a["key"].shape[-1], width)


SCANS = {
    "mamba_selective_scan": Scan(_selective_flops, _selective, "return_last_state"),
    "mamba2_chunk_scan": Scan(_chunked_flops, _chunked, "return_final_states"),
    "torch_chunk_gated_delta_rule": Scan(_delta_flops, _delta, "output_final_state"),
}

# Given the name, the tensors read, the outputs and the FLOPs of a scan.
Note: TypeAlias = Callable[[str, tuple[torch.Tensor, ...], tuple[torch.Tensor, ...], int], object]


@contextmanager
def analytic_scans(module: torch.nn.Module, note: Note) -> Iterator[None]:
    """Let transformers' loops over positions be one operator each while a module runs."""
    homes = {type(part).__module__ for part in module.modules()}
    places = [
        (sys.modules[home], name)
        for home in homes
        if home.startswith("transformers.")
        for name in SCANS
        if hasattr(sys.modules[home], name)
    ]
    originals = [(place, name, getattr(place, name)) for place, name in places]
    for place, name, original in originals:
        setattr(place, name, _stand_in(name, original, note))
    try:
        yield
    finally:
        for place, name, original in originals:
            setattr(place, name, original)


def _stand_in(name: str, original: Any, note: Note) -> Callable[..., Any]:
    """Return a function that returns what the original does, and notes one operator."""
    signature, scan = inspect.signature(original), SCANS[name]

    def run(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        words = bound.arguments
        out, state = scan.run(words)
        asked = bool(words[scan.asks_state])
        read = tuple(value for value in words.values() if isinstance(value, torch.Tensor))
        note(name, read, (out, state) if asked else (out,), scan.flops(words))
        if name == "torch_chunk_gated_delta_rule":
            return out, state if asked else None
        return (out, state) if asked else out

    return run

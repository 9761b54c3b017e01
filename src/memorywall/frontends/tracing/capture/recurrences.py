"""Replacements of transformers' recurrences: outputs of their shapes, and one recorded operator.

FLOPs are those of ``layers/recurrent.py`` and ``layers/recurrence_flops.py``: a model counts the
same by its config and traced. Inputs are read once, the output written and the state kept; states
in between stay on chip. As kernels do, a scan computes its gates and decays on the way in:
elementwise operators on ``gates`` are part of it. Letters: B batch, T positions, C channels, N
state size, H heads, G groups, P, K and V widths of heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import torch

from memorywall.core.axes import unnamed
from memorywall.core.formats import FORMATS
from memorywall.core.forward import Forward
from memorywall.core.geometry import Scan
from memorywall.frontends.tracing.interpret.operator_notes import Notes
from memorywall.layers import recurrence_flops as formulas
from memorywall.layers import recurrent as layers

Arguments: TypeAlias = Mapping[str, Any]


def selective_scan(notes: Notes, a: Arguments) -> Any:
    """Mamba's scan over x [B, C, T]."""
    x, states, keeps = a["hidden_states"], a["A"].shape[-1], a["return_last_state"]
    batch, channels, tokens = x.shape
    out, state = torch.empty_like(x), state_of(x, batch, channels, states)
    work = layers.selective_scan(unnamed(batch, tokens), unnamed(channels), states)
    reads = given(a, "hidden_states", "dt", "B", "C", "z")
    gates = given(a, "A", "D", "delta_bias")
    notes.scan(work, reads, out, state if keeps else None, gates)
    return (out, state) if keeps else out


def selective_step(notes: Notes, a: Arguments) -> torch.Tensor:
    """One token of it, x [B, C]; the state [B, C, N] is written in place."""
    x, state = a["hidden_states"], a["state"]
    out = torch.empty_like(x)
    work = layers.selective_scan(unnamed(x.shape[0]), unnamed(x.shape[1]), state.shape[-1])
    reads = given(a, "hidden_states", "dt", "B", "C", "z", "state")
    notes.scan(work, reads, out, state, given(a, "A", "D", "dt_bias"))
    return out


def ssd(notes: Notes, a: Arguments) -> Any:
    """Mamba-2's scan by chunks over x [B, T, H, P]; B and C are [B, T, G, N]."""
    x, keeps = a["hidden_states"], a["return_final_states"]
    batch, tokens, heads, width = x.shape
    groups, states = a["B"].shape[2:]
    out, state = torch.empty_like(x), state_of(x, batch, heads, width, states)
    forward = forward_of(notes, batch, tokens, step=False)
    work = layers.ssd_chunked(forward, heads, width, states, groups, a["chunk_size"])
    reads = given(a, "hidden_states", "dt", "B", "C", "initial_states")
    notes.scan(work, reads, out, state if keeps else None, given(a, "A", "D", "dt_bias"))
    return (out, state) if keeps else out


def ssd_step(notes: Notes, a: Arguments) -> torch.Tensor:
    """One token of it, x [B, H, P]; the state [B, H, P, N] is written in place."""
    x, state = a["hidden_states"], a["state"]
    out = torch.empty_like(x)
    work = layers.ssd_step(unnamed(x.shape[0]), x.shape[1], x.shape[2], state.shape[-1])
    reads = given(a, "hidden_states", "dt", "B", "C", "z", "state")
    notes.scan(work, reads, out, state, given(a, "A", "D", "dt_bias"))
    return out


def delta(
    notes: Notes, a: Arguments, *, function: str = "gated_delta", step: bool = False
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """A gated delta rule over keys [B, T, H', K] and values [B, T, H, V].

    Decays are [B, T, H], or [B, T, H, K] with one per channel of a key.
    """
    value, keeps, (batch, tokens, key_heads, keys) = (
        a["value"],
        a["output_final_state"],
        a["key"].shape,
    )
    heads, values = value.shape[-2:]
    by_channel = a["g"].dim() == value.dim()
    forward = forward_of(notes, batch, tokens, step=step)
    rule = formulas.delta_rule(forward, heads, keys, values, channelwise=by_channel)
    each = formulas.delta_inputs(
        unnamed(batch, tokens), key_heads, keys, heads, channelwise=by_channel
    )
    out, state = torch.empty_like(value), state_of(value, batch, heads, keys, values)
    reads = given(a, "query", "key", "value", "initial_state")
    kept = state if keeps else None
    notes.scan(Scan(rule + each, function), reads, out, kept, given(a, "g", "beta"))
    return out, kept


def rg_lru(notes: Notes, a: Arguments) -> tuple[torch.Tensor, torch.Tensor]:
    """The recurrence of an RG-LRU over [B, T, C]; its gates come from two products before."""
    x, before = a["hidden_states"], a["recurrent_states"]
    batch, tokens, channels = x.shape
    out, state = torch.empty_like(x), state_of(x, batch, channels)
    reads = () if before is None or tokens > 1 else (before,)
    gates = given(a, "hidden_states", "recurrent_gate", "reset")
    notes.scan(formulas.rg_lru(unnamed(batch, tokens, channels)), reads, out, state, gates)
    return out, state


def wkv(notes: Notes, a: Arguments) -> tuple[torch.Tensor, list[torch.Tensor] | None]:
    """RWKV-4's recurrence over keys and values [B, T, C]; a state of three numbers per channel."""
    key, before = a["key"], a["state"]
    batch, tokens, channels = key.shape
    out = torch.empty_like(key)
    keeps = a["return_state"] or before is not None
    states = [state_of(key, batch, channels) for _ in range(3)] if keeps else None
    reads = (*given(a, "key", "value", "time_decay", "time_first"), *(before or ()))
    notes.scan(formulas.wkv(unnamed(batch, tokens, channels)), reads, out, states)
    return out, states


def forward_of(notes: Notes, batch: int, tokens: int, *, step: bool) -> Forward:
    """Return the forward pass for the formulas."""
    any_format = FORMATS["fp32"]
    return Forward(batch, tokens, 0, any_format, any_format, any_format, full=notes.full, step=step)


def state_of(like: torch.Tensor, *shape: int) -> torch.Tensor:
    """Return a state, kept in single precision as kernels keep it."""
    return torch.empty(shape, dtype=torch.float32, device=like.device)


def given(a: Arguments, *names: str) -> tuple[torch.Tensor, ...]:
    """Return the arguments with these names that are not None."""
    return tuple([a[name] for name in names if a[name] is not None])

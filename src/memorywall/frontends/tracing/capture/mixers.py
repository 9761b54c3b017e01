"""Short convolutions, and mixers whose class contains its recurrence within a method.

These functions run a mixer's modules in the order of its class, and record its convolution and scan
as one operator each. Letters: B batch, T positions, C channels, W width of a convolution.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch.nn import functional

from memorywall.frontends.tracing.capture.recurrences import Arguments, forward_of, given, state_of
from memorywall.frontends.tracing.interpret.operator_notes import Notes
from memorywall.layers.recurrence_flops import lightning


def convolution(notes: Notes, a: Arguments) -> torch.Tensor:
    """Convolve every channel of x [B, C, T] with its last W positions."""
    out = torch.empty_like(a["hidden_states"])
    notes.convolve(given(a, "hidden_states", "weight", "bias"), out)
    return _activated(out, a["activation"])


def convolution_step(notes: Notes, a: Arguments) -> torch.Tensor:
    """Convolve one position with the window [B, C, W] of the previous ones, and shift it."""
    out = torch.empty_like(a["hidden_states"])
    reads = given(a, "hidden_states", "weight", "bias", "conv_state")
    notes.convolve(reads, out, a["conv_state"])
    return _activated(out, a["activation"])


def _activated(out: torch.Tensor, activation: str | None) -> torch.Tensor:
    if activation is None:
        return out
    functions = sys.modules["transformers"].activations.ACT2FN
    return functions[activation](out)


def rescaled(_: Notes, a: Arguments) -> None:
    """RWKV's weights, which its class divides by constants before its first pass."""
    a["self"].layers_are_rescaled = True


def recurrent_block(notes: Notes, a: Arguments) -> tuple[torch.Tensor, None]:
    """RecurrentGemma's: two branches, one of them convolved and through an RG-LRU.

    Its class keeps both states on its modules, and convolves a step by a product and a sum.
    """
    block: Any = a["self"]
    x = a["input_states"]
    step = a["use_cache"] and block.conv1d_state is not None and x.shape[1] == 1
    beside = block.act_fn(block.linear_y(x))
    y = block.linear_x(x).transpose(1, 2)
    weights = (block.conv_1d.weight.squeeze(1), block.conv_1d.bias)
    out = torch.empty_like(y)
    if not step:
        shape = (y.shape[0], y.shape[1], block.conv1d_width - 1)
        block.conv1d_state = y.new_empty(shape) if a["use_cache"] else None
        block.rg_lru.recurrent_states = None
    window = (block.conv1d_state,) if step else ()
    notes.convolve((y, *weights, *window), out, block.conv1d_state)
    y = block.rg_lru(out.transpose(1, 2), a["position_ids"])
    return block.linear_out(y * beside), None


def lightning_attention(notes: Notes, a: Arguments) -> tuple[torch.Tensor, torch.Tensor]:
    """MiniMax's: keys times values summed, and decayed by constants of the heads."""
    mixer: Any = a["self"]
    x, cache = a["hidden_states"], a["past_key_values"]
    batch, tokens, _ = x.shape
    heads, width = mixer.num_attention_heads, mixer.head_dim
    before = None if cache is None else cache.get_linear_cache(mixer.layer_idx)
    mixed = mixer.act_fn(mixer.qkv_proj(x))
    out, state = x.new_empty(batch, tokens, heads * width), state_of(x, batch, heads, width, width)
    forward = forward_of(notes, batch, tokens, step=before is not None)
    work = lightning(forward, heads, width, mixer.block_size)
    notes.scan(work, (mixed,) if before is None else (mixed, before), out, state)
    out = functional.sigmoid(mixer.output_gate(x)) * mixer.norm(out)
    if cache is not None:
        cache.set_linear_cache(mixer.layer_idx, state)
    return mixer.out_proj(out), state

"""Extra products of transformers' classes of linear attention, counted by hand.

As in ``written_out``: their fallback writes a scan out as products that torch counts, and convolves
positions that are cut off. Letters: B batch, T tokens, K and V the widths of a head's keys and
values, C the length of a chunk, W the width of a convolution.
"""

from __future__ import annotations

from typing import Any

_DELTA = ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text", "olmo_hybrid")
_CHUNK = 64  # of both delta rules


def linear_written_out(built: Any, batch: int, tokens: int, *, step: bool) -> int | None:
    """Return the FLOPs beyond ours of one pass that keeps state; None for other families' classes.

    A ``step`` has a state to go on from.
    """
    kind = built.model_type
    if kind in _DELTA:
        width, channels = built.linear_conv_kernel_dim, _delta_channels(built)
        each = _delta(built, tokens, step=step) + _cut_off(tokens, width, channels, step=step)
    elif kind == "kimi_linear":
        width = built.linear_conv_kernel_dim
        channels = 3 * built.linear_num_heads * built.linear_head_dim
        each = _kimi(built, tokens, step=step) + _cut_off(tokens, width, channels, step=step)
    elif kind == "minimax":
        each = _lightning(built, tokens, step=step)
    elif kind in ("lfm2", "lfm2_moe"):
        each = _cut_off(tokens, built.conv_L_cache, built.hidden_size, step=step)
    elif kind == "recurrent_gemma":
        # A lone token is taken for a step, and a step's window is multiplied without a product.
        positions = -1 if tokens == 1 else built.conv1d_width - 1
        each = 2 * built.conv1d_width * built.lru_width * positions
    else:
        return None
    mixing = sum(layer in ("linear_attention", "conv") for layer in built.layer_types)
    return int(mixing * batch * each)


def _cut_off(tokens: int, width: int, channels: int, *, step: bool) -> int:
    """Return 2 W for each channel of the positions that are cut off.

    W - 1 past the end; a prefill of less than W tokens is filled up to W in front. A
    step convolves a window of W and one token without room at the ends: two positions, of which one
    is kept.
    """
    if step:
        return 2 * width * channels
    return 2 * width * channels * (max(tokens, width) - tokens + width - 1)


def _delta_channels(built: Any) -> int:
    keys = built.linear_num_key_heads * built.linear_key_head_dim
    return int(2 * keys + built.linear_num_value_heads * built.linear_value_head_dim)


def _delta(built: Any, tokens: int, *, step: bool) -> int:
    """Return the products of a gated delta rule, of which a step has none.

    A chunk, the last of which is filled up, of a head: b K K^T and Q K^T 2 C C K each; the state's
    three 2 C K V each; the scores' with the new values 2 C C V. Triangular systems are not counted.
    """
    if step:
        return 0
    k, v, c = built.linear_key_head_dim, built.linear_value_head_dim, _CHUNK
    a_chunk = 4 * c * c * k + 6 * c * k * v + 2 * c * c * v
    return int(-(-tokens // c) * built.linear_num_value_heads * a_chunk)


def _kimi(built: Any, tokens: int, *, step: bool) -> int:
    """Return the products of a Kimi delta attention, H = K = V, of which a step has none.

    A chunk of a head: the inverse with b V and with the decayed b K 2 C C H each; the scores' with
    the new values as much; the state's three 2 C H H each. Both scores are written as sums.
    """
    if step:
        return 0
    h, c = built.linear_head_dim, _CHUNK
    return int(-(-tokens // c) * built.linear_num_heads * 6 * (c * c * h + c * h * h))


def _lightning(built: Any, tokens: int, *, step: bool) -> int:
    """Return the products of a lightning attention.

    A step's k v^T and q S, 2 H H each. A chunk, the last as long as it is, of a head: Q K^T and its
    product with V 2 C C H each; Q S and K^T V 2 C H H each.
    """
    h, n = built.head_dim, built.num_attention_heads
    if step:
        return int(n * 4 * h * h)
    whole, rest = divmod(tokens, built.block_size)
    chunks = [built.block_size] * whole + [rest]
    return int(n * sum(4 * c * c * h + 4 * c * h * h for c in chunks))

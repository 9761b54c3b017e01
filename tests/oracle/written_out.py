"""Extra products of transformers' classes with explicit scans, counted by hand.

Kernels run a scan and a short convolution each as one operator; the classes' own fallback, which
runs where there are none, writes them out as products that torch counts. Letters: B batch,
T tokens, C channels, W width of the convolution, N numbers of state, H heads of P, Q tokens of a
chunk.
"""

from __future__ import annotations

from typing import Any

from tests.oracle.written_out_linear import linear_written_out

_SELECTIVE = ("mamba", "falcon_mamba", "jamba", "zamba")
_BY_HEADS = ("mamba2", "zamba2", "bamba", "granitemoehybrid", "falcon_h1", "nemotron_h")
_MIXERS = ("linear_attention", "mamba", "hybrid")

_NAMES = {
    "heads": ("num_heads", "n_mamba_heads", "mamba_n_heads", "mamba_num_heads"),
    "head_dim": ("mamba_headdim", "mamba_d_head", "mamba_head_dim", "head_dim"),
    "states": ("state_size", "mamba_d_state", "ssm_state_size"),
    "groups": ("mamba_ngroups", "mamba_n_groups", "n_groups"),
    "kernel": ("conv_kernel", "mamba_d_conv"),
    "chunk": ("mamba_chunk_size", "chunk_size"),
    "expand": ("expand", "mamba_expand"),
}


def written_out(built: Any, batch: int, tokens: int, *, step: bool) -> int:
    """Return the FLOPs beyond ours of one pass that keeps state; ``built`` is the class's config.

    A ``step`` has a state to go on from.
    """
    linear = linear_written_out(built, batch, tokens, step=step)
    if linear is not None:
        return linear
    if built.model_type in _SELECTIVE:
        mixer = _selective(built, batch, tokens)
    elif built.model_type in _BY_HEADS:
        mixer = _by_heads(built, batch, tokens, step=step)
    else:
        return 0
    mixer += batch * _padding(built, tokens, step=step)
    layers = sum(kind in _MIXERS for kind in built.layer_types)
    return int(layers * mixer)


def _get(built: Any, what: str) -> int:
    return int(next(getattr(built, name) for name in _NAMES[what] if hasattr(built, name)))


def _channels(built: Any) -> int:
    """Return the channels of the convolution."""
    if built.model_type in ("mamba", "falcon_mamba"):
        return int(built.intermediate_size)
    if built.model_type in _SELECTIVE:
        return int(_get(built, "expand") * built.hidden_size)
    inner = _get(built, "heads") * _get(built, "head_dim")
    return inner + 2 * _get(built, "groups") * _get(built, "states")


def _padding(built: Any, tokens: int, *, step: bool) -> int:
    """Return what a convolution multiplies for positions that are cut off.

    2 W for each of C channels of W - 1 positions past the end; a prefill of less than W tokens is
    also filled up to W in front. A step convolves a window of W and one token without more room at
    the ends, which is two positions, and keeps one.
    """
    width = _get(built, "kernel")
    positions = 1 if step else max(tokens, width) - tokens + width - 1
    return 2 * width * _channels(built) * positions


def _selective(built: Any, batch: int, tokens: int) -> int:
    """Return y = C h of every token: 2 C N, as a product."""
    return 2 * batch * tokens * _channels(built) * _get(built, "states")


def _by_heads(built: Any, batch: int, tokens: int, *, step: bool) -> int:
    """Return the products of chunks, the last of which is filled up, for n = ceil(T / Q) of them.

    A step has y = C h: 2 P N a head. A prefill has, a head: C B^T, 2 Q Q N a chunk; times x,
    2 Q Q P; the chunks' states and what comes of them, 2 Q P N each; and the states passed on, as
    a square product of n + 1 chunks, 2 (n + 1)^2 P N.
    """
    h, p, n = _get(built, "heads"), _get(built, "head_dim"), _get(built, "states")
    if step:
        return 2 * batch * h * p * n
    q = _get(built, "chunk")
    chunks = -(-tokens // q)
    within = chunks * (2 * q * q * (n + p) + 4 * q * p * n)
    return batch * h * (within + 2 * (chunks + 1) ** 2 * p * n)

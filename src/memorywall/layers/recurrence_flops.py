"""The work of the scans of linear attention and of gated linear recurrences.

Letters: B batch, T new tokens, N heads, K and V the widths of a head's keys and values, C the
length of a chunk. A state is K x V for each head, or one number a channel. Functions of weights
only, such as the exponential of a decay that is the same for all tokens, are computed once and not
counted.
"""

from __future__ import annotations

from memorywall.core.axes import Axes, named
from memorywall.core.forward import Forward
from memorywall.core.geometry import Scan, Space
from memorywall.core.numbers import Number, halved

# Tokens of a chunk in the published kernels of the delta rules (flash-linear-attention).
DELTA_CHUNK = 64

# The RG-LRU, a token and channel (De et al., "Griffin", arXiv:2402.19427, equations 1 to 4):
# two sigmoids 6; the gate times -8 softplus(weight) 1, a = exp 1; a^2 1, 1 - a^2 1, root 1; input
# times its gate 1, times the root 1; h = a h + input 2.
_RG_LRU = 15

# RWKV-4's recurrence, a token and channel, in the form that keeps the largest exponent apart (Peng
# et al., arXiv:2305.13048, appendix D). Output: k + first 1, maximum 1, two differences 2, two
# exponentials 2, numerator 3, denominator 2, quotient 1. State: maximum + decay 1, maximum 1, two
# differences 2, two exponentials 2, numerator 3, denominator 2.
_WKV = 12 + 11


def rg_lru(each: Axes) -> Scan:
    """Return an RG-LRU over [B, T, channels]; its gates' products are counted apart."""
    return Scan((Space(_RG_LRU, each),), "rg_lru")


def wkv(each: Axes) -> Scan:
    """Return RWKV-4's recurrence over [B, T, channels]."""
    return Scan((Space(_WKV, each),), "wkv")


def delta_rule(
    forward: Forward, heads: int, keys: int, values: int, *, channelwise: bool = False
) -> tuple[Space, ...]:
    """Return the work of a gated delta rule, S = a S (1 - b k k^T) + b v k^T, o = S q.

    Yang, Kautz and Hatamizadeh, "Gated Delta Networks", arXiv:2412.06464. A step, of each head:

        decay K V; what the state holds for the key 2 K V; its difference from the value, times b,
        2 V; the update 2 K V; the output 2 K V

    A prefill, chunk by chunk through the UT transform (section 3.3; Yang et al., arXiv:2406.06484,
    section 3.2):

        a pair (token, one not later, of one chunk): K K^T and Q K^T 4 K; the inverse's products
            with V and with the decayed K 2 V + 2 K; the scores' with the new values 2 V; the pair's
            decay (difference, exponential) and its product with both scores 4
        a token: what the old state predicts, what it answers, and the update 6 K V; b K, its
            decay, and those of Q and K 4 K; b V, less the prediction, and both outputs' sum 3 V;
            the running sum of decays, and those from the chunk's start and to its end 4
        a chunk of C: the unit triangular inverse by substitution C (C - 1) (C - 2) / 3; the
            state's decay and sum 2 K V

    Pairs are those of the causal half unless the pass pairs every token of a chunk with all of it.
    Where every channel of a key decays by itself (``channelwise``; Kimi Linear, arXiv:2510.26692,
    section 3) the pairs' decays are parts of Q and K before they meet: a token's running sum,
    exponentials from the start, back to it and to the end with a difference, their products with
    b K, Q, K and K, and b K take 10 K in place of 4 K + 4, and a pair none.
    """
    batch, head = named(batch=forward.batch), named(ssm_heads=heads)
    key, value = named(state=keys), named(ssm_head_dim=values)
    token = forward.row_axes + head
    if forward.step:
        return Space(7, token + key + value), Space(2, token + value)
    pair = batch + named(pairs=chunk_pairs(forward, DELTA_CHUNK)) + head
    chunks = batch + named(chunks=_chunks(forward, DELTA_CHUNK)) + head
    whole, rest = forward.tokens // DELTA_CHUNK, forward.tokens % DELTA_CHUNK
    inverses = named(inverses=whole * _inverse(DELTA_CHUNK) + _inverse(rest))
    apart = (Space(10, token + key),)
    together = (Space(4, token + key), Space(4, token), Space(4, pair))
    return (
        Space(6, pair + key), Space(4, pair + value), Space(6, token + key + value),
        Space(3, token + value), Space(2, chunks + key + value), Space(1, batch + inverses + head),
        *(apart if channelwise else together),
    )  # fmt: skip


def delta_inputs(
    rows: Axes, key_heads: int, keys: int, heads: int, *, channelwise: bool = False
) -> tuple[Space, ...]:
    """Return the work of what a delta rule's kernel does to B T rows of its inputs.

    A query or key is divided by its length, 3 FLOPs an element, and the query scaled, 1. A head's
    beta is a sigmoid, 3, and its decay, or that of each channel of its keys, is
    exp(-A softplus(x + bias)): add, exponential, add, logarithm, times A, exponential.
    """
    key, head = named(state=keys), rows + named(ssm_heads=heads)
    decays = head + key if channelwise else head
    return Space(7, rows + named(groups=key_heads) + key), Space(3, head), Space(6, decays)


def lightning(forward: Forward, heads: int, width: int, chunk: int) -> Scan:
    """Return lightning attention, S = a S + k v^T, o = q S, with K = V = ``width``.

    Qin et al., "Lightning Attention-2", arXiv:2401.04658, algorithm 1. A step, of each head: decay
    H H, update and output 2 H H each. A prefill, chunk by chunk:

        a pair: Q K^T and its product with V 4 H, its decay 1
        a token: Q times the old state and K^T V 4 H H; decays of Q and K, both outputs' sum 3 H
        a chunk: the state's decay and sum 2 H H

    Pairs are counted as in ``delta_rule``; decays are the same in every pass, and made once.
    """
    batch, head = named(batch=forward.batch), named(ssm_heads=heads)
    key, value = named(state=width), named(ssm_head_dim=width)
    token = forward.row_axes + head
    if forward.step:
        return Scan((Space(5, token + key + value),), "lightning")
    pair = batch + named(pairs=chunk_pairs(forward, chunk)) + head
    chunks = batch + named(chunks=_chunks(forward, chunk)) + head
    work = (
        Space(4, pair + key), Space(1, pair), Space(4, token + key + value),
        Space(3, token + value), Space(2, chunks + key + value),
    )  # fmt: skip
    return Scan(work, "lightning")


def _chunks(forward: Forward, chunk: int) -> Number:
    """Count the chunks of a sequence, the last maybe shorter."""
    return -(-forward.tokens // chunk)


def chunk_pairs(forward: Forward, chunk: int) -> Number:
    """Count the pairs of a token with one not later of its chunk, or with all of its chunk."""
    whole, rest = forward.tokens // chunk, forward.tokens % chunk
    if forward.full:
        return whole * (chunk * chunk) + rest * rest
    return whole * (chunk * (chunk + 1) // 2) + halved(rest * (rest + 1))


def _inverse(size: Number) -> Number:
    """FLOPs of inverting a unit lower triangular matrix: three numbers in a row are one in three.

    The entry (i, j) takes i - j - 1 multiply-adds.
    """
    return size * (size - 1) * (size - 2) // 3

"""The lightning indexer: small heads that score every key, so that attention meets the best alone.

DeepSeek-V3.2 (arXiv 2512.02556, section 2.1): a token's score of a key is the sum, over the heads
of an indexer, of weight x relu(query . key), and each token attends to the keys with the largest
scores. An indexer keeps one key a token (or a compressed entry) that its heads share. Engines hold
all of its weights on every device.

Published engines keep these keys in 8 bit with one fp32 scale each, 128 + 4 bytes (vLLM and SGLang
for DeepSeek-V3.2). Here they have the cache's format, and that scale where it has 8 bits. The
products of scores are counted in the activations' arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from memorywall.core.axes import named
from memorywall.core.formats import Format
from memorywall.core.geometry import Attention, Elementwise, Space
from memorywall.core.numbers import Number
from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import FLOPS_PER_ELEMENT
from memorywall.layers.tape import Tape, new_part


@dataclass(frozen=True, slots=True)
class Indexer:
    """Shape of an indexer.

    Attributes:
        heads, head_dim: of its queries; one key has a head's elements.
        rotary: elements of each that are rotated.
    """

    heads: int
    head_dim: int
    rotary: int


def record_indexer(tape: Tape, x: Tensor, low: Tensor, index: Indexer, path: str) -> None:
    """Note an indexer of all cached tokens; ``low`` are the latents of queries, [B T, q_latent]."""
    forward, name = tape.forward, f"{path}.indexer"
    cache = index_cache(tape, f"{name}.k_cache", forward.cached(), forward.keys(), index.head_dim)
    key = tape.linear(f"{name}.k_proj", x, named(head_dim=index.head_dim))
    key = tape.norm(f"{name}.k_norm", key, "layernorm")
    tape.rotary(f"{name}.k_rotary", key, index.rotary, new_part(cache, x))
    pairs = forward.pairs(causal=True)
    record_scores(tape, x, low, cache, index, name, keys=forward.keys(), pairs=pairs)


def index_cache(tape: Tape, name: str, held: Number, read: Number, width: int) -> Tensor:
    """Return the cache of an indexer's keys, [B, S, H], of which a pass reads some."""
    cache = tape.cache(name, held, read, named(head_dim=width))
    cache.format = key_format(cache.format, width)
    return cache


def key_format(cache: Format, width: int) -> Format:
    """Return the format of an indexer's keys: the cache's, of plain 8 bits with a scale a key."""
    scaled = cache.whole_bytes == 1
    return replace(cache, group=width, scale_bits=32) if scaled else cache


def record_scores(
    tape: Tape,
    x: Tensor,
    low: Tensor,
    cache: Tensor,
    index: Indexer,
    name: str,
    *,
    keys: Number,
    pairs: Number,
) -> None:
    """Note the scores of cached keys, and the choice of the best; positions are not counted."""
    forward, heads = tape.forward, named(index_heads=index.heads)
    vector = named(head_dim=index.head_dim)
    query = tape.linear(f"{name}.q_proj", low, heads + vector)
    rotated = tape.like(f"{name}.q_rotary", query)
    query = tape.rotary(f"{name}.q_rotary", query, index.rotary, rotated)
    weights = tape.linear(f"{name}.weights_proj", x, heads)
    every = (("batch", forward.batch), *heads, ("pairs", pairs))
    scores = tape.activation(f"{name}.scores", every, 3)
    geometry = Attention(
        "index", forward.batch, index.heads, 1, vector, forward.tokens, keys, pairs, "causal",
        latent=True, heads_axis="index_heads",
    )  # fmt: skip
    tape.op(f"{name}.scores", geometry, (query, cache), scores)
    work = (
        Space(FLOPS_PER_ELEMENT["index"], every),
        Space(FLOPS_PER_ELEMENT["top_k"], (("batch", forward.batch), ("pairs", pairs))),
    )
    tape.op(f"{name}.select", Elementwise(work, "index"), (scores, weights))

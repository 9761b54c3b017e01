"""Parameters by the part of a model to which they apply; phases add them up."""

from __future__ import annotations

from memorywall.core.traits import Traits

ALWAYS = frozenset(("batch_size", "weights", "activations", "traffic", "ceilings", "launch"))
LAYOUT = frozenset(("devices", "tensor", "pipeline", "expert", "attention_data"))
LENGTH = frozenset(("seq_len",))
SOURCE = frozenset(("source_len",))
SIGHT = frozenset(("image_size", "images"))
CACHE = frozenset(("kv_cache", "cache_page"))
LAYERS = frozenset(("state", "routing", "mla"))
MASKS = frozenset(("causal",))
HEAD = frozenset(("logits",))
ROUNDS = frozenset(("steps", "guidance"))

WHOLE_PASS = ALWAYS | LAYOUT | LENGTH | SOURCE | SIGHT | CACHE | LAYERS | MASKS | HEAD


def of_a_step(traits: Traits) -> frozenset[str]:
    """Return the parameters of a decode step: one token, from which no mask hides a position.

    Layers that attend within chunks, or to selected positions, are the exception: a framework reads
    across the border of chunks, and pairs a token with the others too.
    """
    words = WHOLE_PASS - SIGHT
    return words if traits.chunks or traits.selections else words - MASKS

"""Products of transformers' classes with indexers or hyper-connections: here elementwise work.

Letters: B batch, T tokens, S positions, D hidden, H heads of an indexer, n residual streams.
"""

from __future__ import annotations

from typing import Any

_INDEXED = ("deepseek_v32", "glm_moe_dsa")


def beside_attention(built: Any, batch: int, tokens: int, positions: int) -> int:
    """Return the FLOPs that torch counts in products and we beside them.

    An indexer's weighted sum over its heads is one product, 2 H for each of T S pairs; a layer's
    two mixtures of n streams are products of n x n and n x D, 2 n^2 D a token.
    """
    if built.model_type in _INDEXED:
        kinds = getattr(built, "indexer_types", ["full"] * built.num_hidden_layers)
        return int(kinds.count("full") * 2 * batch * tokens * positions * built.index_n_heads)
    if built.model_type == "deepseek_v4":
        mixed = 2 * built.hc_mult**2 * built.hidden_size
        return int(built.num_hidden_layers * 2 * batch * tokens * mixed)
    return 0

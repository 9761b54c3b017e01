"""Latent attention to selected tokens: DeepSeek-V3.2, GLM-5 and their like.

DeepSeek Sparse Attention (arXiv 2512.02556): an indexer scores all cached keys, and heads attend to
the latents of the ``index_topk`` best. In GLM-5.2 some layers share the choice of a layer before
(arXiv 2603.12201): they have no indexer, and keep no keys of one.

Counted is the algorithm as engines run it: pairs with selected tokens alone, in prefill too, where
heads attend to latents as in decode (FlashMLA's sparse kernels; for prompts of no more than
``index_topk`` tokens engines may run all pairs with keys of every head). ``causal='full'`` counts
what transformers computes, all pairs under a mask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from memorywall.core.errors import shown
from memorywall.core.model import Family
from memorywall.layers.decoder import Decoder, lower
from memorywall.layers.indexer import Indexer
from memorywall.layers.latent_attention import LatentAttention
from memorywall.reading.config_values import Config
from memorywall.reading.dialects import Dialect, read_dialect
from memorywall.reading.expert_keys import Mixture, listed_or_after

# Of a layer: with an indexer, or with the choice of one before.
_TYPES = {"full": "full", "shared": "shared"}
_LETTERS = {"F": "full", "S": "shared", **_TYPES}
# Reads the type of each layer.
_Types: TypeAlias = Callable[[Config, int], list[str]]


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The defaults of a model type: heads, ranks and widths of attention and of its indexer."""

    heads: int
    query_rank: int
    plain: int
    value: int
    index_heads: int


def _attention(sizes: _Sizes, types: _Types) -> Callable[[Config, int], list[LatentAttention]]:
    """Return a reader of the attention of each layer."""

    def read(config: Config, layers: int) -> list[LatentAttention]:
        heads = config.size("num_attention_heads", sizes.heads)
        if config.size("num_key_value_heads", heads) != heads:
            config.fault(
                "num_key_value_heads",
                f"'num_key_value_heads' must be 'num_attention_heads' ({heads}): latents are "
                "projected to keys and values of every head",
            )
        rotary = config.size("qk_rope_head_dim", 64)
        index = Indexer(
            config.size("index_n_heads", sizes.index_heads),
            config.size("index_head_dim", 128),
            rotary,
        )
        _fits_in(config, rotary, index.head_dim)
        full = LatentAttention(
            heads,
            config.size("q_lora_rank", sizes.query_rank),
            config.size("kv_lora_rank", 512),
            config.size("qk_nope_head_dim", sizes.plain),
            rotary,
            config.size("v_head_dim", sizes.value),
            bias=config.flag("attention_bias", False),
            selected=config.size("index_topk", 2048),
            indexer=index,
        )
        config.notes.append(
            f"Sparse attention: each token attends to the {full.selected} tokens that an indexer "
            "selects, and pairs with others are not counted, unless causal is full."
        )
        kinds = {"full": full, "shared": replace(full, indexer=None)}
        return [kinds[kind] for kind in types(config, layers)]

    return read


def _fits_in(config: Config, rotary: int, head_dim: int) -> None:
    if rotary > head_dim and "index_head_dim" not in config.faults:
        config.fault(
            "index_head_dim",
            f"'index_head_dim' ({head_dim}) must be 'qk_rope_head_dim' ({rotary}) or more",
        )


def _all_full(_: Config, layers: int) -> list[str]:
    return ["full"] * layers


def _some_shared(config: Config, layers: int) -> list[str]:
    """Read which layers have an indexer: from a list, a pattern, or a period and an offset."""
    for key, words in (("indexer_types", _TYPES), ("index_topk_pattern", _LETTERS)):
        if config.data.get(key) is not None:
            return _listed(config, key, words, layers)
    every = config.size("index_topk_freq", 1)
    first = config.count("index_skip_topk_offset", 2)
    skipped = [max(layer - first + 1, 0) % every != 0 for layer in range(layers)]
    return ["shared" if skips else "full" for skips in skipped]


def _listed(config: Config, key: str, words: Mapping[str, str], layers: int) -> list[str]:
    """Return the types of layers that a key lists by words; the first must be full."""
    kinds = config.data[key]
    listed = list(kinds[: layers + 1]) if isinstance(kinds, str | list) else []
    good = len(listed) == layers and all(isinstance(k, str) and k in words for k in listed)
    if not good or words[listed[0]] != "full":
        config.fault(
            key,
            f"{key!r} must list one of {', '.join(words)} for each of {layers} layers, the first "
            f"of them full, got {shown(kinds)}",
        )
        return ["full"] * layers
    return [words[kind] for kind in listed]


def _experts(count: int, first: int) -> Mixture:
    return Mixture(
        ("n_routed_experts", count),
        ("num_experts_per_tok", 8),
        ("moe_intermediate_size", 2048),
        shared_number=("n_shared_experts", 1),
        scoring="sigmoid",
        layers=listed_or_after(first),
    )


DIALECTS = {
    "deepseek_v32": Dialect(
        "DeepseekV32", mixers=_attention(_Sizes(128, 1536, 128, 128, 64), _all_full), heads=(),
        positions=163_840, experts=_experts(256, 3),
    ),
    "glm_moe_dsa": Dialect(
        "GlmMoeDsa", mixers=_attention(_Sizes(64, 2048, 192, 256, 32), _some_shared), heads=(),
        positions=202_752, experts=_experts(256, 3),
    ),
}  # fmt: skip


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config of one of the model types in ``DIALECTS``."""
    return read_dialect(data, where, DIALECTS)


FAMILY = Family("sparse_latent", tuple(DIALECTS), read, lower)

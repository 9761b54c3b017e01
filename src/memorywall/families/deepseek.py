"""DeepSeek V2, V3 and R1, and Kimi K2: latent attention, first layers dense, then experts.

The multi-token prediction layer of V3 is not part of transformers' class and not counted. Kimi K2's
configs have a separate model type for V3's architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.decoder import Decoder, lower
from memorywall.layers.latent_attention import LatentAttention
from memorywall.reading.config_values import Config
from memorywall.reading.dialects import MLP_BIAS, Dialect, read_dialect
from memorywall.reading.expert_keys import Mixture, after_the_first
from memorywall.reading.heads import ALL_HEADS


def _read_attention(config: Config) -> LatentAttention:
    heads = config.size("num_attention_heads")
    kv_heads = config.size("num_key_value_heads", heads)
    if kv_heads != heads:
        config.fault(
            "num_key_value_heads",
            f"'num_key_value_heads' ({kv_heads}) must be 'num_attention_heads' ({heads}): latents "
            "are projected to keys and values of every head",
        )
    # A null says that queries are projected at once; without the key, the class's default holds.
    direct = "q_lora_rank" in config.data and not config.has("q_lora_rank")
    return LatentAttention(
        heads,
        config.optional_size("q_lora_rank") if direct else config.size("q_lora_rank", 1536),
        config.size("kv_lora_rank", 512),
        config.size("qk_nope_head_dim", 128),
        config.size("qk_rope_head_dim", 64),
        config.size("v_head_dim", 128),
        bias=config.flag("attention_bias", False),
    )


def _experts(count: int, chosen: int | None, width: int, shared: int, **others: Any) -> Mixture:
    return Mixture(
        ("n_routed_experts", count),
        ("num_experts_per_tok", chosen),
        ("moe_intermediate_size", width),
        shared_number=("n_shared_experts", shared),
        **others,
    )


_V3 = Dialect(
    "DeepseekV3", attention=_read_attention, positions=4096, heads=ALL_HEADS[:2],
    experts=_experts(256, 8, 2048, 1, scoring="sigmoid", layers=after_the_first(3)),
)  # fmt: skip
DIALECTS = {
    "deepseek_v2": Dialect(
        "DeepseekV2", attention=_read_attention, mlp_bias=MLP_BIAS, heads=ALL_HEADS[:1],
        experts=_experts(64, None, 1407, 2, layers=after_the_first(0)),
    ),
    "deepseek_v3": _V3,
    "kimi_k2": _V3,
}  # fmt: skip


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config of one of the model types in ``DIALECTS``."""
    return read_dialect(data, where, DIALECTS)


FAMILY = Family("deepseek", tuple(DIALECTS), read, lower)

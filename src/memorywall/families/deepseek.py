"""DeepSeek V2, V3 and R1, and their like: latent attention, first layers dense, then experts.

The multi-token prediction layer of V3 is not part of transformers' class and not counted. Kimi K2's
configs have a separate model type for V3's architecture; A.X K1, GLM-4.7-Flash and Mistral Small 4
are V3's with other sizes, K1 with a norm after its experts, Youtu-LLM without experts. Mistral 4
multiplies queries by their position's temperature, which is not counted: one multiplication an
element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.decoder import Decoder, lower
from memorywall.layers.latent_attention import LatentAttention
from memorywall.reading.config_values import Config
from memorywall.reading.dialects import MLP_BIAS, Dialect, read_dialect
from memorywall.reading.expert_keys import Mixture, after_the_first, listed_or_after
from memorywall.reading.heads import ALL_HEADS


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Defaults of a model type: ranks of queries and of latents, elements of keys and values."""

    query_rank: int = 1536
    rank: int = 512
    plain: int = 128
    value: int = 128


def _attention(sizes: _Sizes) -> Callable[[Config], LatentAttention]:
    """Return a reader of latent attention."""

    def read(config: Config) -> LatentAttention:
        heads = config.size("num_attention_heads")
        kv_heads = config.size("num_key_value_heads", heads)
        if kv_heads != heads:
            config.fault(
                "num_key_value_heads",
                f"'num_key_value_heads' ({kv_heads}) must be 'num_attention_heads' ({heads}): "
                "latents are projected to keys and values of every head",
            )
        # A null says that queries are projected at once; without the key, the default holds.
        direct = "q_lora_rank" in config.data and not config.has("q_lora_rank")
        rank = sizes.query_rank
        return LatentAttention(
            heads,
            config.optional_size("q_lora_rank") if direct else config.size("q_lora_rank", rank),
            config.size("kv_lora_rank", sizes.rank),
            config.size("qk_nope_head_dim", sizes.plain),
            config.size("qk_rope_head_dim", 64),
            config.size("v_head_dim", sizes.value),
            bias=config.flag("attention_bias", False),
        )

    return read


def _experts(count: int, chosen: int | None, width: int, shared: int, **others: Any) -> Mixture:
    return Mixture(
        ("n_routed_experts", count),
        ("num_experts_per_tok", chosen),
        ("moe_intermediate_size", width),
        shared_number=("n_shared_experts", shared),
        **others,
    )


_ATTENTION = _attention(_Sizes())
_V3 = Dialect(
    "DeepseekV3", attention=_ATTENTION, positions=4096, heads=ALL_HEADS[:2],
    experts=_experts(256, 8, 2048, 1, scoring="sigmoid", layers=after_the_first(3)),
)  # fmt: skip
DIALECTS = {
    "deepseek_v2": Dialect(
        "DeepseekV2", attention=_ATTENTION, mlp_bias=MLP_BIAS, heads=ALL_HEADS[:1],
        experts=_experts(64, None, 1407, 2, layers=after_the_first(0)),
    ),
    "deepseek_v3": _V3,
    "kimi_k2": _V3,
    "axk1": Dialect(
        "AXK1", attention=_ATTENTION, positions=32_768, heads=ALL_HEADS[:2],
        experts=_experts(
            192, 8, 2048, 1, scoring="sigmoid", normed=True, layers=listed_or_after(1)
        ),
    ),
    "glm4_moe_lite": Dialect(
        "Glm4MoeLite", attention=_attention(_Sizes(768, 512, 192, 256)), positions=202_752,
        heads=(),
        experts=_experts(64, 4, 1536, 1, scoring="sigmoid", layers=listed_or_after(1)),
    ),
    "mistral4": Dialect(
        "Mistral4", attention=_attention(_Sizes(1024, 256, 64, 128)), positions=1_048_576,
        heads=ALL_HEADS[:2], experts=_experts(128, 4, 2048, 1, layers=after_the_first(0)),
    ),
    "youtu": Dialect(
        "Youtu", attention=_ATTENTION, positions=131_072, heads=(), tied=True,
    ),
}  # fmt: skip


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config of one of the model types in ``DIALECTS``."""
    return read_dialect(data, where, DIALECTS)


FAMILY = Family("deepseek", tuple(DIALECTS), read, lower)

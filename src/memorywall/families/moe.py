"""Mixtral and the decoders like it: grouped attention, then experts in place of a feed-forward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.decoder import Decoder, lower
from memorywall.reading.config_values import Config
from memorywall.reading.dialects import ATTENTION_BIAS, PARTIAL_ROTARY, Dialect, read_dialect
from memorywall.reading.expert_keys import (
    NUM_EXPERTS,
    NUM_LOCAL_EXPERTS,
    Mixture,
    after_the_first,
    by_interval,
    by_steps,
)
from memorywall.reading.heads import ALL_HEADS
from memorywall.reading.windows import past, patterned, sliding

_CHOSEN, _WIDTH, _ROUTED = "num_experts_per_tok", "moe_intermediate_size", "n_routed_experts"
_USE_BIAS = ("use_bias", False)
_NO_SHARED = (
    "shared_expert_intermediate_size", range(1, 2**31), "the class has no shared expert",
)  # fmt: skip


def _every_other(config: Config, layers: int) -> list[bool]:
    """Let every other layer slide, up to ``max_window_layers``."""
    limit = config.count("max_window_layers", 28)
    return [layer % 2 == 0 and layer < limit for layer in range(layers)]


DIALECTS = {
    "mixtral": Dialect(
        "Mixtral", kv_heads=8, layers=sliding(None), positions=131_072,
        experts=Mixture((NUM_LOCAL_EXPERTS, 8), (_CHOSEN, 2)),
    ),
    "qwen2_moe": Dialect(
        "Qwen2Moe", qkv_bias=("qkv_bias", True), kv_heads=16,
        layers=patterned(4096, _every_other, flag=True), positions=32_768,
        experts=Mixture(
            (NUM_EXPERTS, 60), (_CHOSEN, 4), (_WIDTH, 1408), shared_gate=True, layers=by_steps,
            shared_width=("shared_expert_intermediate_size", 5632),
        ),
    ),
    "qwen3_moe": Dialect(
        "Qwen3Moe", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, qk_norm="head", kv_heads=4,
        layers=sliding(4096, flag=True), positions=32_768,
        experts=Mixture((NUM_EXPERTS, 128), (_CHOSEN, 8), (_WIDTH, 768), layers=by_steps),
        refused=(
            ("qkv_bias", (True,), "the class has no biases of queries, keys and values alone"),
            _NO_SHARED,
        ),
    ),
    "olmoe": Dialect(
        "Olmoe", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, qk_norm="all", clips=True,
        positions=4096, heads=(), experts=Mixture((NUM_EXPERTS, 64), (_CHOSEN, 8)),
    ),
    "flex_olmo": Dialect(
        "FlexOlmo", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, qk_norm="all", norms="after",
        positions=4096, heads=(), experts=Mixture((NUM_EXPERTS, 7), (_CHOSEN, 5)),
    ),
    "minimax_m2": Dialect(
        "MiniMaxM2", qk_norm="all", kv_heads=8, head_dim=128, rotary_key=PARTIAL_ROTARY,
        rotary_elements=("rotary_dim", None), positions=196_608, heads=(),
        experts=Mixture((NUM_LOCAL_EXPERTS, 256), (_CHOSEN, 8), scoring="sigmoid"),
        refused=(
            ("use_qk_norm", (False,), "the class always norms queries and keys"),
            ("qk_norm_type", ("per_head",), "the class norms whole rows"),
            ("use_routing_bias", (False,), "the class always has a correction of the router"),
            ("shared_intermediate_size", range(1, 2**31), "the class has no shared expert"),
        ),
    ),
    "glm4_moe": Dialect(
        "Glm4Moe", qkv_bias=ATTENTION_BIAS, qk_norm="head", qk_normed=("use_qk_norm", False),
        kv_heads=8, rotary=0.5, rotary_key=PARTIAL_ROTARY, positions=131_072, heads=(),
        experts=Mixture(
            (_ROUTED, 128), (_CHOSEN, 8), (_WIDTH, 1408), shared_number=("n_shared_experts", 1),
            scoring="sigmoid", layers=after_the_first(1),
        ),
    ),
    "dots1": Dialect(
        "Dots1", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, qk_norm="head", kv_heads=32,
        layers=patterned(4096, past(62)), heads=(),
        experts=Mixture(
            (_ROUTED, None), (_CHOSEN, None), (_WIDTH, 1408),
            shared_number=("n_shared_experts", None), scoring="sigmoid",
            layers=after_the_first(0),
        ),
    ),
    "phimoe": Dialect(
        "Phimoe", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS,
        head_bias=("lm_head_bias", False), norm="layernorm", kv_heads=8, layers=sliding(None),
        positions=131_072, heads=ALL_HEADS[:1],
        experts=Mixture((NUM_LOCAL_EXPERTS, 16), (_CHOSEN, 2)),
    ),
    "granitemoe": Dialect(
        "GraniteMoe", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, embedding_scale=True,
        residual_scale=True, on_logits="scale", heads=(),
        experts=Mixture((NUM_LOCAL_EXPERTS, 8), (_CHOSEN, 2)),
    ),
    "ernie4_5_moe": Dialect(
        "Ernie4_5_Moe", qkv_bias=_USE_BIAS, out_bias=_USE_BIAS, mlp_bias=_USE_BIAS,
        head_bias=_USE_BIAS, kv_heads=4, positions=131_072, tied=True, heads=(),
        experts=Mixture(
            ("moe_num_experts", 64), ("moe_k", 6), (_WIDTH, 1536), correction=True,
            shared_number=("moe_num_shared_experts", 2), layers=by_interval,
        ),
    ),
    # There is also a feed-forward as wide as an expert.
    "hunyuan_v1_moe": Dialect(
        "HunYuanMoEV1", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, qk_norm="head",
        heads=ALL_HEADS[:1],
        experts=Mixture(
            (NUM_EXPERTS, 1), ("moe_topk", 1), shared_width=("intermediate_size", None)
        ),
    ),
}  # fmt: skip


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config of one of the model types in ``DIALECTS``."""
    return read_dialect(data, where, DIALECTS)


FAMILY = Family("moe", tuple(DIALECTS), read, lower)

"""DeepSeek V2, V3 and R1, and Kimi K2: latent attention, first layers dense, then experts.

What predicts several tokens at once (V3's MTP layer) is not part of transformers' class, and not
counted. Kimi K2's configs name a model type of their own for V3's architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.core.model import Family
from memorywall.families._blocks import FeedForward
from memorywall.families._config import Config
from memorywall.families._experts import Experts
from memorywall.families._heads import decoder_classes, decoder_head
from memorywall.families._mla import LatentAttention
from memorywall.families._sparse import AnyMlp, SparseDecoder, grouped, lower, note_predictors

_CLASSIFIERS = ("ForSequenceClassification", "ForTokenClassification")


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What sets one model type apart; defaults of keys are those of its transformers config."""

    prefix: str
    classifiers: tuple[str, ...]
    scoring: str
    mlp_bias: bool
    first_dense: int
    experts: int
    chosen: int | None
    shared: int
    width: int
    positions: int


_V2 = _Dialect("DeepseekV2", _CLASSIFIERS[:1], "softmax", True, 0, 64, None, 2, 1407, 2048)
_V3 = _Dialect("DeepseekV3", _CLASSIFIERS, "sigmoid", False, 3, 256, 8, 1, 2048, 4096)
_DIALECTS = {"deepseek_v2": _V2, "deepseek_v3": _V3, "kimi_k2": _V3}


def read(data: Mapping[str, Any], where: str) -> SparseDecoder:
    """Read a config of one of the model types in ``_DIALECTS``."""
    config = Config(data, where)
    dialect = _DIALECTS[str(data["model_type"])]
    class_name = config.class_name(
        f"{dialect.prefix}ForCausalLM",
        decoder_classes(dialect.prefix, f"{dialect.prefix}ForCausalLM", dialect.classifiers),
    )
    layers = config.size("num_hidden_layers")
    dense = min(layers, config.count("first_k_dense_replace", dialect.first_dense))
    attention = _read_attention(config)
    mlps: list[AnyMlp] = [_read_dense(config, dialect)] * dense
    if dense < layers:
        mlps += [_read_experts(config, dialect)] * (layers - dense)
    note_predictors(config)
    architecture = SparseDecoder(
        class_name=class_name,
        head=decoder_head(config, class_name, tied=config.flag("tie_word_embeddings", False)),
        dtype=config.dtype(),
        vocab_size=config.size("vocab_size"),
        hidden_size=config.size("hidden_size"),
        max_positions=config.size("max_position_embeddings", dialect.positions),
        layers=grouped((attention, mlp) for mlp in mlps),
        notes=config.all_notes(),
    )
    config.check()
    return architecture


def _read_attention(config: Config) -> LatentAttention:
    heads = config.size("num_attention_heads")
    kv_heads = config.size("num_key_value_heads", heads)
    if kv_heads != heads:
        config.faults["num_key_value_heads"] = (
            f"'num_key_value_heads' ({kv_heads}) must be 'num_attention_heads' ({heads}): latents "
            "are projected to keys and values of every head"
        )
    # A null says that queries are projected at once; without the key, the class's default holds.
    said = "q_lora_rank" in config.data
    return LatentAttention(
        heads,
        config.optional_size("q_lora_rank") if said else 1536,
        config.size("kv_lora_rank", 512),
        config.size("qk_nope_head_dim", 128),
        config.size("qk_rope_head_dim", 64),
        config.size("v_head_dim", 128),
        bias=config.flag("attention_bias", False),
    )


def _read_dense(config: Config, dialect: _Dialect) -> FeedForward:
    return FeedForward(
        config.size("intermediate_size"),
        config.activation("hidden_act", "silu"),
        gated=True,
        bias=dialect.mlp_bias and config.flag("mlp_bias", False),
    )


def _read_experts(config: Config, dialect: _Dialect) -> Experts:
    count = config.size("n_routed_experts", dialect.experts)
    width = config.size("moe_intermediate_size", dialect.width)
    return Experts(
        count,
        config.size("num_experts_per_tok", dialect.chosen, most=max(1, count)),
        FeedForward(width, config.activation("hidden_act", "silu"), gated=True),
        shared=width * config.size("n_shared_experts", dialect.shared),
        shared_bias=dialect.mlp_bias and config.flag("mlp_bias", False),
        scoring=dialect.scoring,
    )


FAMILY = Family("deepseek", tuple(_DIALECTS), read, lower)

"""Qwen3-Next and its like: gated delta rules, and one layer in four that attends.

Qwen's attention gates its output, and experts may replace its feed-forward. OLMo Hybrid's layers
differ in their norms: those that attend have them after each half, the others before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.decoder import Decoder, lower
from memorywall.layers.delta_rule import GatedDelta
from memorywall.reading.config_values import Config
from memorywall.reading.dialects import ATTENTION_BIAS, PARTIAL_ROTARY, Dialect, read_decoder
from memorywall.reading.expert_keys import NUM_EXPERTS, Mixture, by_steps
from memorywall.reading.heads import ALL_HEADS
from memorywall.reading.layer_placement import one_in, placed
from memorywall.reading.predictors import note_predictors
from memorywall.reading.recurrent_mixers import read_gated_delta
from memorywall.reading.windows import Look

_CHOSEN, _WIDTH = "num_experts_per_tok", ("moe_intermediate_size", 512)
_SHARED = ("shared_expert_intermediate_size", 512)
_REFUSED = (
    ("attn_output_gate", (False,), "transformers' class always gates"),
    ("use_sliding_window", (True,), "transformers' class has no windows"),
    ("mamba_ssm_dtype", ("bfloat16", "float16"), "published kernels keep the state in float32"),
)


def _read_olmo_delta(config: Config) -> GatedDelta:
    """Read OLMo Hybrid's keys, whose defaults follow from attention's."""
    heads = config.size("num_attention_heads")
    key_heads = config.size("linear_num_key_heads", heads)
    value_heads = config.size("linear_num_value_heads", heads)
    config.divides("linear_num_key_heads", key_heads, "linear_num_value_heads", value_heads)
    narrow = max(1, int(0.75 * config.size("hidden_size") / key_heads))
    key_dim = config.size("linear_key_head_dim", narrow)
    return GatedDelta(
        key_heads,
        key_dim,
        value_heads,
        config.size("linear_value_head_dim", 2 * key_dim),
        kernel=config.size("linear_conv_kernel_dim", 4),
        activation=config.activation("hidden_act", "silu"),
    )


def _olmo_attends(_: Config, layers: int) -> list[bool]:
    """Let every fourth layer attend; the last where there is no fourth."""
    return [layer % 4 == 3 or (layers < 4 and layer == layers - 1) for layer in range(layers)]


def _olmo_looks(config: Config, layers: int) -> list[Look]:
    """Rotate by position only where the config has the base of a rotation."""
    rope = config.within("rope_parameters")
    return [(None, rope is not None and rope.has("rope_theta"))] * layers


# The common values of Qwen's models.
_QWEN: dict[str, Any] = {
    "qkv_bias": ATTENTION_BIAS, "out_bias": ATTENTION_BIAS, "qk_norm": "head",
    "gated_attention": True, "head_dim": 256, "rotary": 0.25, "rotary_key": PARTIAL_ROTARY,
    "mixers": placed("linear_attention", read_gated_delta, one_in(4, "full_attention_interval")),
    "state_dtype": "fp32", "positions": 32_768, "refused": _REFUSED,
}  # fmt: skip
DIALECTS = {
    "qwen3_next": Dialect(
        "Qwen3Next", **_QWEN, kv_heads=2,
        experts=Mixture(
            (NUM_EXPERTS, 512), (_CHOSEN, 10), _WIDTH, shared_width=_SHARED, shared_gate=True,
            layers=by_steps,
        ),
    ),
    # The two that follow are the decoders of models with images.
    "qwen3_5_text": Dialect(
        "Qwen3_5Text", **_QWEN, generating="Qwen3_5ForCausalLM", kv_heads=4, heads=ALL_HEADS[:1]
    ),
    "qwen3_5_moe_text": Dialect(
        "Qwen3_5MoeText", **_QWEN, generating="Qwen3_5MoeForCausalLM", kv_heads=2, heads=(),
        experts=Mixture(
            (NUM_EXPERTS, 256), (_CHOSEN, 8), _WIDTH, shared_width=_SHARED, shared_gate=True
        ),
    ),
    "olmo_hybrid": Dialect(
        "OlmoHybrid", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, qk_norm="all",
        norms="after", layers=_olmo_looks, state_dtype="fp32", positions=65_536, heads=(),
        mixers=placed("linear_attention", _read_olmo_delta, _olmo_attends),
    ),
}  # fmt: skip


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config of one of the model types in ``DIALECTS``."""
    model_type = str(data["model_type"])
    config = Config(data, where)
    note_predictors(config)
    decoder = read_decoder(config, DIALECTS[model_type])
    config.check()
    if model_type == "olmo_hybrid":
        layers = [
            replace(kind, norms="before") if isinstance(kind.attention, GatedDelta) else kind
            for kind in decoder.layers
        ]
        decoder = replace(decoder, layers=tuple(layers))
    return decoder


FAMILY = Family("gated_delta", tuple(DIALECTS), read, lower)

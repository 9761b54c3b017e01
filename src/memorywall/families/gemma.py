"""Gemma: scaled embeddings, wide heads, tanh-gelu gates; later norms around each half and windows.

Gemma 2 caps scores and logits and alternates windows; Gemma 3 norms queries and keys instead, and
lets one layer in six look all the way back. Gemma 4 is read in ``reading/gemma4_text``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.decoder import Decoder, lower
from memorywall.reading import gemma4_text
from memorywall.reading.config_values import Config
from memorywall.reading.dialects import ATTENTION_BIAS, Dialect, read_decoder
from memorywall.reading.heads import ALL_HEADS
from memorywall.reading.windows import alternating

_GATE = ("hidden_activation", "gelu_pytorch_tanh")
_REFUSED = (
    ("use_bidirectional_attention", (True, "all"), "tokens that look ahead are not supported"),
)

DIALECTS = {
    "gemma": Dialect(
        "Gemma", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS,
        activation=("hidden_act", "gelu_pytorch_tanh"), kv_heads=16, head_dim=256, positions=8192,
        tied=True, embedding_scale=True, heads=ALL_HEADS[:2], refused=_REFUSED,
    ),
    "gemma2": Dialect(
        "Gemma2", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, activation=_GATE,
        norms="around", kv_heads=4, head_dim=256, layers=alternating(4096, 2), positions=8192,
        tied=True, embedding_scale=True, heads=ALL_HEADS[:2], refused=_REFUSED,
    ),
    "gemma3_text": Dialect(
        "Gemma3Text", generating="Gemma3ForCausalLM", qkv_bias=ATTENTION_BIAS,
        out_bias=ATTENTION_BIAS, activation=_GATE, norms="around", qk_norm="head", kv_heads=4,
        head_dim=256, layers=alternating(4096, 6, key="sliding_window_pattern"), positions=131_072,
        tied=True, embedding_scale=True, heads=ALL_HEADS[:1], refused=_REFUSED,
    ),
    "vaultgemma": Dialect(
        "VaultGemma", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, activation=_GATE,
        kv_heads=4, head_dim=256, layers=alternating(4096, 2), positions=8192, tied=True,
        embedding_scale=True, heads=(), refused=_REFUSED,
    ),
}  # fmt: skip
# Caps of scores and of logits where a config leaves the keys out; null is none.
_CAPS: dict[str, tuple[float | None, float | None]] = {
    "gemma2": (50.0, 30.0),
    "gemma3_text": (None, None),
    "vaultgemma": (50.0, 30.0),
}


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config of one of the model types in ``DIALECTS``, or of Gemma 4."""
    model_type = str(data["model_type"])
    if model_type in gemma4_text.TYPES:
        return gemma4_text.read(data, where)
    config = Config(data, where)
    decoder = read_decoder(config, DIALECTS[model_type])
    if model_type in _CAPS:
        scores, logits = _CAPS[model_type]
        on_scores = _cap(config, "attn_logit_softcapping", scores)
        on_logits = _cap(config, "final_logit_softcapping", logits)
        decoder = replace(decoder.with_attention(on_scores=on_scores), on_logits=on_logits)
    config.check()
    return decoder


def _cap(config: Config, key: str, default: float | None) -> str:
    return "" if config.bound(key, default) is None else "softcap"


FAMILY = Family("gemma", (*DIALECTS, *gemma4_text.TYPES), read, lower)

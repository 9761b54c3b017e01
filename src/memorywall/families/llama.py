"""Llama and the decoders built from the same blocks: rotary positions, RMS norms, a gated MLP.

The model types differ in where biases stand, in the normalisation of queries and keys, in whether
norms stand before or after each half of a layer, and in sliding windows; ``DIALECTS`` lists that.
Llama 4's decoder is read in ``reading/llama4_text``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.decoder import Decoder, lower
from memorywall.reading import llama4_text
from memorywall.reading.config_values import Config
from memorywall.reading.dialects import (
    ATTENTION_BIAS,
    MLP_BIAS,
    PARTIAL_ROTARY,
    Dialect,
    read_dialect,
)
from memorywall.reading.heads import ALL_HEADS
from memorywall.reading.windows import (
    Look,
    alternating,
    everywhere,
    past,
    patterned,
    sliding,
    window_of,
)

_CLASSIFIERS = ALL_HEADS[:2]
_USE_BIAS = ("use_bias", False)
_LATE = patterned(4096, past(28), flag=True)


def _smollm3_layers(config: Config, layers: int) -> list[Look]:
    """Read layers of which every fourth does not rotate; windows hold only in those, if at all."""
    flags = config.data.get("no_rope_layers")
    if flags is None:
        every = config.size("no_rope_layer_interval", 4)
        flags = [int((i + 1) % every != 0) for i in range(layers)]
    if not isinstance(flags, list) or len(flags) != layers or any(f not in (0, 1) for f in flags):
        config.faults["no_rope_layers"] = f"'no_rope_layers' must be {layers} times 0 or 1"
        return everywhere(config, layers)
    window = window_of(config, None) if config.flag("use_sliding_window", False) else None
    kinds = config.layer_types(layers, ("full_attention", "sliding_attention"))
    slides = [kind == "sliding_attention" for kind in kinds] if kinds else [not f for f in flags]
    return [(window if s else None, bool(f)) for s, f in zip(slides, flags, strict=True)]


DIALECTS = {
    "llama": Dialect(
        "Llama", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, mlp_bias=MLP_BIAS
    ),
    # transformers has these two as Llamas.
    "internlm3": Dialect(
        "Llama", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, mlp_bias=MLP_BIAS, kv_heads=2,
        head_dim=128, positions=32_768,
    ),
    "iquestcoder": Dialect(
        "Llama", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, mlp_bias=MLP_BIAS, kv_heads=8,
        head_dim=128, positions=131_072,
    ),
    "mistral": Dialect("Mistral", kv_heads=8, layers=sliding(4096), positions=131_072),
    "ministral": Dialect("Ministral", kv_heads=8, layers=alternating(4096, 0), positions=131_072),
    "qwen2": Dialect("Qwen2", qkv_bias=True, kv_heads=32, layers=_LATE, positions=32_768),
    "qwen3": Dialect(
        "Qwen3", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, qk_norm="head", kv_heads=32,
        head_dim=128, layers=_LATE, positions=32_768,
    ),
    "phi3": Dialect(
        "Phi3", layers=sliding(None), rotary_key=PARTIAL_ROTARY, positions=4096, heads=_CLASSIFIERS,
        refused=(("attention_bias", (True,), "the class has no biases in attention"),),
    ),
    "olmo": Dialect(
        "Olmo", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, norm="layernorm_plain",
        clips=True, heads=ALL_HEADS[:1],
    ),
    "olmo2": Dialect(
        "Olmo2", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, qk_norm="all", norms="after",
        heads=ALL_HEADS[:1],
    ),
    "olmo3": Dialect(
        "Olmo3", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, qk_norm="all", norms="after",
        layers=alternating(4096, 4), heads=ALL_HEADS[:1],
    ),
    # Where there are windows, the layers without one do not rotate.
    "exaone4": Dialect(
        "Exaone4", qk_norm="head", norms="after", kv_heads=32,
        layers=alternating(
            4096, 4, key="sliding_window_pattern",
            rotated=lambda window, slides: slides or window is None,
        ),
    ),
    "glm": Dialect(
        "Glm", qkv_bias=("attention_bias", True), kv_heads=2, head_dim=128, rotary=0.5,
        rotary_key=PARTIAL_ROTARY, positions=131_072, heads=_CLASSIFIERS,
    ),
    "glm4": Dialect(
        "Glm4", qkv_bias=("attention_bias", True), norms="around", kv_heads=2, head_dim=128,
        rotary=0.5, rotary_key=PARTIAL_ROTARY, positions=131_072, heads=_CLASSIFIERS,
    ),
    "granite": Dialect(
        "Granite", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, mlp_bias=MLP_BIAS,
        embedding_scale=True, residual_scale=True, on_logits="scale", heads=(),
    ),
    "smollm3": Dialect(
        "SmolLM3", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, mlp_bias=MLP_BIAS, kv_heads=4,
        layers=_smollm3_layers, positions=32_768, tied=True,
    ),
    "ernie4_5": Dialect(
        "Ernie4_5", qkv_bias=_USE_BIAS, out_bias=_USE_BIAS, mlp_bias=_USE_BIAS, kv_heads=2,
        head_dim=128, positions=131_072, tied=True, heads=(),
    ),
    "seed_oss": Dialect(
        "SeedOss", qkv_bias=("attention_bias", True), out_bias=("attention_out_bias", False),
        mlp_bias=MLP_BIAS, kv_heads=8, head_dim=128, positions=524_288,
    ),
    "helium": Dialect(
        "Helium", qkv_bias=ATTENTION_BIAS, mlp_bias=MLP_BIAS, kv_heads=20, head_dim=128,
        positions=4096, heads=_CLASSIFIERS,
    ),
    # Its norms of queries and keys come after the rotation, at the same cost.
    "hunyuan_v1_dense": Dialect(
        "HunYuanDenseV1", qkv_bias=ATTENTION_BIAS, out_bias=ATTENTION_BIAS, qk_norm="head",
        heads=ALL_HEADS[:1],
    ),
    # 13B, of which 7B is a Llama; its scores have ALiBi, and the code is custom.
    "baichuan": Dialect(
        "Baichuan", reads_kv_heads=False, reads_head_dim=False, rotary=None, on_scores="alibi",
        names={"max_position_embeddings": "model_max_length"}, positions=4096, heads=(),
    ),
    "cwm": Dialect(
        "Cwm", mlp_bias=MLP_BIAS, kv_heads=8, head_dim=128,
        layers=alternating(8192, 4, first=True), positions=131_072, heads=(),
    ),
}  # fmt: skip


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config of one of the model types in ``DIALECTS``, or of Llama 4's decoder."""
    if data["model_type"] == llama4_text.MODEL_TYPE:
        return llama4_text.read(data, where)
    return read_dialect(data, where, DIALECTS)


FAMILY = Family("llama", (*DIALECTS, llama4_text.MODEL_TYPE), read, lower)

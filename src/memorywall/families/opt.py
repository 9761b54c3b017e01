"""Decoders with absolute positions and layer norms, as GPT-2's: OPT, GPT-Neo, BioGPT, XGLM.

Positions are a learned table, except XGLM's sinusoids. GPT-2 itself is a separate family, since its
weights are transposed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from memorywall.core.model import Family
from memorywall.layers.decoder import Decoder, lower
from memorywall.reading.config_values import Config
from memorywall.reading.dialects import Dialect, read_decoder
from memorywall.reading.heads import ALL_HEADS
from memorywall.reading.windows import Look, everywhere

# Tables of OPT and BioGPT begin two rows late.
_OFFSET = 2
_CROSS = (("add_cross_attention", (True,), "a decoder that reads an encoder is not supported"),)


def _gpt_neo_layers(config: Config, layers: int) -> list[Look]:
    """Read ``attention_types``, a list of (kinds of layers, how many times)."""
    window = config.size("window_size", 256)
    pairs = config.data.get("attention_types") or [[["global", "local"], 12]]
    runs = pairs if isinstance(pairs, list) and len(pairs) <= layers else []
    kinds = [kind for run in runs for kind in _repeated(run, layers)]
    if len(kinds) != layers or any(kind not in ("global", "local") for kind in kinds):
        config.faults["attention_types"] = (
            f"'attention_types' must make {layers} layers of 'global' and 'local'"
        )
        return everywhere(config, layers)
    return [(window if kind == "local" else None, True) for kind in kinds]


def _repeated(run: object, most: int) -> list[object]:
    """Return the layers of one run, [kinds, times]; none for anything else."""
    if not isinstance(run, list | tuple) or len(run) != 2:
        return []
    kinds, times = run
    good = isinstance(kinds, list | tuple) and isinstance(times, int) and times <= most
    return list(kinds) * times if good and len(kinds) <= most else []


_ENABLED = ("enable_bias", True)
_PLAIN: dict[str, Any] = {
    "gated": False, "norm": "layernorm", "reads_kv_heads": False, "reads_head_dim": False,
    "rotary": None, "tied": True,
}  # fmt: skip
DIALECTS = {
    "opt": Dialect(
        "OPT", names={"intermediate_size": "ffn_dim", "hidden_act": "activation_function"},
        qkv_bias=_ENABLED, out_bias=_ENABLED, mlp_bias=_ENABLED, activation=("hidden_act", "relu"),
        heads=("ForSequenceClassification", "ForQuestionAnswering"), **_PLAIN,
    ),
    "biogpt": Dialect(
        "BioGpt", qkv_bias=True, out_bias=True, mlp_bias=True, activation=("hidden_act", "gelu"),
        positions=1024, heads=ALL_HEADS[:2], **_PLAIN,
    ),
    "xglm": Dialect(
        "XGLM",
        names={
            "hidden_size": "d_model", "intermediate_size": "ffn_dim",
            "num_hidden_layers": "num_layers", "num_attention_heads": "attention_heads",
            "hidden_act": "activation_function",
        },
        qkv_bias=True, out_bias=True, mlp_bias=True, activation=("hidden_act", "gelu"), heads=(),
        refused=_CROSS, **_PLAIN,
    ),
    "gpt_neo": Dialect(
        "GPTNeo",
        names={
            "num_hidden_layers": "num_layers", "num_attention_heads": "num_heads",
            "hidden_act": "activation_function",
        },
        out_bias=True, mlp_bias=True, expansion=4, activation=("hidden_act", "gelu_new"),
        layers=_gpt_neo_layers, **_PLAIN,
    ),
    "gpt_bigcode": Dialect(
        "GPTBigCode",
        names={
            "hidden_size": "n_embd", "num_attention_heads": "n_head",
            "num_hidden_layers": "n_layer", "intermediate_size": "n_inner",
            "max_position_embeddings": "n_positions", "hidden_act": "activation_function",
        },
        qkv_bias=True, out_bias=True, mlp_bias=True, expansion=4,
        activation=("hidden_act", "gelu_pytorch_tanh"), positions=1024, heads=ALL_HEADS[:2],
        refused=_CROSS, **_PLAIN,
    ),
}  # fmt: skip


def read(data: Mapping[str, Any], where: str) -> Decoder:
    """Read a config of one of the model types in ``DIALECTS``."""
    model_type = str(data["model_type"])
    dialect = DIALECTS[model_type]
    config = Config(data, where, dialect.names)
    decoder = read_decoder(config, dialect)
    if model_type in ("xglm", "biogpt"):
        scale = config.flag("scale_embedding", True)
        decoder = replace(decoder, embedding_scale=scale)
    if model_type == "gpt_bigcode" and config.flag("multi_query", True):
        decoder = decoder.with_attention(kv_heads=1)
    decoder = _opt(config, decoder) if model_type == "opt" else decoder
    config.check()
    if model_type == "xglm":
        return replace(decoder, sinusoids=True)
    offset = _OFFSET if model_type in ("opt", "biogpt") else 0
    return replace(decoder, positions=(decoder.max_positions or 0) + offset)


def _opt(config: Config, decoder: Decoder) -> Decoder:
    """Read what OPT-350M does its own way: narrow embeddings, and norms after the sums."""
    before = config.flag("do_layer_norm_before", True)
    narrow = config.size("word_embed_proj_dim", decoder.hidden_size)
    learned = config.flag("layer_norm_elementwise_affine", True)
    return replace(
        decoder,
        norm="layernorm" if learned else "layernorm_plain",
        norms="before" if before else "outside",
        final_norm=before and not config.flag("_remove_final_layer_norm", False),
        embedding_size=None if narrow == decoder.hidden_size else narrow,
    )


FAMILY = Family("opt", tuple(DIALECTS), read, lower)

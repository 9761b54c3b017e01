"""Small random configs of dense decoders, by model type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

# Each model type's names of the common keys, if they differ.
GPTJ = {
    "hidden_size": "n_embd", "num_attention_heads": "n_head", "num_hidden_layers": "n_layer",
    "intermediate_size": "n_inner", "max_position_embeddings": "n_positions",
    "hidden_act": "activation_function",
}  # fmt: skip
NAMES = {
    "gptj": GPTJ,
    "codegen": GPTJ,
    "gpt_bigcode": GPTJ,
    "gemma2": {"hidden_act": "hidden_activation"},
    "gemma3_text": {"hidden_act": "hidden_activation"},
    "vaultgemma": {"hidden_act": "hidden_activation"},
    "falcon": {"intermediate_size": "ffn_hidden_size", "hidden_act": "activation"},
    "opt": {"intermediate_size": "ffn_dim", "hidden_act": "activation_function"},
    "gpt_neo": {
        "num_hidden_layers": "num_layers", "num_attention_heads": "num_heads",
        "hidden_act": "activation_function",
    },
    "xglm": {
        "hidden_size": "d_model", "intermediate_size": "ffn_dim", "num_hidden_layers": "num_layers",
        "num_attention_heads": "attention_heads", "hidden_act": "activation_function",
    },
    "bloom": {"num_attention_heads": "n_head", "num_hidden_layers": "n_layer"},
    "mpt": {
        "hidden_size": "d_model", "num_attention_heads": "n_heads",
        "num_hidden_layers": "n_layers", "max_position_embeddings": "max_seq_len",
    },
}  # fmt: skip

CLASSIFIES, TAGS, ANSWERS = (
    "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering",
)  # fmt: skip
ALL = (CLASSIFIES, TAGS, ANSWERS)
# The prefix of the classes, and the classes other than the causal LM and the bare model.
CLASSES: dict[str, tuple[str, tuple[str, ...]]] = {
    "gpt_neox": ("GPTNeoX", ALL),
    "gptj": ("GPTJ", (CLASSIFIES,)),
    "codegen": ("CodeGen", ()),
    "phi": ("Phi", (CLASSIFIES, TAGS)),
    "stablelm": ("StableLm", (CLASSIFIES, TAGS)),
    "cohere": ("Cohere", ()),
    "cohere2": ("Cohere2", ()),
    "falcon": ("Falcon", ALL),
    "opt": ("OPT", (CLASSIFIES, ANSWERS)),
    "biogpt": ("BioGpt", (CLASSIFIES, TAGS)),
    "xglm": ("XGLM", ()),
    "gpt_neo": ("GPTNeo", ALL),
    "gpt_bigcode": ("GPTBigCode", (CLASSIFIES, TAGS)),
    "bloom": ("Bloom", ALL),
    "mpt": ("Mpt", ALL),
    "gemma": ("Gemma", (CLASSIFIES, TAGS)),
    "gemma2": ("Gemma2", (CLASSIFIES, TAGS)),
    "gemma3_text": ("Gemma3Text", (CLASSIFIES,)),
    "vaultgemma": ("VaultGemma", ()),
    "nemotron": ("Nemotron", ALL),
    "starcoder2": ("Starcoder2", (CLASSIFIES, TAGS)),
    "arcee": ("Arcee", ALL),
    "apertus": ("Apertus", (TAGS,)),
    "jais2": ("Jais2", ()),
    "persimmon": ("Persimmon", (CLASSIFIES, TAGS)),
    "ministral": ("Ministral", ALL),
    "olmo": ("Olmo", (CLASSIFIES,)),
    "olmo3": ("Olmo3", (CLASSIFIES,)),
    "exaone4": ("Exaone4", ALL),
    "glm": ("Glm", (CLASSIFIES, TAGS)),
    "glm4": ("Glm4", (CLASSIFIES, TAGS)),
    "granite": ("Granite", ()),
    "smollm3": ("SmolLM3", ALL),
    "ernie4_5": ("Ernie4_5", ()),
    "seed_oss": ("SeedOss", ALL),
    "helium": ("Helium", (CLASSIFIES, TAGS)),
    "hunyuan_v1_dense": ("HunYuanDenseV1", (CLASSIFIES,)),
    "cwm": ("Cwm", ()),
    "internlm3": ("Llama", ALL),
    "iquestcoder": ("Llama", ALL),
}

NO_GROUPS = (
    "gpt_neox", "gptj", "codegen", "falcon", "opt", "biogpt", "xglm", "gpt_neo", "gpt_bigcode",
    "bloom", "mpt", "persimmon",
)  # fmt: skip
# Types whose heads need not fill the hidden size; whose heads must be given, and fill it; and in
# which null means that they fill it.
FREE_HEAD_DIM = (
    "gemma", "gemma3_text", "glm", "glm4", "nemotron", "hunyuan_v1_dense", "ministral",
)  # fmt: skip
OWN_HEAD_DIM = (*FREE_HEAD_DIM, "gemma2", "vaultgemma", "cwm")
NULL_HEAD_DIM = ("seed_oss", "ernie4_5", "arcee", "internlm3", "iquestcoder")
WINDOWED = (
    "gemma2", "gemma3_text", "vaultgemma", "cohere2", "starcoder2", "ministral", "olmo3",
    "exaone4", "cwm",
)  # fmt: skip
FLAGS = {
    "gpt_neox": ("attention_bias", "use_parallel_residual"),
    "phi": ("qk_layernorm",),
    "stablelm": ("use_qkv_bias", "qk_layernorm", "use_parallel_residual"),
    "cohere": ("attention_bias", "use_qk_norm"),
    "cohere2": ("attention_bias",),
    "falcon": ("alibi", "new_decoder_architecture", "multi_query", "bias"),
    "opt": ("enable_bias", "layer_norm_elementwise_affine", "do_layer_norm_before"),
    "gpt_bigcode": ("multi_query",),
    "gemma": ("attention_bias",),
    "gemma2": ("attention_bias",),
    "gemma3_text": ("attention_bias",),
    "nemotron": ("attention_bias", "mlp_bias"),
    "starcoder2": ("use_bias",),
    "arcee": ("attention_bias", "mlp_bias"),
    "apertus": ("attention_bias",),
    "jais2": ("attention_bias", "mlp_bias"),
    "persimmon": ("qk_layernorm",),
    "olmo": ("attention_bias",),
    "olmo3": ("attention_bias",),
    "glm": ("attention_bias",),
    "glm4": ("attention_bias",),
    "granite": ("attention_bias", "mlp_bias"),
    "smollm3": ("attention_bias", "mlp_bias", "use_sliding_window"),
    "ernie4_5": ("use_bias",),
    "seed_oss": ("attention_bias", "attention_out_bias", "mlp_bias"),
    "helium": ("attention_bias", "mlp_bias"),
    "hunyuan_v1_dense": ("attention_bias",),
    "cwm": ("mlp_bias",),
    "internlm3": ("bias",),
    "iquestcoder": ("attention_bias", "mlp_bias"),
}


def _fixed(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(dict(keys))


def _falcon(config: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    if not config["new_decoder_architecture"]:
        return _fixed(parallel_attn=st.booleans())
    return _fixed(
        num_kv_heads=st.sampled_from([1, config["num_attention_heads"]]),
        num_ln_in_parallel_attn=st.sampled_from([None, 1, 2]),
    )


def _rotary_dim(config: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    head_dim = config["hidden_size"] // config["num_attention_heads"]
    return st.integers(1, head_dim // 2).map(lambda half: {"rotary_dim": 2 * half})


def _layer_types(config: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    kinds = st.sampled_from(["full_attention", "sliding_attention"])
    layers = config["num_hidden_layers"]
    listed = _fixed(layer_types=st.lists(kinds, min_size=layers, max_size=layers))
    return st.one_of(st.just({}), listed)


def _attention_types(config: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    kinds = st.sampled_from(["global", "local"])
    layers = config["num_hidden_layers"]
    return _fixed(
        attention_types=st.lists(kinds, min_size=layers, max_size=layers).map(lambda k: [[k, 1]]),
        window_size=st.just(64),
    )


_CLIP = st.sampled_from([None, 2.0])
# Keys of these types only.
OWN: dict[str, Callable[[dict[str, Any]], st.SearchStrategy[dict[str, Any]]]] = {
    "gptj": _rotary_dim,
    "codegen": _rotary_dim,
    "stablelm": lambda _: _fixed(partial_rotary_factor=st.sampled_from([0.5, 1.0])),
    "gpt_neox": lambda _: _fixed(rotary_pct=st.sampled_from([0.5, 1.0])),
    "falcon": _falcon,
    "opt": lambda c: _fixed(word_embed_proj_dim=st.sampled_from([c["hidden_size"], 5])),
    "gpt_neo": _attention_types,
    "gemma3_text": lambda _: _fixed(sliding_window_pattern=st.integers(1, 4)),
    "cohere2": lambda _: _fixed(sliding_window_pattern=st.integers(1, 4)),
    "exaone4": lambda _: _fixed(sliding_window_pattern=st.integers(1, 4)),
    "olmo3": _layer_types,
    "ministral": _layer_types,
    "cwm": _layer_types,
    "gemma2": _layer_types,
    "olmo": lambda _: _fixed(clip_qkv=_CLIP),
    "mpt": lambda _: _fixed(attn_config=_fixed(clip_qkv=_CLIP)),
    "apertus": lambda _: _fixed(hidden_act=st.sampled_from(["xielu", "relu2"])),
    "smollm3": lambda _: _fixed(no_rope_layer_interval=st.integers(1, 3)),
}


def class_of(model_type: str, what: str = "ForCausalLM") -> str:
    """Return the transformers class for a model type."""
    prefix = CLASSES[model_type][0]
    # Gemma 3's text model has a causal LM that is not named after it.
    return f"{prefix.removesuffix('Text') if what == 'ForCausalLM' else prefix}{what}"


@st.composite
def configs(draw: st.DrawFn, model_type: str) -> dict[str, Any]:
    """Draw a small config of one model type."""
    grouped = model_type not in NO_GROUPS
    kv_heads = draw(st.integers(1, 3)) if grouped else 1
    heads = kv_heads * draw(st.integers(1, 3))
    if model_type == "codegen":
        heads = 4  # its queries, keys and values come in four parts
    head_dim = 4 * draw(st.integers(1, 3))
    hidden = heads * head_dim
    config: dict[str, Any] = {
        "vocab_size": draw(st.integers(3, 50)),
        "hidden_size": hidden,
        "intermediate_size": draw(st.integers(1, 50)),
        "num_hidden_layers": draw(st.integers(1, 5)),
        "num_attention_heads": heads,
        "max_position_embeddings": 64,
        "hidden_act": draw(st.sampled_from(["silu", "gelu", "relu", "relu2"])),
        "tie_word_embeddings": draw(st.booleans()),
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "num_labels": draw(st.integers(2, 5)),
    }
    if grouped:
        config["num_key_value_heads"] = kv_heads
    if model_type == "helium" or model_type in OWN_HEAD_DIM:
        config["head_dim"] = head_dim
        if model_type in FREE_HEAD_DIM:
            config["hidden_size"] = heads * draw(st.integers(1, 9))
    elif model_type in NULL_HEAD_DIM:
        config["head_dim"] = draw(st.sampled_from([head_dim, None]))
    if model_type in WINDOWED or model_type == "smollm3":
        config["sliding_window"] = draw(st.sampled_from([3, 6, 64]))
    for flag in FLAGS.get(model_type, ()):
        config[flag] = draw(st.booleans())
    if model_type in OWN:
        config |= draw(OWN[model_type](config))
    if model_type == "internlm3":  # which has both or neither
        config["attention_bias"] = config["mlp_bias"] = config.pop("bias")
    names = NAMES.get(model_type, {})
    classes = ["Model", "ForCausalLM", *CLASSES[model_type][1]]
    return {
        "model_type": model_type,
        "architectures": [class_of(model_type, draw(st.sampled_from(classes)))],
        **{names.get(key, key): value for key, value in config.items()},
    }

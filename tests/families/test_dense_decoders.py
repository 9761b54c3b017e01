"""Random small configs of dense decoders against transformers' classes, to the last digit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memorywall as mw
from tests import oracle
from tests.toys import products

# What each model type calls the common keys, where it has names of its own.
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
# The prefix of the classes, and what there is beside the causal LM and the bare model.
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
}

NO_GROUPS = (
    "gpt_neox", "gptj", "codegen", "falcon", "opt", "biogpt", "xglm", "gpt_neo", "gpt_bigcode",
    "bloom", "mpt", "persimmon",
)  # fmt: skip
OWN_HEAD_DIM = (
    "gemma", "gemma2", "gemma3_text", "vaultgemma", "glm", "glm4", "ernie4_5", "seed_oss",
    "nemotron", "arcee", "hunyuan_v1_dense", "cwm", "ministral",
)  # fmt: skip
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
}


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
    if model_type == "helium" or (model_type in OWN_HEAD_DIM and draw(st.booleans())):
        config["head_dim"] = head_dim
        if model_type not in ("helium", "gemma2", "vaultgemma", "arcee", "cwm"):
            config["hidden_size"] = heads * draw(st.integers(1, 9))
    elif model_type in OWN_HEAD_DIM:
        config["head_dim"] = head_dim
    if model_type in WINDOWED or model_type == "smollm3":
        config["sliding_window"] = draw(st.sampled_from([3, 6, 64]))
    for flag in FLAGS.get(model_type, ()):
        config[flag] = draw(st.booleans())
    config |= _own_keys(draw, model_type, config)
    names = NAMES.get(model_type, {})
    prefix, heads_known = CLASSES[model_type]
    config = {names.get(key, key): value for key, value in config.items()}
    return {
        "model_type": model_type,
        "architectures": [_class_name(prefix, draw(st.sampled_from(["", "LM", *heads_known])))],
        **config,
    }


def _class_name(prefix: str, what: str) -> str:
    if what == "LM":
        return f"{prefix.removesuffix('Text')}ForCausalLM"
    return f"{prefix}{what or 'Model'}"


def _own_keys(draw: st.DrawFn, model_type: str, config: dict[str, Any]) -> dict[str, Any]:
    """Draw what only this model type has."""
    layers, heads = config["num_hidden_layers"], config["num_attention_heads"]
    head_dim = config["hidden_size"] // heads
    match model_type:
        case "gptj" | "codegen":
            return {"rotary_dim": 2 * draw(st.integers(1, head_dim // 2))}
        case "stablelm":
            return {"partial_rotary_factor": draw(st.sampled_from([0.5, 1.0]))}
        case "gpt_neox":
            return {"rotary_pct": draw(st.sampled_from([0.5, 1.0]))}
        case "falcon" if config["new_decoder_architecture"]:
            return {
                "num_kv_heads": draw(st.sampled_from([1, heads])),
                "num_ln_in_parallel_attn": draw(st.sampled_from([None, 1, 2])),
            }
        case "falcon":
            return {"parallel_attn": draw(st.booleans())}
        case "opt":
            return {"word_embed_proj_dim": draw(st.sampled_from([config["hidden_size"], 5]))}
        case "gpt_neo":
            kinds = draw(st.sampled_from([["global"], ["local"], ["global", "local"]]))
            config["num_hidden_layers"] = 2 * len(kinds)
            return {"attention_types": [[kinds, 2]], "window_size": 64}
        case "gemma3_text" | "cohere2" | "exaone4":
            return {"sliding_window_pattern": draw(st.integers(1, 4))}
        case "olmo3" | "ministral" | "cwm" | "gemma2":
            kinds = st.sampled_from(["full_attention", "sliding_attention"])
            return draw(
                st.one_of(
                    st.just({}),
                    st.fixed_dictionaries(
                        {"layer_types": st.lists(kinds, min_size=layers, max_size=layers)}
                    ),
                )
            )
        case "olmo":
            return {"clip_qkv": draw(st.sampled_from([None, 2.0]))}
        case "mpt":
            return {"attn_config": {"clip_qkv": draw(st.sampled_from([None, 2.0]))}}
        case "apertus":
            return {"hidden_act": draw(st.sampled_from(["xielu", "relu2"]))}
        case "smollm3":
            return {"no_rope_layer_interval": draw(st.integers(1, 3))}
    return {}


@pytest.mark.parametrize("model_type", CLASSES)
@settings(max_examples=6, deadline=None)
@given(st.data())
def test_parameters_and_products(model_type: str, data: st.DataObject) -> None:
    config = data.draw(configs(model_type))
    batch, tokens = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 12))
    class_name = config["architectures"][0]
    answer = mw.analyze(
        config, on="h100-sxm", phase="prefill", batch_size=batch, seq_len=tokens, logits="all",
        causal="full",
    )  # fmt: skip
    assert answer.conventions["parameters_of"] == class_name
    assert answer.parameters == oracle.parameters(config, class_name)
    assert products(answer) == oracle.prefill_flops(config, class_name, batch, tokens)

"""Random small configs against transformers' classes, to the last digit."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import oracle
from tests.asking import analyze_alike
from tests.counting import products

HEADS = ["Model", "ForCausalLM", "ForSequenceClassification", "ForTokenClassification"]
PREFIXES = {
    "llama": "Llama",
    "mistral": "Mistral",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "phi3": "Phi3",
    "olmo2": "Olmo2",
}
BERT_CLASSES = [
    "BertModel",
    "BertForMaskedLM",
    "BertForPreTraining",
    "BertForNextSentencePrediction",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertForQuestionAnswering",
]


@st.composite
def llama_configs(draw: st.DrawFn) -> dict[str, Any]:
    model_type = draw(st.sampled_from(sorted(PREFIXES)))
    kv_heads = draw(st.integers(1, 3))
    heads = kv_heads * draw(st.integers(1, 3))
    head_dim = 2 * draw(st.integers(1, 6))
    explicit = model_type in ("llama", "mistral", "qwen3") and draw(st.booleans())
    hidden = heads * (draw(st.integers(1, 12)) if explicit else head_dim)
    # The properties of each of transformers' classes: Olmo2 no token classifier.
    heads_known = HEADS[:3] if model_type == "olmo2" else HEADS
    config: dict[str, Any] = {
        "model_type": model_type,
        "architectures": [PREFIXES[model_type] + draw(st.sampled_from(heads_known))],
        "vocab_size": draw(st.integers(3, 50)),
        "hidden_size": hidden,
        "intermediate_size": draw(st.integers(1, 50)),
        "num_hidden_layers": draw(st.integers(1, 4)),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": 64,
        "tie_word_embeddings": draw(st.booleans()),
        "hidden_act": draw(st.sampled_from(["silu", "gelu", "relu"])),
        "pad_token_id": 0,
        "num_labels": draw(st.integers(2, 5)),
    }
    if explicit or model_type == "qwen3":
        config["head_dim"] = head_dim
    if model_type in ("llama", "qwen3", "olmo2"):
        config["attention_bias"] = draw(st.booleans())
    if model_type == "llama":
        config["mlp_bias"] = draw(st.booleans())
    if model_type == "mistral":
        config["sliding_window"] = draw(st.sampled_from([None, 4, 64]))
    return config


@st.composite
def gpt2_configs(draw: st.DrawFn) -> dict[str, Any]:
    heads = draw(st.integers(1, 4))
    return {
        "model_type": "gpt2",
        "architectures": [
            draw(st.sampled_from(["GPT2Model", "GPT2LMHeadModel", "GPT2ForSequenceClassification"]))
        ],
        "vocab_size": draw(st.integers(3, 50)),
        "n_embd": heads * draw(st.integers(1, 8)),
        "n_head": heads,
        "n_layer": draw(st.integers(1, 4)),
        "n_inner": draw(st.one_of(st.none(), st.integers(1, 40))),
        "n_positions": draw(st.integers(16, 40)),
        "tie_word_embeddings": draw(st.booleans()),
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "num_labels": draw(st.integers(2, 5)),
    }


@st.composite
def bert_configs(draw: st.DrawFn) -> dict[str, Any]:
    heads = draw(st.integers(1, 4))
    class_name = draw(st.sampled_from(BERT_CLASSES))
    return {
        "model_type": "bert",
        "architectures": [class_name],
        "vocab_size": draw(st.integers(3, 50)),
        "hidden_size": heads * draw(st.integers(1, 8)),
        "num_hidden_layers": draw(st.integers(1, 4)),
        "num_attention_heads": heads,
        "intermediate_size": draw(st.integers(1, 50)),
        "max_position_embeddings": draw(st.integers(16, 40)),
        "type_vocab_size": draw(st.integers(1, 3)),
        "tie_word_embeddings": draw(st.booleans()),
        # A question answerer splits its outputs in two, and runs with two only.
        "num_labels": 2 if "Question" in class_name else draw(st.integers(2, 5)),
    }


def agrees(config: dict[str, Any], batch: int, tokens: int) -> None:
    class_name = config["architectures"][0]
    answer = analyze_alike(
        config, on="h100-sxm", phase="prefill", batch_size=batch, seq_len=tokens,
        logits="all", causal="full",
    )  # fmt: skip
    assert answer.parameters == oracle.parameters(config, class_name)
    assert products(answer) == oracle.prefill_flops(config, class_name, batch, tokens)


@settings(max_examples=60, deadline=None)
@given(llama_configs(), st.integers(1, 3), st.integers(1, 12))
def test_llama(config: dict[str, Any], batch: int, tokens: int) -> None:
    agrees(config, batch, tokens)


@settings(max_examples=30, deadline=None)
@given(gpt2_configs(), st.integers(1, 3), st.integers(1, 12))
def test_gpt2(config: dict[str, Any], batch: int, tokens: int) -> None:
    agrees(config, batch, tokens)


@settings(max_examples=40, deadline=None)
@given(bert_configs(), st.integers(1, 3), st.integers(1, 12))
def test_bert(config: dict[str, Any], batch: int, tokens: int) -> None:
    agrees(config, batch, tokens)

"""Small configs that tests derive by hand, and strategies that draw whole questions."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

import memorywall as mw
from tests.asking import analyze_alike

# D 4, F 6, L 2, N 2, K 1, H 2, V 10: grouped queries, gated, rotary, untied.
TOY: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 10,
    "hidden_size": 4,
    "intermediate_size": 6,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "torch_dtype": "bfloat16",
}

# Every other layer looks back four positions only.
WINDOWED: dict[str, Any] = {
    **TOY,
    "model_type": "qwen2",
    "use_sliding_window": True,
    "sliding_window": 4,
    "max_window_layers": 1,
}

# An encoder-decoder of one layer each: V 9, D 4, F 6, N 2, H 2, eight positions.
MARIAN_TOY: dict[str, Any] = {
    "model_type": "marian",
    "vocab_size": 9,
    "d_model": 4,
    "max_position_embeddings": 8,
    "encoder_layers": 1,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 6,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 6,
    "activation_function": "swish",
    "scale_embedding": True,
}
T5_TOY: dict[str, Any] = {
    "model_type": "t5",
    "vocab_size": 9,
    "d_model": 4,
    "d_kv": 3,
    "d_ff": 6,
    "num_heads": 2,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
}
WHISPER_TOY: dict[str, Any] = {
    **{key: value for key, value in MARIAN_TOY.items() if key != "max_position_embeddings"},
    "model_type": "whisper",
    "num_mel_bins": 3,
    "max_source_positions": 5,
}

MODELS = [
    "gpt2",
    "bert-base-uncased",
    "meta-llama/Llama-3.1-8B",
    "meta-llama/Llama-2-70b-hf",
    "Qwen/Qwen3-0.6B",
    "allenai/OLMo-2-1124-7B",
    "mistralai/Mistral-7B-v0.1",
    "microsoft/Phi-3-mini-4k-instruct",
    "tiiuae/falcon-7b",
    "google/gemma-2-2b",
    "bigscience/bloom-560m",
    "facebook/opt-350m",
    "openai/whisper-tiny",
    "Helsinki-NLP/opus-mt-en-de",
    "google-t5/t5-small",
]
TRANSLATORS = MODELS[-2:]  # encoder-decoders whose source is as long as its text
# Of these the bytes are a mean over the experts that tokens may choose: no whole number.
SPARSE = ["mistralai/Mixtral-8x7B-v0.1", "deepseek-ai/DeepSeek-V2-Lite", "openai/gpt-oss-20b"]
DEVICES = ["h100-sxm", "a100-sxm-80gb", "mi300x", "tpu-v5p", "xeon-gold-6242", "rtx-4090"]


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the arguments of ``analyze``, all but the device."""
    model = draw(st.sampled_from([*MODELS, *SPARSE]))
    phases = ["encode"] if model.startswith("bert") else ["prefill", "decode", "generate"]
    phase = draw(st.sampled_from(phases))
    formats = ["bf16", "fp32", "int8"]
    grouped = ["int4", "mxfp4", "nvfp4", "mxfp8"]
    question: dict[str, Any] = {
        "model": model,
        "phase": phase,
        "batch_size": draw(st.integers(1, 300)),
        "seq_len": draw(st.integers(1, 9000)),
        "weights": draw(st.sampled_from([*formats, *grouped, None])),
        "activations": draw(st.sampled_from(["bf16", "int8", *grouped])),
        "kv_cache": draw(st.sampled_from([*formats, *grouped, None])),
        "traffic": draw(st.sampled_from(["fused", "unfused"])),
        "causal": draw(st.sampled_from(["half", "full"])),
        "logits": draw(st.sampled_from(["last", "all", "none"])),
    }
    if model in TRANSLATORS:
        question["source_len"] = draw(st.integers(1, 900))
    if phase == "generate":
        question["new_tokens"] = draw(st.integers(1, 40))
    return question


def ask(question: dict[str, Any], on: Any = "h100-sxm", **changes: Any) -> mw.Analysis:
    """Analyze a drawn question, with some words changed."""
    words = {**question, **changes}
    return analyze_alike(words.pop("model"), on=on, **words)

"""Encoder-decoders against transformers' classes, to the last digit: random small configs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memorywall as mw
from memorywall.catalog.configs import find_config
from tests import oracle
from tests.asking import analyze_alike
from tests.counting import products

PREFIXES = {
    "marian": ("Marian", "MarianMTModel"),
    "bart": ("Bart", "BartForConditionalGeneration"),
    "mbart": ("MBart", "MBartForConditionalGeneration"),
    "plbart": ("PLBart", "PLBartForConditionalGeneration"),
    "pegasus": ("Pegasus", "PegasusForConditionalGeneration"),
    "blenderbot": ("Blenderbot", "BlenderbotForConditionalGeneration"),
    "blenderbot-small": ("BlenderbotSmall", "BlenderbotSmallForConditionalGeneration"),
    "m2m_100": ("M2M100", "M2M100ForConditionalGeneration"),
    "whisper": ("Whisper", "WhisperForConditionalGeneration"),
    "t5": ("T5", "T5ForConditionalGeneration"),
    "mt5": ("MT5", "MT5ForConditionalGeneration"),
    "umt5": ("UMT5", "UMT5ForConditionalGeneration"),
}
SPECIAL_TOKENS = {
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
    "forced_eos_token_id": None,
}  # fmt: skip


def class_of(draw: st.DrawFn, model_type: str) -> list[str]:
    prefix, generating = PREFIXES[model_type]
    return [draw(st.sampled_from([generating, f"{prefix}Model"]))]


@st.composite
def bart_configs(draw: st.DrawFn) -> dict[str, Any]:
    model_type = draw(st.sampled_from(sorted(set(PREFIXES) - {"t5", "mt5", "umt5"})))
    sides = [draw(st.integers(1, 4)) for _ in range(2)]
    # A sinusoid of two elements divides by zero in transformers.
    width = sides[0] * sides[1] * 4 * draw(st.integers(1, 4))
    config: dict[str, Any] = {
        "model_type": model_type,
        "architectures": class_of(draw, model_type),
        "vocab_size": draw(st.integers(4, 50)),
        "d_model": width,
        "max_position_embeddings": draw(st.integers(16, 40)),
        "scale_embedding": draw(st.booleans()),
        "activation_function": draw(st.sampled_from(["gelu", "relu", "swish"])),
        **SPECIAL_TOKENS,
    }
    for half, heads in zip(("encoder", "decoder"), sides, strict=True):
        config[f"{half}_layers"] = draw(st.integers(1, 3))
        config[f"{half}_attention_heads"] = heads
        config[f"{half}_ffn_dim"] = draw(st.integers(1, 40))
    if model_type == "marian":
        config["share_encoder_decoder_embeddings"] = draw(st.booleans())
        if not config["share_encoder_decoder_embeddings"]:
            config["decoder_vocab_size"] = draw(st.integers(4, 50))
            config["tie_word_embeddings"] = draw(st.booleans())
    if model_type == "whisper":
        config["max_source_positions"] = draw(st.integers(1, 20))
        config["max_target_positions"] = config.pop("max_position_embeddings")
        config["num_mel_bins"] = draw(st.integers(1, 9))
        config["tie_word_embeddings"] = draw(st.booleans())
    return config


@st.composite
def t5_configs(draw: st.DrawFn) -> dict[str, Any]:
    model_type = draw(st.sampled_from(["t5", "mt5", "umt5"]))
    feed_forwards = ["relu", "gated-gelu", "gated-silu", "gelu"]
    return {
        "model_type": model_type,
        "architectures": class_of(draw, model_type),
        "vocab_size": draw(st.integers(4, 50)),
        "d_model": draw(st.integers(1, 40)),
        "d_kv": draw(st.integers(1, 9)),
        "d_ff": draw(st.integers(1, 40)),
        "num_heads": draw(st.integers(1, 5)),
        "num_layers": draw(st.integers(1, 3)),
        "num_decoder_layers": draw(st.sampled_from([None, 1, 2])),
        "relative_attention_num_buckets": draw(st.sampled_from([8, 32])),
        "feed_forward_proj": draw(st.sampled_from(feed_forwards)),
        "tie_word_embeddings": draw(st.booleans()),
        **SPECIAL_TOKENS,
    }


def ask(config: dict[str, Any], phase: str, batch: int, tokens: int, source: int) -> mw.Analysis:
    alone = phase == "encode"
    return analyze_alike(
        config, on="h100-sxm", phase=phase, batch_size=batch, logits="all", causal="full",
        seq_len=None if alone else tokens,
        source_len=None if "max_source_positions" in config else source,
    )  # fmt: skip


def agrees(config: dict[str, Any], batch: int, tokens: int, source: int) -> None:
    class_name = config["architectures"][0]
    prefill, encode, decode = (
        ask(config, phase, batch, tokens, source) for phase in ("prefill", "encode", "decode")
    )
    assert prefill.parameters == oracle.parameters(config, class_name)
    assert products(prefill) == oracle.seq2seq_flops(config, class_name, batch, source, tokens)
    assert products(encode) == oracle.encoder_flops(config, class_name, batch, source)
    flops, cached = oracle.seq2seq_step(config, class_name, batch, source, tokens)
    assert products(decode) == flops
    # Keys and values of two bytes an element; the pass over all of the tokens leaves as many.
    assert decode.footprint.kv_cache == prefill.footprint.kv_cache == 2 * cached
    assert encode.footprint.kv_cache == 0
    # Every phase holds every weight.
    for answer in (prefill, encode, decode):
        assert answer.footprint.weights == 2 * prefill.parameters


@pytest.mark.parametrize("positions", [2, 3, 33])
@pytest.mark.parametrize("name", ["opus-mt-en-de", "bart-base", "t5-small", "whisper-tiny"])
def test_a_step_of_a_published_model(name: str, positions: int) -> None:
    entry = find_config(name)
    assert entry is not None
    answer = ask(entry.config, "decode", 3, positions, 20)
    flops, cached = oracle.seq2seq_step(
        entry.config, answer.conventions["parameters_of"], 3, 20, positions
    )
    assert products(answer) == flops
    bytes_each = 4 if answer.conventions["kv_cache"] == "fp32" else 2
    assert answer.footprint.kv_cache == bytes_each * cached


@pytest.mark.parametrize("name", ["opus-mt-en-fr", "mt5-small", "plbart-base", "whisper-tiny"])
def test_the_encoder_of_a_published_model(name: str) -> None:
    entry = find_config(name)
    assert entry is not None
    answer = ask(entry.config, "encode", 2, 0, 24)
    class_name = answer.conventions["parameters_of"]
    assert products(answer) == oracle.encoder_flops(entry.config, class_name, 2, 24)


@settings(max_examples=30, deadline=None)
@given(bart_configs(), st.integers(1, 3), st.integers(2, 12), st.integers(1, 12))
def test_bart_and_whisper(config: dict[str, Any], batch: int, tokens: int, source: int) -> None:
    agrees(config, batch, tokens, source)


@settings(max_examples=20, deadline=None)
@given(t5_configs(), st.integers(1, 3), st.integers(2, 12), st.integers(1, 12))
def test_t5(config: dict[str, Any], batch: int, tokens: int, source: int) -> None:
    agrees(config, batch, tokens, source)


@settings(max_examples=15, deadline=None)
@given(t5_configs(), st.integers(1, 3), st.integers(1, 12))
def test_the_encoder_of_t5_by_itself(config: dict[str, Any], batch: int, tokens: int) -> None:
    class_name = f"{PREFIXES[config['model_type']][0]}EncoderModel"
    config["architectures"] = [class_name]
    answer = analyze_alike(config, on="h100-sxm", batch_size=batch, seq_len=tokens)
    assert (answer.phase, answer.source_len, answer.footprint.kv_cache) == ("encode", None, 0)
    assert answer.parameters == oracle.parameters(config, class_name)
    assert products(answer) == oracle.plain_flops(config, class_name, batch, tokens)

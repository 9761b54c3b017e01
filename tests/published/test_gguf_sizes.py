"""Sizes of published GGUF files, by recipe: weights alone, so below the files by their metadata."""

from __future__ import annotations

import pytest

import memorywall as mw

_GIB = 2**30

# Bits a weight of meta-llama/Llama-3.1-8B, 8,030,261,248 weights: llama.cpp, tools/quantize/
# README.md. Its IQ4_XS (4.4597) and IQ4_NL (4.6818) were made without an importance matrix, which
# gives the first eighth of ffn_down Q5_K; with one they are 0.8 % and 0.6 % smaller.
_BITS = {
    "IQ1_S": 2.0042, "IQ1_M": 2.1460, "IQ2_XXS": 2.3824, "IQ2_XS": 2.5882, "IQ2_S": 2.7403,
    "IQ2_M": 2.9294, "IQ3_XXS": 3.2548, "IQ3_XS": 3.4977, "IQ3_S": 3.6606, "IQ3_M": 3.7628,
    "Q2_K_S": 2.9697, "Q2_K": 3.1593, "Q3_K_S": 3.6429, "Q3_K_L": 4.2979, "Q4_K_S": 4.6672,
    "Q4_K_M": 4.8944, "Q5_K_S": 5.5704, "Q5_K_M": 5.7036, "Q6_K": 6.5633, "Q8_0": 8.5008,
}  # fmt: skip

# Files in GB of 10^9 B. Llama-3.1-70B, phi-4 (release b4456) and Qwen3-30B-A3B (b5200): bartowski's
# model cards on Hugging Face; Mixtral-8x22B (b2636): bartowski/Mixtral-8x22B-v0.1-GGUF, whose
# IQ4_XS and IQ4_NL are without an importance matrix; gemma-2-9b: bartowski/gemma-2-9b-it-GGUF.
_FILES = {
    "llama-3.1-70b": {
        "Q8_0": 74.98, "Q6_K": 57.89, "Q5_K_L": 50.60, "Q5_K_M": 49.95, "Q5_K_S": 48.66,
        "Q4_K_L": 43.30, "Q4_K_M": 42.52, "Q4_K_S": 40.35, "Q4_0": 40.12, "Q3_K_XL": 38.06,
        "IQ4_XS": 37.90, "Q3_K_L": 37.14, "Q3_K_M": 34.27, "IQ3_M": 31.94, "Q3_K_S": 30.91,
    },
    "phi-4": {
        "Q8_0": 15.58, "Q6_K_L": 12.28, "Q6_K": 12.03, "Q5_K_L": 10.92, "Q5_K_M": 10.60,
        "Q5_K_S": 10.15, "Q4_K_L": 9.43, "Q4_1": 9.27, "Q4_K_M": 9.05, "Q4_K_S": 8.44,
        "IQ4_NL": 8.38, "Q3_K_XL": 8.38,
    },
    "mixtral-8x22b-v0.1": {
        "Q5_K_M": 99.96, "Q5_K_S": 96.97, "Q4_K_M": 85.58, "Q4_K_S": 80.47, "Q3_K_L": 72.57,
        "Q3_K_M": 67.78, "IQ3_M": 64.49, "IQ3_S": 61.49, "Q3_K_S": 61.49, "IQ3_XS": 58.22,
        "Q2_K": 52.10,
    },
    "qwen3-30b-a3b": {"Q8_0": 32.48, "Q6_K": 25.10, "Q5_K_M": 21.74, "Q5_K_S": 21.10},
    "gemma-2-9b": {"Q8_0": 9.82},
}  # fmt: skip

# In GiB as llama-bench prints them, of weights alone: ggml-org/llama.cpp, discussions 4167 and
# 15508 (Llama 7B) and 15396 (gpt-oss).
_PRINTED = {
    "llama-2-7b-hf": {
        "F16": 12.55, "Q4_0": 3.56, "Q4_1": 3.95, "Q4_K_M": 3.80, "Q5_K_M": 4.45, "Q5_K_S": 4.33,
        "Q6_K": 5.15, "Q8_0": 6.67,
    },
    "gpt-oss-20b": {"MXFP4_MOE": 11.27},
}  # fmt: skip


def _weights(model: str, recipe: str) -> int:
    return int(mw.analyze(model, on="h200-sxm", weights=recipe).footprint.weights)


def test_bits_a_weight_of_every_type() -> None:
    for recipe, bits in _BITS.items():
        found = 8 * _weights("llama-3.1-8b", recipe) / 8_030_261_248
        assert found == pytest.approx(bits, abs=0.0001), recipe


def test_published_files() -> None:
    for model, files in _FILES.items():
        for recipe, gigabytes in files.items():
            assert _weights(model, recipe) / 1e9 == pytest.approx(gigabytes, rel=0.005), (
                model,
                recipe,
            )


def test_sizes_as_llama_bench_prints_them() -> None:
    for model, files in _PRINTED.items():
        for recipe, gibibytes in files.items():
            found = _weights(model, recipe) / _GIB
            assert found == pytest.approx(gibibytes, abs=0.0051), (model, recipe)

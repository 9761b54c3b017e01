"""Two roads: what a config says of a model, and transformers' class traced, must agree.

FLOPs of products and bytes of weights and caches to the last digit, class by class. Fused bytes
within 2 %, but for the classes in ``APART``, each with its reason.
"""

from __future__ import annotations

from functools import lru_cache

import pytest

import memorywall as mw
from memorywall.app.steps import program_of
from memorywall.app.studies.roads import CLOSE, Comparison, compare, factory
from memorywall.passes.collapse import fuse_traced

pytestmark = pytest.mark.xdist_group("two-roads")

DECODERS = (
    "gpt2", "gpt2-medium", "meta-llama/Llama-3.2-1B", "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
    "Qwen/Qwen2.5-0.5B", "Qwen/Qwen3-0.6B", "google/gemma-2b", "google/gemma-2-2b",
    "google/gemma-3-1b-it", "EleutherAI/pythia-160m", "EleutherAI/pythia-1b", "microsoft/phi-1_5",
    "stabilityai/stablelm-2-zephyr-1_6b", "facebook/opt-125m", "facebook/opt-350m",
    "bigscience/bloom-560m", "mosaicml/mpt-7b", "bigcode/gpt_bigcode-santacoder",
    "HuggingFaceTB/SmolLM2-135M", "allenai/OLMo-2-1124-7B", "EleutherAI/gpt-j-6b",
    "ibm-granite/granite-3.3-2b-instruct", "CohereForAI/c4ai-command-r7b-12-2024",
)  # fmt: skip
ENCODERS = (
    "bert-base-uncased", "roberta-base", "albert-base-v2", "google/electra-base-discriminator",
    "distilbert-base-multilingual-cased", "nomic-ai/nomic-embed-text-v1.5",
    "answerdotai/ModernBERT-large", "nghuyong/ernie-3.0-base-zh", "google/rembert",
)  # fmt: skip
PASSES = [(name, phase) for name in DECODERS for phase in ("prefill", "decode")] + [
    (name, "encode") for name in ENCODERS
]

ANGLES = "the rotation rides on the norm of queries and keys, and reads its sines and cosines"
ONE_PRODUCT = "one product for queries, keys and values reads its input once; the config's three"
TYPES = "indices are read, 8 bytes a row, and the rows are short"
MASK = "a mask, or positions in its place, is a tensor that the scores read"
POSITIONS = "positions are looked up before the words are projected, so the sum rides elsewhere"
APART = {
    ("Qwen/Qwen3-0.6B", "prefill", "norm"): ANGLES,
    ("Qwen/Qwen3-0.6B", "decode", "norm"): ANGLES,
    ("google/gemma-3-1b-it", "prefill", "norm"): ANGLES,
    ("google/gemma-3-1b-it", "decode", "norm"): ANGLES,
    ("allenai/OLMo-2-1124-7B", "prefill", "norm"): ANGLES,
    ("EleutherAI/pythia-160m", "prefill", "gemm"): ONE_PRODUCT,
    ("answerdotai/ModernBERT-large", "encode", "gemm"): ONE_PRODUCT,
    ("albert-base-v2", "encode", "embedding"): TYPES,
    ("google/gemma-2-2b", "prefill", "attention"): MASK,
    ("bigscience/bloom-560m", "prefill", "attention"): MASK,
    ("facebook/opt-350m", "prefill", "embedding"): POSITIONS,
    ("facebook/opt-350m", "decode", "embedding"): POSITIONS,
}


@lru_cache(maxsize=256)
def compared(name: str, phase: str) -> Comparison:
    return compare(name, phase)


@pytest.mark.parametrize(("name", "phase"), PASSES)
def test_config_and_module_agree(name: str, phase: str) -> None:
    one = compared(name, phase)
    assert one.unequal == {}
    expected = {kind for model, which, kind in APART if (model, which) == (name, phase)}
    assert set(one.outside) == expected


def test_nine_in_ten_classes_agree() -> None:
    pairs = sum(len(compared(*case).fused) for case in PASSES)
    outside = sum(len(compared(*case).outside) for case in PASSES)
    assert len({name for name, _ in PASSES}) >= 25
    assert outside == len(APART)
    assert outside / pairs < 0.1


def test_what_pytorch_moves_beyond_has_a_cause() -> None:
    one = compared("meta-llama/Llama-3.2-1B", "decode")
    causes = {cause.partition(": ")[2] for cause in one.excess}
    assert {"cast", "cache concatenation", "temporaries", "stays on chip"} <= causes
    assert all(cause for cause in causes)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("google-t5/t5-small", "int64[1,96]"),
        ("facebook/bart-base", "int64[1,96]"),
        ("Helsinki-NLP/opus-mt-en-de", "int64[1,96]"),
        ("openai/whisper-tiny", "bf16[1,80,3000]"),
    ],
)
@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_encoder_decoders_agree(name: str, source: str, phase: str) -> None:
    named = {"decoder_input_ids": "int64[1,64]"} if phase == "prefill" else {}
    traced = mw.trace(
        factory(name), source, named=named, phase=phase, seq_len=64, dtype="bf16", causal="full"
    )
    answer = mw.analyze(
        name, on="h100-sxm", phase=phase, seq_len=64, logits="all", causal="full",
        source_len=None if "whisper" in name else 96,
        weights="bf16", activations="bf16", kv_cache="bf16",
    )  # fmt: skip
    ours = program_of(answer.scenario, phase, 64)
    theirs, _ = fuse_traced(traced.program)
    assert traced.parameters == answer.parameters
    for kind in ("gemm", "attention", "conv"):
        counts = [
            sum(op.flops * n for _, op, n in program.walk() if op.kind == kind)
            for program in (ours, theirs)
        ]
        assert counts[0] == counts[1]
    cache = [
        sum(op.traffic.get("kv_cache", 0) * n for _, op, n in program.walk())
        for program in (ours, theirs)
    ]
    assert cache[0] == cache[1]
    assert float(theirs.work.moved_bytes) == pytest.approx(float(ours.work.moved_bytes), rel=CLOSE)

"""Two roads: what a config says of a model, and transformers' class traced, must agree.

FLOPs of products and scans, and bytes of weights, caches and state to the last digit, class by
class. Fused bytes within 2 %, except the classes in ``APART``, each with its reason.
"""

from __future__ import annotations

from functools import lru_cache

import pytest

from memorywall.studies.roads.computation import compare
from memorywall.studies.roads.findings import PassComparison

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
STATES = (
    "state-spaces/mamba-130m-hf", "mistralai/Mamba-Codestral-7B-v0.1", "ai21labs/Jamba-v0.1",
    "google/recurrentgemma-2b", "Qwen/Qwen3-Next-80B-A3B-Instruct", "LiquidAI/LFM2-1.2B",
    "allenai/Olmo-Hybrid-7B",
)  # fmt: skip
IMAGES = (
    "google/vit-base-patch16-224", "facebook/dinov2-base", "microsoft/resnet-18",
    "facebook/convnext-tiny-224", "microsoft/swin-tiny-patch4-window7-224",
    "openai/clip-vit-base-patch32",
)  # fmt: skip
IMAGE_TEXT = ("llava-hf/llava-1.5-7b-hf",)
SEQ2SEQ = ("google-t5/t5-small", "facebook/bart-base", "Helsinki-NLP/opus-mt-en-de")
LISTENING = ("openai/whisper-tiny",)
GENERATING = (*DECODERS, *STATES, *IMAGE_TEXT, *SEQ2SEQ, *LISTENING)
PASSES = [(name, phase) for name in GENERATING for phase in ("prefill", "decode")] + [
    (name, "encode") for name in (*ENCODERS, *IMAGES)
]

ANGLES = "the rotation rides on the norm of queries and keys, and reads its sines and cosines"
ONE_PRODUCT = "one product for queries, keys and values reads its input once; the config's three"
TYPES = "indices are read, 8 bytes a row, and the rows are short"
MASK = "a mask, or positions in its place, is a tensor that the scores read"
POSITIONS = "positions are looked up before the words are projected, so the sum rides elsewhere"
CARRIED = "the hidden states are kept in single precision, and cast for the norm"
BRANCHES = "the class multiplies parts of one product; by the config the first gate stands alone"
POOLED = "the mean over positions stands with the last norm"
LOOKED = "an image is encoded, but not inserted into the text"
APART = {
    ("state-spaces/mamba-130m-hf", "prefill", "elementwise"): CARRIED,
    ("state-spaces/mamba-130m-hf", "prefill", "gemm"): CARRIED,
    ("LiquidAI/LFM2-1.2B", "prefill", "conv"): BRANCHES,
    ("LiquidAI/LFM2-1.2B", "prefill", "elementwise"): BRANCHES,
    ("LiquidAI/LFM2-1.2B", "decode", "conv"): BRANCHES,
    ("LiquidAI/LFM2-1.2B", "decode", "elementwise"): BRANCHES,
    ("microsoft/resnet-18", "encode", "elementwise"): POOLED,
    ("microsoft/swin-tiny-patch4-window7-224", "encode", "attention"): MASK,
    ("microsoft/swin-tiny-patch4-window7-224", "encode", "softmax"): MASK,
    ("llava-hf/llava-1.5-7b-hf", "prefill", "embedding"): LOOKED,
    ("google-t5/t5-small", "prefill", "attention"): MASK,
    ("google-t5/t5-small", "prefill", "softmax"): MASK,
    ("google-t5/t5-small", "prefill", "embedding"): TYPES,
    ("google-t5/t5-small", "decode", "softmax"): MASK,
    ("google-t5/t5-small", "decode", "embedding"): TYPES,
    ("Qwen/Qwen3-0.6B", "prefill", "norm"): ANGLES,
    ("Qwen/Qwen3-0.6B", "decode", "norm"): ANGLES,
    ("google/gemma-3-1b-it", "prefill", "norm"): ANGLES,
    ("google/gemma-3-1b-it", "decode", "norm"): ANGLES,
    ("allenai/OLMo-2-1124-7B", "prefill", "norm"): ANGLES,
    ("answerdotai/ModernBERT-large", "encode", "gemm"): ONE_PRODUCT,
    ("albert-base-v2", "encode", "embedding"): TYPES,
    ("google/gemma-2-2b", "prefill", "attention"): MASK,
    ("bigscience/bloom-560m", "prefill", "attention"): MASK,
    ("facebook/opt-350m", "prefill", "embedding"): POSITIONS,
    ("facebook/opt-350m", "decode", "embedding"): POSITIONS,
}


@lru_cache(maxsize=256)
def compared(name: str, phase: str) -> PassComparison:
    return compare(name, phase)


@pytest.mark.parametrize(("name", "phase"), PASSES)
def test_config_and_module_agree(name: str, phase: str) -> None:
    one = compared(name, phase)
    assert one.unequal == {}
    expected = {kind for model, which, kind in APART if (model, which) == (name, phase)}
    assert set(one.outside) == expected


@pytest.mark.slow
def test_nine_in_ten_classes_agree() -> None:
    pairs = sum(len(compared(*case).fused) for case in PASSES)
    outside = sum(len(compared(*case).outside) for case in PASSES)
    assert outside == len(APART)
    assert outside / pairs < 0.1


def test_what_pytorch_moves_beyond_has_a_cause() -> None:
    one = compared("meta-llama/Llama-3.2-1B", "decode")
    causes = {cause.partition(": ")[2] for cause in one.excess}
    assert {"cast", "cache concatenation", "temporaries", "stays on chip"} <= causes
    assert all(cause for cause in causes)

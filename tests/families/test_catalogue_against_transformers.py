"""Every model of the catalogue against transformers' class, to the last digit."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import memorywall as mw
from memorywall.catalog.configs import entries
from tests import oracle
from tests.asking import analyze_alike
from tests.counting import products

pytestmark = pytest.mark.sampled(every=4)  # the other models are in the slow tier

ENTRIES = {entry.id: entry for entry in entries()}
# Vision models are tested with images in test_images_against_transformers.py; transformers has no
# class for custom code, which tests/frontends/test_own_code.py counts by hand.
TEXTS = [
    name
    for name, entry in ENTRIES.items()
    if mw.model(name).traits.images is None and "auto_map" not in entry.config
]
# Those with many experts take seconds to build: they are in the slow tier.
LARGE = [name for name in TEXTS if mw.model(name).parameters > 50e9]
PUBLISHED_CSV = Path(__file__).parent.parent / "published" / "parameters.csv"
PUBLISHED = list(csv.DictReader(PUBLISHED_CSV.read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in TEXTS],
)
def test_parameters_and_prefill_flops(name: str) -> None:
    entry = ENTRIES[name]
    answer = analyze_alike(
        name, on="h100-sxm", phase="prefill", batch_size=2, seq_len=24, logits="all", causal="full",
        mla="reexpanded",
    )  # fmt: skip
    class_name = answer.conventions["parameters_of"]
    # MPT's makers write MPTForCausalLM, transformers MptForCausalLM.
    published = entry.config.get("architectures", [class_name])
    assert class_name.casefold() == published[0].casefold()
    assert answer.parameters == oracle.parameters(entry.config, class_name)
    if entry.config.get("model_type") == "dbrx":
        return  # its experts cannot run without weights; tests/published/test_moe_answers.py
    assert products(answer) == oracle.prefill_flops(entry.config, class_name, 2, 24)


@pytest.mark.parametrize("positions", [1, 2, 33])
@pytest.mark.parametrize(
    "name",
    [
        "gpt2", "meta-llama/Llama-3.2-1B", "Qwen/Qwen3-0.6B", "EleutherAI/pythia-160m",
        "google/gemma-3-1b-it", "bigscience/bloom-560m", "facebook/opt-350m",
        "mistralai/Mixtral-8x7B-v0.1", "openai/gpt-oss-20b", "deepseek-ai/DeepSeek-V2-Lite",
    ],
)  # fmt: skip
def test_decode_flops(name: str, positions: int) -> None:
    answer = analyze_alike(
        name, on="h100-sxm", phase="decode", batch_size=3, seq_len=positions, causal="full",
        mla="reexpanded",
    )  # fmt: skip
    config, class_name = ENTRIES[name].config, answer.conventions["parameters_of"]
    assert products(answer) == oracle.decode_flops(config, class_name, 3, positions)


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row['id']}-{row['class']}")
def test_parameters_as_published(row: dict[str, str]) -> None:
    config = {**ENTRIES[row["id"]].config, "architectures": [row["class"]]}
    assert mw.model(config).parameters == int(row["parameters"])

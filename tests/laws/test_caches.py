"""A prefill of S tokens leaves the cache and the state that a decode step at S holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memorywall as mw
from memorywall.catalog.configs import entries
from memorywall.core.model import Model
from tests.asking import analyze_alike
from tests.families.default_configs import default_config

MODELS: dict[str, Any] = {
    entry.id: entry.config for entry in entries() if mw.model(entry.config).causal
}
# Below and above windows, chunks, pages and runs of tokens, and not multiples of them.
LENGTHS = (1, 3, 129, 1000, 8192, 65_537)
WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"kv_cache": "fp8", "cache_page": 16},
    {"mla": "absorbed"},
    {"mla": "expanded"},
)


def lengths_of(model: Model) -> np.ndarray[Any, Any]:
    """Return lengths that hold the model's images, if it reads any."""
    images = model.traits.images
    taken = 0 if images is None else images.tokens(*images.size)
    return np.array(LENGTHS) + taken


def left(model: Model, phase: str, **words: Any) -> list[Any]:
    """Return the bytes of cache and state after a pass, at each length."""
    lengths = lengths_of(model)
    asked = {"on": "h100-sxm", "phase": phase, "batch_size": 3, "seq_len": lengths, **words}
    footprint = analyze_alike(model, **asked).footprint
    each = (footprint.kv_cache, footprint.state)
    return [np.broadcast_to(part, lengths.shape).tolist() for part in each]


@pytest.mark.sampled(every=8)
@pytest.mark.parametrize("name", MODELS)
def test_prefill_and_decode_agree(name: str) -> None:
    model = mw.model(MODELS[name])
    source = model.traits.source
    text: dict[str, Any] = {"source_len": 23} if source is not None and not source.fixed else {}
    for words in WAYS:
        prefill, decode = (left(model, p, **words, **text) for p in ("prefill", "decode"))
        assert prefill == decode, words
        # A generation that makes one token is a prefill.
        assert left(model, "generate", new_tokens=1, **words, **text) == prefill, words


@pytest.mark.parametrize(
    "kind", ["deepseek_v32", "deepseek_v4", "glm_moe_dsa", "gpt_oss", "llama4_text", "lfm2"]
)
def test_default_configs_agree(kind: str) -> None:
    """Of transformers' own: sliding, chunked, compressed and indexed caches, and state."""
    model = mw.model(default_config(kind))
    assert left(model, "prefill") == left(model, "decode")


def test_a_page_holds_the_entries_of_its_tokens() -> None:
    """DeepSeek-V4 at 1000 tokens in pages of 16: 1008 tokens, 252 entries of 4 and 7 of 128."""
    model = mw.model("deepseek-ai/DeepSeek-V4-Flash")
    answer = mw.analyze(model, on="h100-sxm", seq_len=1000, cache_page=16)
    program = model.lower(answer.question.forward(answer.passes[0]))
    entries = sum(
        tensor.resident_bytes * copies
        for tensor, copies in program.kept().values()
        if tensor.role == "kv_cache" and not tensor.name.endswith(".kv_cache")  # of windows
    )
    assert entries == 2 * (21 * 252 * (512 + 128) + 20 * 7 * 512)

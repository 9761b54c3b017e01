"""The cache in its two truths: what the architecture needs, and what an engine sets aside."""

from __future__ import annotations

from typing import Any

import pytest

import memorywall as mw


@pytest.mark.parametrize(
    ("model", "seq_len", "page", "positions"),
    [
        # 131,072 bytes a token in Llama-3.1-8B: 32 layers, 8 heads of 128, two, 2 bytes each.
        ("llama-3.1-8b", 17, 0, 17),
        ("llama-3.1-8b", 17, 16, 32),
        ("llama-3.1-8b", 32, 16, 32),
        # Mistral-7B has the same shape and a window of 4096 in every layer: an engine's pages hold
        # all positions all the same.
        ("mistral-7b-v0.1", 8190, 0, 4096),
        ("mistral-7b-v0.1", 8190, 16, 8192),
    ],
)
def test_what_the_architecture_needs_and_what_an_engine_sets_aside(
    model: str, seq_len: int, page: int, positions: int
) -> None:
    words: dict[str, Any] = {"on": "h100-sxm", "batch_size": 3, "seq_len": seq_len}
    answer = mw.analyze(model, cache_page=page, **words)
    assert answer.footprint.kv_cache == 3 * 131_072 * positions
    # Reserved positions are not moved.
    assert answer.moved_bytes == mw.analyze(model, **words).moved_bytes


def test_pages_of_a_separate_source() -> None:
    words: dict[str, Any] = {"on": "h100-sxm", "seq_len": 1, "source_len": 5}
    needed, paged = (
        mw.analyze("google-t5/t5-small", cache_page=page, **words).footprint.kv_cache
        for page in (0, 16)
    )
    # 6 layers, 8 heads of 64, keys and values, 2 bytes: 1 position of the text and 5 of the source.
    assert needed == 6 * 8 * 64 * 2 * 2 * (1 + 5)
    assert paged == 6 * 8 * 64 * 2 * 2 * (16 + 16)


@pytest.mark.parametrize("page", [-1, 2.5, [16, 32]])
def test_a_page_is_one_whole_number(page: Any) -> None:
    with pytest.raises(mw.MemoryWallError, match="cache_page"):
        mw.analyze("gpt2", on="h100-sxm", cache_page=page)

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
        # Mistral-7B has the same shape and a window of 4096 in every layer: an engine keeps the
        # 4095 positions before, 1024 of a prefill, in 320 pages of 16, and a page more.
        ("mistral-7b-v0.1", 8190, 0, 4096),
        ("mistral-7b-v0.1", 8190, 16, 5136),
        ("mistral-7b-v0.1", 5000, 16, 5008),  # all positions, in 313 pages
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


@pytest.mark.parametrize(
    ("model", "seq_len", "needed"),
    [
        # 36 layers, every second with a window of 128; 8 heads of 64, two, 2 bytes: 2048 each.
        # (127 + 1024) / 16 = 71.9: 72 pages and one more, 1168 positions: 4.54 GiB.
        ("gpt-oss-120b", 131_072, 2048 * (18 * 131_072 + 18 * 1168)),
        # 24 layers: 3.04 GiB.
        ("gpt-oss-20b", 131_072, 2048 * (12 * 131_072 + 12 * 1168)),
        # 26 layers, 22 with a window of 512; 1 head of 256: 1024 a position. (511 + 1024) / 16 is
        # 95.9: 96 pages and one more, 1552.
        ("gemma-3-1b-it", 32_768, 1024 * (4 * 32_768 + 22 * 1552)),
        # 42 layers, 21 with a window of 4096; 8 heads of 256: 8192 a position.
        ("gemma-2-9b", 8192, 8192 * (21 * 8192 + 21 * 5136)),
        # 48 layers, 36 with chunks of 8192; 8 heads of 128: 4096 a position. 8192 + 1024 = 9216.
        ("llama-4-scout-17b-16e", 131_072, 4096 * (12 * 131_072 + 36 * 9216)),
        # 32 layers, 24 with a window of 4096; 8 heads of 128: 4096 a position.
        ("c4ai-command-r7b-12-2024", 65_536, 4096 * (8 * 65_536 + 24 * 5136)),
    ],
)
def test_pages_beside_windows(model: str, seq_len: int, needed: int) -> None:
    answer = mw.analyze(model, on="h100-sxm", seq_len=seq_len, cache_page=16, kv_cache="bf16")
    assert answer.footprint.kv_cache == needed


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

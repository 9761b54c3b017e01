"""Operators of a grid: each is priced when it is read."""

from __future__ import annotations

import tracemalloc

import numpy as np

import memorywall as mw

POINTS = 200_000


def test_operators_of_a_grid_are_not_all_kept() -> None:
    rng = np.random.default_rng(0)
    batch = rng.integers(1, 257, POINTS).astype(float)
    context = rng.integers(1, 8193, POINTS).astype(float)
    answer = mw.analyze("gpt2", on="h100-sxm", batch_size=batch, seq_len=context)
    tracemalloc.start()
    summed = sum(op.latency_s for op in answer.ops)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.allclose(np.asarray(summed), np.asarray(answer.latency_s), rtol=1e-12)
    # One operator has some 16 arrays of 8 bytes a point; all of them, 20 and more, would take 20
    # times as much. Alive at once may be the operators of one call, up to five (queries, keys,
    # values and what is fused into them), and the one before it.
    assert peak < 6 * 16 * 8 * POINTS
    assert len(answer.ops[:2]) == 2
    assert answer.ops[-1].name == list(answer.ops)[-1].name

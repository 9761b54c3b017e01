"""The time of one call: every kind and dtype, arrays, floors, and refusals."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import memorywall as mw
from memorywall.core.errors import MemoryWallError

DTYPES = ("bf16", "fp16", "fp8", "fp8_block", "nvfp4", "int8", "int4")
DEVICES = ("h100-sxm", "l40s", "arc-pro-b60", "rtx-4090", "mi300x", "m2-max", "tpu-v5e")
HEADS: dict[str, Any] = {"batch": 8, "heads": 32, "kv_heads": 8, "head_dim": 128, "keys": 4096}
CALLS: dict[str, dict[str, Any]] = {
    "gemm": {"m": 64, "n": 4096, "k": 4096},
    "attention_decode": HEADS,
    "attention_prefill": {**HEADS, "queries": 1024},
    "moe": {"tokens": 64, "hidden_size": 4096, "intermediate_size": 14_336, "experts": 8,
            "experts_per_token": 2},
    "all_reduce": {"bytes": 2**20, "ranks": 8},
    "all_gather": {"bytes": 2**20, "ranks": 8},
    "reduce_scatter": {"bytes": 2**20, "ranks": 8},
    "all_to_all": {"bytes": 2**20, "ranks": 8},
}  # fmt: skip


@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize("device", DEVICES)
def test_every_kind_and_dtype_on_every_class(kind: str, device: str) -> None:
    for dtype in DTYPES:
        found = mw.kernel_time(kind, on=device, dtype=dtype, **CALLS[kind])
        assert 0 < found.bound_s <= found.low <= found.seconds <= found.high < 1
        assert found.provenance in ("calibrated", "class default")
        assert found.table.low < found.table.high


def test_a_product_at_the_data_sheet_by_hand() -> None:
    # 2 x 8192 x 8192 x 8192 FLOP at 989.4 TFLOP/s; 1 x 8192 x 8192 reads 134.2 MB at 3.35 TB/s.
    large = mw.kernel_time("gemm", on="h100-sxm", m=8192, n=8192, k=8192)
    assert large.bound_s == pytest.approx(2 * 8192**3 / 989.4e12, rel=1e-3)
    small = mw.kernel_time("gemm", on="h100-sxm", m=1, n=8192, k=8192)
    assert small.bound_s == pytest.approx(2 * (8192 * 8192 + 2 * 8192) / 3.35e12, rel=1e-3)


def test_engines_have_separate_tables() -> None:
    times = {
        engine: mw.kernel_time("gemm", on="h100-sxm", dtype="fp8", engine=engine, m=1, n=4096,
                               k=4096).seconds
        for engine in ("trtllm", "vllm", "sglang")
    }  # fmt: skip
    assert len(set(times.values())) == 3


def test_arrays_broadcast() -> None:
    m, n = np.array([1, 64, 4096]), np.array([[1024], [8192]])
    found = mw.kernel_time("gemm", on="h100-sxm", m=m, n=n, k=4096)
    assert np.shape(found.seconds) == np.shape(found.low) == np.shape(found.bound_s) == (2, 3)
    one = mw.kernel_time("gemm", on="h100-sxm", m=64, n=8192, k=4096)
    assert float(np.asarray(found.seconds)[1, 1]) == pytest.approx(float(one.seconds), rel=1e-12)
    assert isinstance(one.seconds, float)


@given(
    st.integers(0, 16), st.integers(0, 16), st.integers(0, 16), st.sampled_from(DTYPES),
    st.sampled_from(DEVICES),
)  # fmt: skip
def test_no_product_is_under_its_floor(m: int, n: int, k: int, dtype: str, device: str) -> None:
    hardware = mw.hardware(device)
    found = mw.kernel_time("gemm", on=hardware, dtype=dtype, m=2**m, n=2**n, k=2**k)
    arithmetic = {"fp8_block": "fp8", "nvfp4": "fp4", "int8": "bf16", "int4": "bf16"}
    peak = hardware.peak(arithmetic.get(dtype, dtype))
    assert found.seconds >= 2 * 2.0 ** (m + n + k) / peak * (1 - 1e-12)
    assert found.low >= found.bound_s


@pytest.mark.parametrize(
    ("kind", "changed", "said"),
    [
        ("gem", {}, "gem"),
        ("gemm", {"m": None}, "requires m"),
        ("gemm", {"m": -1}, "m must be a positive number"),
        ("gemm", {"m": float("nan")}, "m must be a positive number"),
        ("gemm", {"m": 2**50}, "at most 2"),
        ("gemm", {"m": "many"}, "m must be a positive number"),
        ("gemm", {"tokens": 1}, "tokens"),
        ("gemm", {"m": np.ones((2, 1)), "n": np.ones((3, 3))}, "do not broadcast"),
        ("gemm", {"dtype": "bf17"}, "bf17"),
        ("gemm", {"engine": "tgi"}, "tgi"),
        ("moe", {"routing": "random"}, "random"),
        ("moe", {"experts": 2**30}, "experts must be"),
        ("attention_prefill", {"queries": 8192}, "queries must be at most keys"),
        ("attention_decode", {"window": -3}, "window must be"),
        ("all_reduce", {"ranks": 0}, "ranks must be"),
    ],
)
def test_arguments_that_cannot_be(kind: str, changed: dict[str, Any], said: str) -> None:
    call = {**CALLS.get(kind, CALLS["gemm"]), **changed}
    with pytest.raises(MemoryWallError, match=said):
        mw.kernel_time(kind, on="h100-sxm", **call)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bf16", "fp8"])
def test_three_million_products_a_second(dtype: str) -> None:
    rng = np.random.default_rng(0)
    m, n, k = (rng.integers(64, 16_384, 500_000).astype(float) for _ in range(3))

    def once() -> float:
        start = time.perf_counter()
        mw.kernel_time("gemm", on="h100-sxm", dtype=dtype, m=m, n=n, k=k)
        return time.perf_counter() - start

    # A machine that is shared by other tests is given half of the promise.
    assert len(m) / min(once() for _ in range(5)) > 1.5e6

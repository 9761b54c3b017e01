"""Times of single kernels: laws, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorywall import MemoryWallError, kernel_time

DEVICES = ("h100-sxm", "a100-sxm", "rtx-4090", "mi300x", "tpu-v5p", "m2-ultra", "xeon-8480")

LENGTHS = st.integers(1, 2**15)
SHAPES: dict[str, dict[str, Any]] = {
    "gemm": {"m": LENGTHS, "n": LENGTHS, "k": LENGTHS},
    "attention_decode": {
        "batch": st.integers(1, 256), "heads": st.just(32), "kv_heads": st.sampled_from([1, 4, 32]),
        "head_dim": st.sampled_from([64, 128]), "keys": LENGTHS,
    },
    "attention_prefill": {
        "batch": st.integers(1, 16), "heads": st.just(32), "kv_heads": st.sampled_from([1, 4, 32]),
        "head_dim": st.sampled_from([64, 128]), "queries": LENGTHS,
    },
    "moe": {
        "tokens": LENGTHS, "hidden_size": st.just(4096), "intermediate_size": st.just(1536),
        "experts": st.sampled_from([8, 128]), "experts_per_token": st.sampled_from([1, 8]),
    },
    "all_reduce": {"bytes": st.integers(1, 2**30), "ranks": st.sampled_from([2, 4, 8])},
}  # fmt: skip


@pytest.mark.parametrize("kind", SHAPES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_kernel_beats_its_bound(kind: str, data: st.DataObject) -> None:
    shape = {name: data.draw(values, name) for name, values in SHAPES[kind].items()}
    if kind == "attention_prefill":
        shape["keys"] = shape["queries"]
    device = data.draw(st.sampled_from(DEVICES))
    found = kernel_time(kind, on=device, **shape)
    assert 0 <= found.bound_s <= found.low <= found.seconds <= found.high


def test_arrays_have_the_times_of_their_numbers() -> None:
    m = np.array([1, 7, 64, 300, 4096])
    many = kernel_time("gemm", on="h100-sxm", m=m, n=4096, k=1024)
    each = [kernel_time("gemm", on="h100-sxm", m=int(one), n=4096, k=1024).seconds for one in m]
    assert np.asarray(many.seconds) == pytest.approx(each, rel=1e-12)


def test_a_table_of_a_device_is_one_of_measurements_and_of_a_class_is_not() -> None:
    own = kernel_time("gemm", on="h100-sxm", m=8, n=4096, k=4096)
    other = kernel_time("gemm", on="tpu-v5p", m=8, n=4096, k=4096)
    assert (own.provenance, other.provenance) == ("calibrated", "class default")
    # The interval of a device without measurements is the wider one.
    assert own.high / own.low < other.high / other.low


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("gemm", {"m": 1, "n": 1}),  # no k
        ("gemm", {"m": -1, "n": 1, "k": 1}),
        ("gemm", {"m": float("nan"), "n": 1, "k": 1}),
        ("gemm", {"m": 1, "n": 1, "k": 1, "dtype": "fp3"}),
        ("gemm", {"m": 1, "n": 1, "k": 1, "engine": "mine"}),
        ("gemm", {"m": 1, "n": 1, "k": 1, "heads": 3}),
        ("convolve", {"m": 1}),
        ("moe", {"tokens": 1, "hidden_size": 8, "intermediate_size": 8, "experts": 4,
                 "experts_per_token": 8}),
    ],
)  # fmt: skip
def test_a_call_that_cannot_be_is_refused(kind: str, asked: dict[str, Any]) -> None:
    with pytest.raises(MemoryWallError):
        kernel_time(kind, on="h100-sxm", **asked)

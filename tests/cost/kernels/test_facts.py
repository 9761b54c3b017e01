"""Facts of dtypes and devices."""

from __future__ import annotations

import pytest

import memorywall as mw
from memorywall.core.errors import UnknownNameError
from memorywall.cost.kernels import all_kernels, find_kernel
from memorywall.cost.kernels.facts import (
    attention_cache,
    attention_dtype,
    cache_bytes_of,
    dtype_of,
    is_served_by_cache,
    units_of,
)


@pytest.mark.parametrize(
    ("dtype", "cache", "table"),
    [
        ("bf16", "bf16", "bf16"), ("fp16", "fp16", "bf16"), ("bf16", "fp16", "bf16"),
        ("bf16", "fp8", "bf16-fp8"), ("bf16", "int8", "bf16-fp8"), ("fp16", "", "bf16"),
        ("fp8", "fp8", "fp8"), ("fp8", "bf16", "bf16"), ("fp8_block", "fp8", "fp8"),
        ("nvfp4", "", "fp8"), ("int4", "bf16", "bf16"), ("int8", "fp8", "bf16-fp8"),
    ],
)  # fmt: skip
def test_attention_runs_in_the_arithmetic_that_its_kernels_have(
    dtype: str, cache: str, table: str
) -> None:
    assert attention_dtype(dtype, cache) == table


def test_a_cache_without_a_name_is_of_the_arithmetic() -> None:
    assert attention_cache("fp16") == "bf16"
    assert attention_cache("nvfp4") == "fp8"


def test_narrow_weights_alone_are_multiplied_in_16_bits() -> None:
    assert dtype_of("int4").arithmetic == "bf16"
    assert dtype_of("int4").weight_bytes == 0.5
    # 16 elements of 4 bits, and 8 bits of scale: 9 bytes.
    assert dtype_of("nvfp4").weight_bytes == 9 / 16
    with pytest.raises(UnknownNameError, match="bf17"):
        dtype_of("bf17")


def test_devices_with_gddr_are_served_by_their_l2() -> None:
    assert is_served_by_cache(mw.hardware("l40s"))
    assert not is_served_by_cache(mw.hardware("h100-sxm"))
    assert cache_bytes_of(mw.hardware("l40s")) == 96 * 2**20
    assert units_of(mw.hardware("h100-sxm")) == 132


def test_kernels_are_found_by_name() -> None:
    names = {kernel.name for kernel in all_kernels()}
    assert {"gemm", "moe", "attention_prefill", "attention_decode", "all_to_all"} <= names
    for kernel in all_kernels():
        assert find_kernel(kernel.name) is kernel
        assert {*kernel.varying} <= {argument.name for argument in kernel.arguments}
    with pytest.raises(UnknownNameError, match="One of all_gather"):
        find_kernel("gem")

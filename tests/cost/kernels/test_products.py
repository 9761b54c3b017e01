"""Matrix products: hand arithmetic, and laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import memorywall as mw
from memorywall.catalog.kernel_tables import kernel_table
from memorywall.cost.kernels.facts import DTYPES
from memorywall.cost.kernels.gemm import CONSTANTS, KERNEL, feed_scale

A100, L40S = mw.hardware("a100-sxm-80gb"), mw.hardware("l40s")
# No split is worth a second.
WHOLE = {
    "peak_share": 0.5, "bandwidth_share": 0.8, "feed": 60.0, "tile_s": 1e-6, "split_s": 1.0,
    "whole_waves": 1.0, "overlap": 2.0, "launch_s": 2e-6, "quantise_share": 0.5,
}  # fmt: skip


def seconds(m: object, n: object, k: object, dtype: str = "bf16", **changed: float) -> float:
    formula = KERNEL.prepare({"n": n, "k": k}, A100, dtype, {**WHOLE, **changed})
    return float(np.asarray(formula(m)))


def test_processors_of_twice_the_arithmetic_are_fed_by_the_root_of_it() -> None:
    # 312 TFLOP/s / 108 / 1.41 GHz = 2,049 FLOP a clock, half of 4,096.
    assert feed_scale(A100) == pytest.approx(0.5**0.5, rel=1e-3)


def test_one_wave_of_tiles_by_hand() -> None:
    # 64 x 64 tiles: 1 x 64 of them on 108 processors, one wave. Each multiplies 2 x 64 x 64 x 4096
    # = 33.55 MFLOP at 0.5 x 312e12 / 108 = 1.444e12 a second, 23.23 us, and loads
    # (64 + 64) x 2 x 4096 + 64 x 64 x 2 = 1.057 MB, less at 59.8 GB/s; 1 us more for its prologue.
    # 16 x 64 tiles take 3 waves of 12 us; 128 x 128 tiles 93 us.
    tile = 33_554_432 / (0.5 * 312e12 / 108) + 1e-6
    # Input, weight and output: 0.52 + 33.55 + 0.52 MB at 0.8 x 2,039 GB/s.
    traffic = 2 * (64 * 4096 + 4096 * 4096 + 64 * 4096) / (0.8 * 2039e9)
    expected = 2e-6 + (tile**2 + traffic**2) ** 0.5
    assert seconds(64, 4096, 4096) == pytest.approx(expected, rel=1e-9)


def test_waves_are_whole_or_shared() -> None:
    # [1024, 65536] x [65536, 2048] are 8 x 16 = 128 tiles of 128 x 128 on 108 processors, 1.19
    # waves; 512 of 64 x 64, 4.74 waves; or 2,048 of 16 x 64, 18.96 waves.
    large, middle, small = (
        2 * area * 65_536 / (0.5 * 312e12 / 108) + 1e-6 for area in (128 * 128, 64 * 64, 16 * 64)
    )
    traffic = 2 * 65_536 * (1024 + 2048) / (0.8 * 2039e9) + 2 * 1024 * 2048 / (0.8 * 2039e9)
    for whole, chip in (
        (1.0, min(2 * large, 5 * middle, 19 * small)),
        (1e-9, min(128 / 108 * large, 512 / 108 * middle, 2048 / 108 * small)),
    ):
        expected = 2e-6 + (chip**2 + traffic**2) ** 0.5
        found = seconds(1024, 2048, 65_536, whole_waves=whole, feed=400.0)
        assert found == pytest.approx(expected, rel=1e-6)


def test_split_products_occupy_all_processors() -> None:
    # [16, 65536] x [65536, 64] is one tile of 16 x 64; 32 parts of 2048 each shorten it, for the
    # semaphore of 3 us and 4 x 16 x 64 x 32 bytes, written and read.
    one = 2 * 16 * 64 * 2048 / (0.5 * 312e12 / 108)
    loads = ((16 + 64) * 2 * 2048 + 2 * 16 * 64) / (400 * feed_scale(A100) * 1.41e9)
    chip = max(one, loads) + 1e-6 + 3e-6 + 4 * 16 * 64 * 32 / (3 * 2039e9)
    traffic = 2 * (16 * 65_536 + 65_536 * 64 + 16 * 64) / (0.8 * 2039e9)
    expected = 2e-6 + (chip**2 + traffic**2) ** 0.5
    found = seconds(16, 64, 65_536, split_s=3e-6, feed=400.0)
    assert found == pytest.approx(expected, rel=1e-6)


def test_quantised_inputs_take_a_pass() -> None:
    # 3 bytes an element of [256, 8192] at 0.5 x 2,039 GB/s.
    more = seconds(256, 4096, 8192, "fp8") - seconds(256, 4096, 8192, "fp8", quantise_share=1e12)
    assert more == pytest.approx(3 * 256 * 8192 / (0.5 * 2039e9), rel=1e-6)


def test_weights_that_stay_in_the_l2_are_read_from_it() -> None:
    # 6 copies of a weight of 2 MB stay in 96 MiB; those of 64 MB do not, nor any in a pass.
    constants = {**WHOLE, "l2_ratio": 4.0, "copies": 6.0, "launch_s": 1e-9, "tile_s": 1e-9}
    for n, is_served in ((1024, True), (32_768, False)):
        shape = {"n": n, "k": 1024}
        warm = KERNEL.prepare(shape, L40S, "bf16", constants)(1.0)
        cold = KERNEL.prepare({**shape, "cold": True}, L40S, "bf16", constants)(1.0)
        assert bool(warm < 0.9 * cold) == is_served


@given(
    st.integers(1, 20_000), st.integers(1, 30_000), st.integers(1, 30_000),
    st.sampled_from(sorted(DTYPES)), st.sampled_from(["h100-sxm", "rtx-4090", "mi300x", "m2-max"]),
)  # fmt: skip
def test_arrays_are_as_numbers(m: int, n: int, k: int, dtype: str, device: str) -> None:
    hardware = mw.hardware(device)
    constants = kernel_table(hardware, "gemm", dtype).constants
    one = KERNEL.prepare({"n": n, "k": k}, hardware, dtype, constants)(m)
    arrays = {"n": np.array([n, n + 1.0]), "k": np.array([k, k + 1.0])}
    two = np.asarray(KERNEL.prepare(arrays, hardware, dtype, constants)(np.array([m, m + 1.0])))
    column = KERNEL.prepare({"n": n, "k": k}, hardware, dtype, constants)(np.array([[m], [m + 7]]))
    assert np.shape(two) == (2,)
    assert float(two[0]) == pytest.approx(float(np.asarray(one)), rel=1e-9)
    assert float(np.asarray(column).reshape(-1)[0]) == pytest.approx(float(two[0]), rel=1e-9)


@given(st.integers(0, 13), st.integers(6, 14), st.integers(6, 14), st.sampled_from(sorted(DTYPES)))
def test_twice_the_rows_take_no_less(m: int, n: int, k: int, dtype: str) -> None:
    constants = kernel_table(A100, "gemm", dtype).constants
    formula = KERNEL.prepare({"n": 2**n, "k": 2**k}, A100, dtype, constants)
    assert formula(2.0 ** (m + 1)) >= formula(2.0**m) * (1 - 1e-12)


def test_a_table_has_at_most_the_numbers_that_are_promised() -> None:
    # 8 in 16 bits, 12 elsewhere; "copies" is of the benchmark, and fixed values are not fitted.
    known = {constant.name for constant in CONSTANTS} - {"copies"}
    for device in ("h100-sxm", "b200-sxm", "l40s", "a100-sxm-80gb"):
        for dtype, most in (("bf16", 8), ("fp8", 12)):
            constants = kernel_table(mw.hardware(device), "gemm", dtype).constants
            fitted = [n for n in constants if n in known and constants[n] != 0.001]
            assert len(fitted) <= most

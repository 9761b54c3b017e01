"""Matrix products, where one term of the formula stands alone."""

from __future__ import annotations

import pytest

from memorywall.answer.analyze import load_hardware
from memorywall.cost.kernels import find_kernel

# Constants of a device that is as fast as its data sheet; an overlap of 40 leaves the larger term.
IDEAL = {
    "peak_share": 1.0, "bandwidth_share": 1.0, "feed": 400.0, "tile_s": 1e-9, "split_s": 1e-7,
    "whole_waves": 1e-3, "overlap": 40.0, "launch_s": 1e-6, "l2_ratio": 1.0,
    "quantise_share": 1.0, "copies": 1,
}  # fmt: skip


def seconds(m: int, n: int, k: int, dtype: str = "bf16", **constants: float) -> float:
    kernel, hardware = find_kernel("gemm"), load_hardware("h100-sxm")
    found = kernel.prepare({"n": n, "k": k}, hardware, dtype, {**IDEAL, **constants})
    return float(found(m))


def test_a_row_takes_its_weights_over_the_bandwidth() -> None:
    # 2 byte x 16384^2 + 2 x (16384 + 16384) = 536,936,448 byte; / 3.35e12 byte/s = 160.28 us,
    # and 1 us of launch.
    assert seconds(1, 16384, 16384) == pytest.approx(161.28e-6, rel=1e-3)
    # Half the bandwidth: twice the time, with the same launch.
    assert seconds(1, 16384, 16384, bandwidth_share=0.5) == pytest.approx(321.56e-6, rel=1e-3)


def test_a_large_square_takes_its_flops_over_the_peak() -> None:
    # 2 x 8192^3 = 1.0995e12 FLOP / 989.4e12 FLOP/s = 1111.3 us; / 0.5 = 2222.6 us.
    assert seconds(8192, 8192, 8192) == pytest.approx(1112.3e-6, rel=0.01)
    assert seconds(8192, 8192, 8192, peak_share=0.5) == pytest.approx(2223.6e-6, rel=0.01)


def test_whole_waves_round_tiles_up() -> None:
    # 128 x 128 tiles of 1536 x 1536 are 144: one wave of 132 processors and 12 tiles more. Whole,
    # they take 2 waves where shares take 144 / 132 = 1.09. Other tiles may do better, never worse.
    part, whole = (seconds(1536, 1536, 16384, whole_waves=share) for share in (1e-3, 1.0))
    assert part < whole < 1.84 * part


def test_inputs_are_quantised_at_three_bytes_a_value() -> None:
    # fp8_block against no pass: 3 x 4096 x 4096 byte / 3.35e12 byte/s = 15.0 us at a share of 1,
    # 150 us at 0.1: 135 us apart.
    slow, fast = (
        seconds(4096, 4096, 4096, "fp8_block", quantise_share=share) for share in (0.1, 1.0)
    )
    assert slow - fast == pytest.approx(135.2e-6, rel=0.01)

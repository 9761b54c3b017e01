"""Matrix products [m, k] x [k, n] with a weight.

A product runs as tiles of its output, several at once on each of the device's processors, and its
operands stream from memory meanwhile:

    tiles    T   = ceil(m / bm) * ceil(n / bn) * s          s parts of k, which are added up at last
    waves    w   = max(T / units, 1), a share of them whole
    one tile c   = max(2 bm bn kk / (peak_share P / units),
                       ((bm e_a + bn e_w) kk + bm bn e_o) / feed),  kk = k / s, rounded up to 64
    on chip  t_c = min over (bm, bn, s) of  w (c + tile_s) + [s > 1] (split_s + 4 m n s / (3 BW))
    memory   t_m = bytes / (bandwidth_share BW);  from the L2 as far as operands stay there
    time     t   = launch_s + (t_c^overlap + t_m^overlap)^(1 / overlap)

Inputs that are quantised as they run take 3 m k / (quantise_share BW) more: a pass that reads two
bytes and writes one. The form and its terms were chosen on published tables of kernel times with
shapes left out; ``memorywall validate kernels`` prints what each term buys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Argument, Constant, Kernel, Shape
from memorywall.core.numbers import Array, Number
from memorywall.cost.kernels.facts import (
    Dtype,
    cache_bytes_of,
    clock_of,
    dtype_of,
    is_served_by_cache,
    kernel_peak,
    units_of,
)

CONSTANTS = (
    Constant("peak_share", "", "Share of the peak with operands at hand.", 0.05, 1.0, 0.75),
    Constant("bandwidth_share", "", "Share of the memory bandwidth.", 0.1, 1.0, 0.8),
    Constant(
        "feed",
        "byte/clock",
        "Rate at which a processor of 4,096 FLOP a clock is fed; others by the root of theirs.",
        4.0,
        400.0,
        60.0,
    ),
    Constant("tile_s", "s", "Prologue and epilogue of a wave of tiles.", 1e-9, 2e-5, 8e-7),
    Constant("split_s", "s", "Adding up the parts of split products.", 1e-7, 2e-5, 3e-6),
    Constant("whole_waves", "", "Share of waves that are whole.", 1e-3, 1.0, 0.3),
    Constant("overlap", "", "Overlap of on-chip work and traffic; 1: none.", 1.0, 40.0, 2.2),
    Constant("launch_s", "s", "Launch of one kernel.", 1e-7, 5e-4, 2e-6),
    Constant("l2_ratio", "", "Bandwidth of the L2 over that of the memory.", 0.9, 6.0, 1.7),
    Constant("quantise_share", "", "Share of the bandwidth in quantising.", 0.02, 20.0, 0.6),
    Constant("copies", "", "Copies of the weight that repeated calls cycle through.", 1, 8, 6),
)
# Constants that a table need not have: waves are whole on GPUs with GDDR memory.
_UNFITTED = {"split_s": 3e-6, "whole_waves": 1.0, "quantise_share": 0.6}
# Rows and columns of tiles, and parts of k. More shapes gain less than 0.2 points.
_WIDE_TILES = ((16, 64), (64, 64), (128, 128))
_PARTS = (1, 3, 8, 32)
# Kernels of quantised operands do not split k, and have wider tiles.
_QUANTISED_TILES = ((16, 128), (64, 128), (128, 128), (128, 256))
_FLOP_PER_CLOCK = 4096
_STEP = 64  # positions of k that are loaded at once, and the least part of it
# Where operands stop staying in the L2: at 1.04 times its size, over a few percent of it.
_FULL, _WIDTH = 1.04, 0.025


def feed_scale(hardware: Hardware) -> float:
    """Return how much faster a processor is fed than one of 4,096 FLOP a clock in 16 bits.

    Measured rates of a clock go with the root of the arithmetic of a clock, from 27 byte on A100
    (2,048 FLOP) and 75 on H100 to 97 on B200 (8,192): a tile of twice the area needs 1.4 times the
    operands.
    """
    peak = float(kernel_peak(hardware, "bf16"))
    return float((peak / units_of(hardware) / clock_of(hardware) / _FLOP_PER_CLOCK) ** 0.5)


def _menu(dtype: Dtype) -> Array:
    """Return the candidates: rows of bm, bn and s."""
    parts = (1,) if dtype.quantises else _PARTS
    tiles = _QUANTISED_TILES if dtype.quantises else _WIDE_TILES
    return np.array([(bm, bn, s) for s in parts for bm, bn in tiles], dtype=np.float64)


def _prepare(
    shape: Shape, hardware: Hardware, dtype: str, constants: Mapping[str, float]
) -> Callable[..., Number]:
    facts, constants = dtype_of(dtype), {**_UNFITTED, **constants}
    n, k = (np.asarray(shape[name], dtype=np.float64) for name in ("n", "k"))
    weight_bytes = shape.get("weight_bytes", facts.weight_bytes)
    units, bandwidth = units_of(hardware), hardware.bandwidth
    peak = kernel_peak(hardware, shape.get("arithmetic") or facts.arithmetic)
    peak = peak * constants["peak_share"] / units
    feed = constants["feed"] * feed_scale(hardware) * clock_of(hardware)
    bm, bn, s = (column.reshape(-1, *[1] * max(n.ndim, k.ndim)) for column in _menu(facts).T)
    kk = np.ceil(k / s / _STEP) * _STEP
    loads = (bm * facts.input_bytes + bn * weight_bytes) * kk + bm * bn * facts.output_bytes
    tile_s = np.maximum(2 * bm * bn * kk / peak, loads / feed) + constants["tile_s"]
    across = np.ceil(n / bn) * s / units
    is_split = s > 1
    split_s = np.where(is_split, constants["split_s"], 0.0)
    split_s = np.where(is_split & (k < s * _STEP), np.inf, split_s)  # parts must not be shorter
    sum_s = np.where(is_split, 4 * n * s / (3 * bandwidth), 0.0)
    whole = constants["whole_waves"]
    rate = _rate(shape, hardware, constants, weight_bytes * n * k)
    # A pass counts the traffic of all that is fused into a product.
    weight_s = np.maximum(weight_bytes * n * k, shape.get("fixed_bytes", 0.0)) / rate
    row_bytes = facts.input_bytes * k + facts.output_bytes * n
    row_s = np.maximum(row_bytes, shape.get("row_bytes", 0.0)) / rate
    quantised_s = 3 * k / (constants["quantise_share"] * bandwidth) if facts.quantises else 0.0
    overlap, launch_s = constants["overlap"], constants["launch_s"]

    tile_s, part_s = (1 - whole) * tile_s, whole * tile_s
    alone = float(split_s.max()) == 0.0

    def seconds(m: Any) -> Any:
        more = np.ndim(m) - (tile_s.ndim - 1)
        fit = (lambda array: _deepen(array, more)) if more > 0 else (lambda array: array)
        waves = np.ceil(m / fit(bm)) * fit(across)
        np.maximum(waves, 1.0, out=waves)
        whole_waves = np.ceil(waves)
        waves *= fit(tile_s)
        whole_waves *= fit(part_s)
        waves += whole_waves
        if not alone:
            waves += fit(sum_s) * m
            waves += fit(split_s)
        on_chip = waves.min(axis=0) ** overlap
        on_chip += (weight_s + row_s * m) ** overlap
        on_chip **= 1 / overlap
        return launch_s + on_chip + quantised_s * m

    return seconds


def _deepen(array: Array, axes: int) -> Array:
    """Return an array of candidates with more axes behind its first."""
    return array.reshape(array.shape[0], *[1] * axes, *array.shape[1:])


def _rate(
    shape: Shape, hardware: Hardware, constants: Mapping[str, float], weight: Array
) -> Number:
    """Return the bytes a second that reach the processors, mixed by the share of the L2."""
    slow = constants["bandwidth_share"] * hardware.bandwidth
    hit = _hit_share(shape, hardware, constants.get("copies", 0.0), weight)
    if hit is None:
        return slow
    fast = constants.get("l2_ratio", constants["bandwidth_share"]) * hardware.bandwidth
    return 1 / (hit / fast + (1 - hit) / slow)


def _hit_share(shape: Shape, hardware: Hardware, copies: float, weight: Array) -> Array | None:
    """Return the share of operands that repeated calls find in the L2; None for none.

    Calls of a pass, which are ``cold``, each have their own weight.
    """
    size = cache_bytes_of(hardware)
    if shape.get("cold") or not copies or not size or not is_served_by_cache(hardware):
        return None
    used = np.minimum(copies, np.ceil(size / weight)) * weight
    found: Array = 1 / (1 + np.exp(np.clip((used / size - _FULL) / _WIDTH, -50, 50)))
    return found


def _work(shape: Shape, hardware: Hardware, dtype: str) -> tuple[Number, Number]:
    facts = dtype_of(dtype)
    m, n, k = shape["m"], shape["n"], shape["k"]
    weight = facts.weight_bytes * n * k
    moved = facts.input_bytes * m * k + weight + facts.output_bytes * m * n
    hit = _hit_share(shape, hardware, 6.0, np.asarray(weight, dtype=np.float64))
    return 2 * m * n * k, moved if hit is None else moved * (1 - hit)


KERNEL = Kernel(
    name="gemm",
    help="A matrix product [m, k] x [k, n] with a weight.",
    arguments=(
        Argument("m", "Rows of the input."),
        Argument("n", "Columns of the weight."),
        Argument("k", "The length that is contracted."),
    ),
    constants=CONSTANTS,
    prepare=_prepare,
    varying=("m",),
    work=_work,
)

"""Attention of many new tokens of each sequence: prompts, encoders, chunks of a prompt.

Queries run in tiles of bm rows, each of which visits tiles of 64 keys up to its last row, or within
its window:

    one pair  = 4 bm 64 (head_dim + softmax_width) / (peak_share P / units)
    all       = (pairs of tiles * one pair + query tiles * tile_s) / units
    longest   = key tiles of the last query tile * one pair + tile_s
    time    t = launch_s + ((min over bm of all + longest)^outer + t_m^outer)^(1 / outer)
    memory  t_m = 4 batch queries (heads + kv_heads) head_dim / (bandwidth_share BW)

``softmax_width`` is the softmax's cost beside the two products, in elements of a head. Vectors of
other than 64, 128 and 256 elements take kernels that are ``odd_factor`` times slower.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Argument, Constant, Kernel, Shape
from memorywall.core.numbers import Number
from memorywall.cost.kernels.attention_decode import cache_bytes, served_share
from memorywall.cost.kernels.facts import kernel_peak, units_of

CONSTANTS = (
    Constant("peak_share", "", "Share of the peak with operands at hand.", 0.05, 1.0, 0.8),
    Constant("softmax_width", "", "Cost of the softmax, in elements of a head.", 0.5, 600.0, 60.0),
    Constant("bandwidth_share", "", "Share of the memory bandwidth.", 0.05, 1.0, 0.5),
    Constant("tile_s", "s", "Prologue and epilogue of a tile of queries.", 1e-9, 3e-5, 2e-6),
    Constant("outer", "", "Overlap of on-chip work and traffic; 1: none.", 1.0, 10.0, 1.2),
    Constant("launch_s", "s", "Launch of one kernel.", 1e-7, 5e-4, 1.1e-5),
    Constant("odd_factor", "", "Slowness of kernels of other vectors.", 0.5, 30.0, 1.5),
    Constant("l2_ratio", "", "Bandwidth of the L2 over that of the memory.", 0.5, 8.0, 1.5),
)
_ROWS = (16.0, 64.0, 128.0, 256.0)
_KEYS = 64.0
_USUAL = (64, 128, 256)


def _prepare(
    shape: Shape, hardware: Hardware, _dtype: str, constants: Mapping[str, float]
) -> Callable[..., Number]:
    heads, kv_heads, head_dim = (shape[name] for name in ("heads", "kv_heads", "head_dim"))
    value_dim = shape.get("value_dim") or head_dim
    window = np.asarray(shape.get("window", 0), dtype=np.float64)
    causal = shape.get("causal", "yes") in (True, "yes")
    units, bandwidth = units_of(hardware), hardware.bandwidth
    peak = kernel_peak(hardware, shape.get("arithmetic") or "bf16") * constants["peak_share"]
    width = (head_dim + value_dim) / 2 + constants["softmax_width"]
    odd = ~np.isin(np.asarray(head_dim), _USUAL)
    row_s = 4 * _KEYS * width / (peak / units) * np.where(odd, constants["odd_factor"], 1.0)
    slow = constants["bandwidth_share"] * bandwidth
    fast = constants.get("l2_ratio", constants["bandwidth_share"]) * bandwidth
    moved = 4 * (heads + kv_heads) * head_dim
    outer, tile_s, launch_s = (constants[name] for name in ("outer", "tile_s", "launch_s"))

    def seconds(batch: Any, queries: Any, keys: Any) -> Any:
        best: Any = None
        for rows in _ROWS:
            tiles = np.ceil(queries / rows)
            pairs, last = _pairs(tiles, rows, queries, keys, window, causal)
            one = rows * row_s
            spread = (pairs * one + tiles * tile_s) * (batch * heads / units)
            spread = spread + last * one + tile_s
            best = spread if best is None else np.minimum(best, spread)
        used = batch * queries * moved
        hit = served_share(shape, hardware, used)
        traffic = used / slow if type(hit) is float else used * (hit / fast + (1 - hit) / slow)
        return launch_s + (best**outer + traffic**outer) ** (1 / outer)

    return seconds


def _pairs(
    tiles: Any, rows: float, queries: Any, keys: Any, window: Any, causal: bool
) -> tuple[Any, Any]:
    """Return the tiles of keys that the query tiles of a head visit, and those of the last one.

    Query tile i, from 1, ends at position past + i * rows: it visits ceil of that over 64, up to
    those of its window and of all keys. The sum is taken at its straight line, with half a tile
    for rounding up, and in closed form below and above the window.
    """
    every = np.ceil(keys / _KEYS)
    if not causal:
        full = every * tiles
        if not np.any(window):
            return full, every
        seen = np.where(window > 0, np.minimum(np.ceil((2 * window + rows) / _KEYS), every), every)
        return seen * tiles, seen
    step = rows / _KEYS
    past = (keys - queries) / _KEYS
    rounded = max(0.0, (1 - step) / 2)  # small tiles share a tile of keys
    straight = tiles * past + step * tiles * (tiles + 1) / 2 + rounded * tiles
    straight = np.minimum(straight, tiles * every)
    if not np.any(window):
        return np.maximum(straight, tiles), every
    most = np.where(window > 0, np.minimum(np.ceil((window + rows) / _KEYS), every), every)
    below = np.clip((most - past) / step, 0.0, tiles)  # tiles whose window is not full
    bent = below * past + step * below * (below + 1) / 2 + rounded * below + (tiles - below) * most
    return np.maximum(np.where(window > 0, np.minimum(bent, straight), straight), tiles), most


def _work(shape: Shape, hardware: Hardware, _dtype: str) -> tuple[Number, Number]:
    batch, heads, kv_heads, head_dim, queries, keys = (
        np.asarray(shape[name], dtype=np.float64)
        for name in ("batch", "heads", "kv_heads", "head_dim", "queries", "keys")
    )
    window = np.asarray(shape.get("window", 0), dtype=np.float64)
    pairs = queries * keys
    if shape.get("causal", "yes") in (True, "yes"):
        pairs = queries * (keys - queries) + queries * (queries + 1) / 2
    narrow = np.where(window > 0, window, np.inf)
    pairs = np.where(
        window > 0, np.minimum(pairs, np.maximum(queries - narrow / 2, 1) * narrow), pairs
    )
    flops = 4 * batch * heads * pairs * head_dim
    size = cache_bytes(shape)
    used = batch * (4 * queries * heads + 2 * size * np.minimum(keys, narrow + queries) * kv_heads)
    used = used * head_dim
    return flops, used * (1 - served_share(shape, hardware, used))


KERNEL = Kernel(
    name="attention_prefill",
    help="Attention of many new tokens of each sequence.",
    arguments=(
        Argument("batch", "Sequences."),
        Argument("heads", "Heads of queries."),
        Argument("kv_heads", "Heads of keys and values."),
        Argument("head_dim", "Elements of one vector."),
        Argument("queries", "New tokens of each sequence."),
        Argument("keys", "Positions of each sequence, the new ones included."),
        Argument("window", "Positions that a token attends to at most; 0: all.", 0),
        Argument("kv_cache", "Format of the cache.", "bf16", ("bf16", "fp16", "fp8", "int8")),
        Argument("causal", "Whether tokens attend to those before them alone.", "yes",
                 ("yes", "no")),
    ),
    constants=CONSTANTS,
    prepare=_prepare,
    varying=("batch", "queries", "keys"),
    work=_work,
)  # fmt: skip

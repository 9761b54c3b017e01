"""Attention of one new token of each sequence to the positions in its cache.

A sequence's heads that share keys are one piece of work (16 heads at most), and its context may be
split into s parts, which are added up at last:

    pieces   C   = batch * kv_heads * ceil(heads / kv_heads / 16)
    on chip  t_c = min over s of  max(C s / units, 1) * (2 ceil(c / s / 64) 64 head_dim e / feed
                                  + tile_s) + [s > 1] split_s,  at least the arithmetic's time
    memory   t_m = (2 batch c kv_heads head_dim e + 4 batch heads head_dim) / (bandwidth_share BW)
    time     t   = launch_s + sequence_s batch + (t_c^4 + t_m^4)^(1 / 4)

with c = min(keys, window) and e bytes an element of the cache. Latent caches hold keys and values
in one array, which is read once. Kernels of vectors of other than 64 or 128 elements are
``odd_factor`` times slower.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from memorywall.core.errors import UnknownNameError
from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Argument, Constant, Kernel, Shape
from memorywall.core.numbers import Number
from memorywall.cost.kernels.facts import cache_bytes_of, clock_of, is_served_by_cache, units_of

CONSTANTS = (
    Constant("bandwidth_share", "", "Share of the memory bandwidth.", 0.1, 1.0, 0.8),
    Constant("feed", "byte/clock", "Rate at which one processor is fed.", 1.0, 400.0, 20.0),
    Constant("tile_s", "s", "Prologue and epilogue of a piece.", 1e-9, 3e-5, 1.5e-6),
    Constant("split_s", "s", "Adding up the parts of split contexts.", 1e-8, 1e-4, 3e-6),
    Constant("sequence_s", "s", "Scheduling of one sequence.", 1e-12, 1e-6, 5e-9),
    Constant("odd_factor", "", "Slowness of kernels of vectors but 64 and 128.", 0.3, 30.0, 1.5),
    Constant("launch_s", "s", "Launch of one kernel.", 1e-7, 5e-4, 8e-6),
    Constant("l2_ratio", "", "Bandwidth of the L2 over that of the memory.", 0.9, 8.0, 2.5),
)
_SPLITS = 2.0 ** np.arange(8)
_STEP = 64  # positions that are loaded at once, and the least part of a context
_HEADS = 16  # heads of one piece: the rows of the narrowest matrix instruction
_OVERLAP = 4.0  # of on-chip work and traffic; fitted ones foretell other shapes no better
_USUAL = (64, 128)
# Where a cache stops staying in the L2, in shares of its size.
_FULL, _WIDTH = 1.04, 0.1
_BYTES = {"": 2.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0}


def cache_bytes(shape: Shape) -> float:
    """Return the bytes of an element of the cache.

    Raises:
        UnknownNameError: no such format of caches.
    """
    given = shape.get("cache_bytes")
    if given is not None:
        return float(given)
    name = shape.get("kv_cache") or ""
    if name not in _BYTES:
        raise UnknownNameError("kv_cache", name, [known for known in _BYTES if known])
    return _BYTES[name]


def served_share(shape: Shape, hardware: Hardware, bytes_used: Any) -> Any:
    """Return the share of a cache that repeated calls find in the L2; 0 in a pass."""
    size = cache_bytes_of(hardware)
    if shape.get("cold") or not size or not is_served_by_cache(hardware):
        return 0.0
    return 1 / (1 + np.exp(np.clip((bytes_used / size - _FULL) / _WIDTH, -50, 50)))


def _prepare(
    shape: Shape, hardware: Hardware, _dtype: str, constants: Mapping[str, float]
) -> Callable[..., Number]:
    heads, kv_heads, head_dim = (shape[name] for name in ("heads", "kv_heads", "head_dim"))
    size, arrays = cache_bytes(shape), 1.0 if shape.get("latent") else 2.0
    window = np.asarray(shape.get("window", 0), dtype=np.float64)
    limit = np.where(window > 0, window, np.inf)
    units, bandwidth = units_of(hardware), hardware.bandwidth
    feed = constants["feed"] * clock_of(hardware)
    pieces = kv_heads * np.ceil(heads / kv_heads / _HEADS) / units
    odd = ~np.isin(np.asarray(head_dim), _USUAL)
    block_s = arrays * _STEP * head_dim * size / feed * np.where(odd, constants["odd_factor"], 1.0)
    slow = constants["bandwidth_share"] * bandwidth
    fast = constants.get("l2_ratio", constants["bandwidth_share"]) * bandwidth
    cached, queries = arrays * kv_heads * head_dim * size, 4 * heads * head_dim
    tile_s, split_s, launch_s, sequence_s = (
        constants[name] for name in ("tile_s", "split_s", "launch_s", "sequence_s")
    )
    value_dim = shape.get("value_dim") or head_dim
    arithmetic_s = 2 * heads * (head_dim + value_dim) / hardware.peak("bf16")
    in_pass = np.ndim(pieces) == 0 and not window.any()

    def seconds(batch: Any, keys: Any) -> Any:
        context = keys if in_pass else np.minimum(keys, limit)
        work = pieces * batch
        best: Any = None
        # Splits one by one where there are points, all at once for a number.
        splits = _SPLITS[:, None] if np.ndim(context) == 0 == np.ndim(work) else _SPLITS
        for s in (splits,) if splits.ndim == 2 else splits:
            part = np.ceil(context / (s * _STEP))
            part = part * block_s + tile_s
            part = part * np.maximum(work * s, 1.0)
            part = part + split_s * (s > 1)
            best = part if best is None else np.minimum(best, part)
        if splits.ndim == 2:
            best = float(best.min())
        used = batch * context * cached
        best = np.maximum(best, batch * context * arithmetic_s)
        hit = served_share(shape, hardware, used)
        moved = used + batch * queries
        traffic = moved / slow if type(hit) is float else moved * (hit / fast + (1 - hit) / slow)
        joined = (best**_OVERLAP + traffic**_OVERLAP) ** (1 / _OVERLAP)
        return launch_s + sequence_s * batch + joined

    return seconds


def _work(shape: Shape, hardware: Hardware, _dtype: str) -> tuple[Number, Number]:
    window = np.asarray(shape.get("window", 0), dtype=np.float64)
    context = np.minimum(shape["keys"], np.where(window > 0, window, np.inf))
    batch, heads, head_dim = (shape[name] for name in ("batch", "heads", "head_dim"))
    arrays = 1.0 if shape.get("latent") else 2.0
    used = arrays * batch * context * shape["kv_heads"] * head_dim * cache_bytes(shape)
    hit = served_share(shape, hardware, used)
    return 4 * batch * context * heads * head_dim, (used + 4 * batch * heads * head_dim) * (1 - hit)


KERNEL = Kernel(
    name="attention_decode",
    help="Attention of one new token of each sequence to its cache.",
    arguments=(
        Argument("batch", "Sequences."),
        Argument("heads", "Heads of queries."),
        Argument("kv_heads", "Heads of keys and values."),
        Argument("head_dim", "Elements of one vector."),
        Argument("keys", "Positions of each sequence, the new one included."),
        Argument("window", "Positions that a token attends to at most; 0: all.", 0),
        Argument("kv_cache", "Format of the cache.", "bf16", ("bf16", "fp16", "fp8", "int8")),
    ),
    constants=CONSTANTS,
    prepare=_prepare,
    varying=("batch", "keys"),
    work=_work,
)

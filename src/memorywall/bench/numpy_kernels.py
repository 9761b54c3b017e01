"""The operators of a decode step, one at a time, in NumPy: what a brief measurement runs.

Names, parameters and counts are those of ``bench.kernels``, so that the same statistics make
ceilings and a calibration of them. Weights and caches are slices of one pool larger than the caches
and are taken in turn, as a model's pass takes them: they come from memory. Everything is in fp32
and runs through the BLAS library that NumPy was built with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import cycle
from typing import Any

import numpy as np

from memorywall.bench.machine import caches
from memorywall.bench.numpy_gpt2 import attend, gelu_new, layer_norm
from memorywall.bench.timing import Kernel
from memorywall.core.numbers import Array

_BYTES = 4
_MIB = 1024 * 1024
_SMALLEST_POOL, _LARGEST_POOL = 256 * _MIB, 1024 * _MIB


def blas() -> str:
    """Return NumPy's version and the BLAS library that it was built with."""
    build: Any = np.show_config(mode="dicts")  # type: ignore[call-arg, func-returns-value, unused-ignore]
    library = build["Build Dependencies"]["blas"]
    return f"NumPy {np.__version__}, {library['name']} {library['version']}"


def make(name: str, **parameters: Any) -> Kernel:
    """Return a kernel by its name.

    Raises:
        KeyError: no kernel of that name.
    """
    return KERNELS[name](**parameters)


def stream(function: str) -> Kernel:
    """Read the whole pool once: its dot product with itself, 4 bytes and 2 FLOPs an element."""
    if function != "read":
        raise KeyError(function)
    pool = _pool()
    return Kernel(lambda: pool @ pool, 2.0 * pool.size, float(pool.nbytes))


def gemm(dtype: str, m: int, n: int, k: int) -> Kernel:
    """Multiply warm matrices [m, k] x [k, n], as a peak is measured."""
    _require_fp32(dtype)
    x, y = (_pool()[: rows * width].reshape(rows, width) for rows, width in ((m, k), (k, n)))
    return Kernel(lambda: x @ y, 2.0 * m * n * k, float(_BYTES * (m * k + k * n + m * n)))


def linear(dtype: str, rows: int, width: int, inner: int) -> Kernel:
    """Multiply rows [rows, inner] by a cold weight [width, inner], as a head does."""
    _require_fp32(dtype)
    x, weights = _rows(rows, inner), _cold(width, inner)
    return Kernel(lambda: x @ next(weights).T, *_of_product(rows, width, inner))


def conv1d(dtype: str, rows: int, width: int, inner: int) -> Kernel:
    """Multiply rows [rows, inner] by a cold weight [inner, width] and add a bias, as GPT-2 does."""
    _require_fp32(dtype)
    x, bias, weights = _rows(rows, inner), _rows(width)[:, 0], _cold(inner, width)
    return Kernel(lambda: x @ next(weights) + bias, *_of_product(rows, width, inner))


def attention(
    dtype: str, batch: int, heads: int, kv_heads: int, tokens: int, context: int, head_dim: int,
    causal: bool,
) -> Kernel:  # fmt: skip
    """Attend from one position over ``context`` cold keys, a key and a value for every head."""
    _require_fp32(dtype)
    if (batch, tokens, causal) != (1, 1, False) or heads != kv_heads:
        raise KeyError("attention of more than one query, or of shared keys")
    query = _rows(heads, head_dim)[:, None, :]
    pairs = _cold(2, heads, context, head_dim)

    def call() -> Array:
        keys, values = next(pairs)
        return attend(query, keys, values)

    moved = 2 * batch * (heads * tokens + kv_heads * context) * head_dim * _BYTES
    return Kernel(call, 4.0 * heads * head_dim * context, float(moved))


def elementwise(dtype: str, function: str, rows: int, width: int) -> Kernel:
    """Apply a function as the NumPy GPT-2 writes it to [rows, width]."""
    _require_fp32(dtype)
    x, y = _rows(rows, width), _rows(rows, width) + 1
    gain = _rows(width)[:, 0]
    calls: dict[str, Callable[[], Array]] = {
        "add": lambda: x + y,
        "copy": lambda: np.concatenate([x, y[:0]]),
        "layernorm": lambda: layer_norm(x, gain, gain),
        "gelu_new": lambda: gelu_new(x),
    }
    reads = 2 if function == "add" else 1
    return Kernel(calls[function], 0.0, float((reads + 1) * rows * width * _BYTES))


def launch() -> Kernel:
    """Add two numbers: what is left is the cost of one call."""
    x = np.ones(1, dtype=np.float32)
    return Kernel(lambda: np.add(x, x))


KERNELS: dict[str, Callable[..., Kernel]] = {
    "stream": stream,
    "gemm": gemm,
    "linear": linear,
    "conv1d": conv1d,
    "attention": attention,
    "elementwise": elementwise,
    "launch": launch,
}


@lru_cache(maxsize=1)
def _pool() -> Array:
    """Return random numbers past every cache, in [0, 1): 256 MiB to 1 GiB."""
    size = 4 * max(caches().values(), default=0)
    size = min(_LARGEST_POOL, max(_SMALLEST_POOL, size))
    return np.random.default_rng(0).random(size // _BYTES, dtype=np.float32)


def _cold(*shape: int) -> Iterator[Array]:
    """Return an endless turn through arrays of a shape that together fill the pool."""
    each = int(np.prod(shape))
    pool = _pool()
    count = pool.size // each
    return cycle(pool[: count * each].reshape(count, *shape))


def _rows(rows: int, width: int = 1) -> Array:
    """Return a separate warm array."""
    return _pool()[: rows * width].reshape(rows, width).copy()


def _of_product(rows: int, width: int, inner: int) -> tuple[float, float]:
    """Return the FLOPs and bytes of a product of [rows, inner] with a weight."""
    moved = _BYTES * (rows * inner + width * inner + rows * width)
    return 2.0 * rows * width * inner, float(moved)


def _require_fp32(dtype: str) -> None:
    if dtype != "fp32":
        raise KeyError(f"{dtype}: NumPy's kernels run in fp32")

"""The operators of models, one at a time, in torch: on this CPU or on a CUDA GPU.

Weights are taken in turn from more copies than the caches hold, so that they are cold as in a
model's pass; activations stay warm, as the previous operator leaves them. Each function returns a
call with its FLOPs and bytes, counted by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the conventional name

from memorywall.bench.timing import Kernel

DTYPES = {
    "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.int8,
}  # fmt: skip
# Total bytes of the copies of a weight, more than any cache in use.
_COLD_BYTES = 96 * 1024 * 1024
_MOST_COPIES = 64


def make(name: str, device: str = "cpu", **parameters: Any) -> Kernel:
    """Return a kernel by its name.

    Raises:
        KeyError: no kernel has that name.
        RuntimeError: the device has no such operator for the dtype.
    """
    return KERNELS[name](torch.device(device), **parameters)


def gemm(
    device: torch.device, dtype: str, m: int, n: int, k: int, library: str = "torch"
) -> Kernel:
    """Multiply warm matrices [m, k] x [k, n], as a peak is measured; by torch or by NumPy."""
    if library == "numpy":
        x, y = (np.ones(shape, dtype=np.float32) for shape in ((m, k), (k, n)))
        return Kernel(lambda: x @ y, 2.0 * m * n * k, 4.0 * (m * k + k * n + m * n))
    if dtype in _NARROW:
        return _NARROW[dtype](device, m, n, k)
    torch.backends.cuda.matmul.allow_tf32 = dtype == "tf32"
    stored = "fp32" if dtype == "tf32" else dtype
    a, b = _random(device, stored, m, k), _random(device, stored, k, n)
    return Kernel(lambda: torch.mm(a, b), 2.0 * m * n * k, (m * k + k * n + m * n) * _size(stored))


def _gemm_int8(device: torch.device, m: int, n: int, k: int) -> Kernel:
    """Multiply 8-bit integers, sums in 32."""
    a, b = (
        torch.randint(-8, 8, shape, dtype=torch.int8, device=device) for shape in ((m, k), (k, n))
    )
    return Kernel(lambda: torch._int_mm(a, b), 2.0 * m * n * k, m * k + k * n + 4 * m * n)  # noqa: SLF001


def _gemm_fp8(device: torch.device, m: int, n: int, k: int) -> Kernel:
    """Multiply e4m3 with one scale per matrix, output in bf16; the second is column-major."""
    a = _random(device, "fp32", m, k).to(torch.float8_e4m3fn)
    b = _random(device, "fp32", n, k).to(torch.float8_e4m3fn).t()
    one = torch.ones((), device=device)

    def call() -> torch.Tensor:
        return torch._scaled_mm(a, b, one, one, out_dtype=torch.bfloat16)  # noqa: SLF001

    return Kernel(call, 2.0 * m * n * k, m * k + k * n + 2 * m * n)


_NARROW = {"int8": _gemm_int8, "fp8": _gemm_fp8}


def linear(device: torch.device, dtype: str, rows: int, width: int, inner: int) -> Kernel:
    """Multiply rows [rows, inner] by a cold weight [width, inner], as a layer does."""
    x = _random(device, dtype, rows, inner)
    weights = _cold(_random(device, dtype, width, inner))
    moved = (rows * inner + width * inner + rows * width) * _size(dtype)
    return Kernel(lambda: F.linear(x, next(weights)), 2.0 * rows * width * inner, moved)


def conv1d(device: torch.device, dtype: str, rows: int, width: int, inner: int) -> Kernel:
    """Multiply rows [rows, inner] by a cold weight [inner, width] and add a bias, as GPT-2 does."""
    x, bias = _random(device, dtype, rows, inner), _random(device, dtype, width)
    weights = _cold(_random(device, dtype, inner, width))
    moved = (rows * inner + width * inner + rows * width) * _size(dtype)
    flops = 2.0 * rows * width * inner
    return Kernel(lambda: torch.addmm(bias, x, next(weights)), flops, moved)


def attention(
    device: torch.device, dtype: str, batch: int, heads: int, kv_heads: int, tokens: int,
    context: int, head_dim: int, causal: bool,
) -> Kernel:  # fmt: skip
    """Attend from ``tokens`` queries to ``context`` cold keys, with torch's kernel."""
    q = _random(device, dtype, batch, heads, tokens, head_dim)
    caches = _cold(_random(device, dtype, 2, batch, kv_heads, context, head_dim))
    grouped = heads != kv_heads

    def call() -> torch.Tensor:
        keys, values = next(caches)
        return F.scaled_dot_product_attention(q, keys, values, is_causal=causal, enable_gqa=grouped)

    pairs = tokens * (context - tokens) + (tokens * (tokens + 1) / 2 if causal else tokens * tokens)
    moved = 2 * batch * (heads * tokens + kv_heads * context) * head_dim * _size(dtype)
    return Kernel(call, 4.0 * batch * heads * head_dim * pairs, moved)


def elementwise(device: torch.device, dtype: str, function: str, rows: int, width: int) -> Kernel:
    """Apply a function as transformers writes it to [rows, width]."""
    x, y = _random(device, dtype, rows, width), _random(device, dtype, rows, width)
    gain = _random(device, dtype, width)
    calls: dict[str, Callable[[], object]] = {
        "add": lambda: x + y,
        "copy": lambda: torch.cat([x, y[:0]]),
        "layernorm": lambda: F.layer_norm(x, (width,), gain, gain),
        "rmsnorm": lambda: _rms_norm(x, gain),
        "softmax": lambda: torch.softmax(x, -1),
        "gelu": lambda: F.gelu(x),
        "gelu_new": lambda: _gelu_new(x),
        "silu": lambda: F.silu(x),
        "silu gated": lambda: F.silu(x) * y,
        "relu": lambda: F.relu(x),
        "tanh": lambda: torch.tanh(x),
        "rotary": lambda: _rotary(x, y, y),
    }
    reads = 2 if function in ("add", "silu gated") else 1
    return Kernel(calls[function], 0.0, (reads + 1) * rows * width * _size(dtype))


def launch(device: torch.device) -> Kernel:
    """Add two numbers: the time is the overhead of a call."""
    x = torch.ones(1, device=device)
    return Kernel(lambda: torch.add(x, 1.0))


def launch_graph(device: torch.device) -> Kernel:
    """Replay a captured graph of one addition: the floor of a launch without the framework."""
    x = torch.ones(1, device=device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        x.add_(1.0)
    return Kernel(graph.replay)


def stream(device: torch.device, function: str, count: int) -> Kernel:
    """Stream over ``count`` float32 on a GPU, with torch's kernels."""
    a, b, c = (torch.ones(count, device=device) for _ in range(3))
    calls: dict[str, tuple[Callable[[], object], int]] = {
        "read": (lambda: torch.amax(b), 4),
        "copy": (lambda: a.copy_(b), 8),
        "scale": (lambda: torch.mul(b, 3.0, out=a), 8),
        "add": (lambda: torch.add(b, c, out=a), 12),
        "triad": (lambda: torch.add(b, c, alpha=3.0, out=a), 12),
    }
    call, each = calls[function]
    return Kernel(call, 0.0, each * count)


KERNELS: dict[str, Callable[..., Kernel]] = {
    "gemm": gemm,
    "linear": linear,
    "conv1d": conv1d,
    "attention": attention,
    "elementwise": elementwise,
    "launch": launch,
    "launch_graph": launch_graph,
    "stream": stream,
}


def _random(device: torch.device, dtype: str, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, device=device).mul_(0.1).to(DTYPES[dtype])


def _size(dtype: str) -> int:
    return int(DTYPES[dtype].itemsize)


def _cold(first: torch.Tensor) -> Any:
    """Return an endless cycle through copies that together exceed the caches."""
    copies = min(_MOST_COPIES, max(2, _COLD_BYTES // max(1, first.nbytes)))
    return cycle([first, *(first.clone() for _ in range(copies - 1))])


def _rms_norm(x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    wide = x.to(torch.float32)
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
    return gain * wide.to(x.dtype)


def _gelu_new(x: torch.Tensor) -> torch.Tensor:
    cubic = x + 0.044715 * torch.pow(x, 3.0)
    return 0.5 * x * (1.0 + torch.tanh(0.7978845608028654 * cubic))


def _rotary(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    half = x.shape[-1] // 2
    turned = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
    return x * cos + turned * sin

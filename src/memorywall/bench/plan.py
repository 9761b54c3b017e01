"""What is measured, quickly or in full: a list of cases, each a name with its parameters."""

from __future__ import annotations

from typing import Any, TypeAlias

Case: TypeAlias = dict[str, Any]

STREAMS = ("read", "copy", "scale", "add", "triad", "triad_nontemporal")
DTYPES = ("fp32", "bf16")
FUNCTIONS = (
    "add", "copy", "layernorm", "rmsnorm", "gelu", "gelu_new", "silu gated", "tanh", "rotary",
    "relu", "softmax",
)  # fmt: skip
_KIB, _MIB = 1024, 1024 * 1024


def cases(*, quick: bool, caches: dict[str, int], device: str = "cpu") -> list[Case]:
    """Return the cases in the order in which they run.

    Args:
        quick: fewer sizes and shorter samples, for under a minute.
        caches: bytes of each cache level, so that the sweep meets each of them.
        device: ``cpu`` or ``cuda``.
    """
    if device != "cpu":
        return [*_gpu_streams(), *_gemms(quick=quick, device=device), *_layers(quick, device)]
    return [*_cpu_memory(quick=quick, caches=caches), *_gemms(quick=quick), *_layers(quick, "cpu")]


def _cpu_memory(*, quick: bool, caches: dict[str, int]) -> list[Case]:
    largest = max(caches.values(), default=32 * _MIB)
    far = max(256 * _MIB, 4 * largest)
    streams: list[Case] = [
        {"case": "stream", "function": f, "nbytes": far, "budget_s": 0.6 if quick else 3.0}
        for f in STREAMS
    ]
    sizes = sorted({size // 2 for size in caches.values()}) or [16 * _KIB, 512 * _KIB, 8 * _MIB]
    if not quick:
        steps = [16 * _KIB * 2**step for step in range(20)]
        sizes = sorted({*sizes, *(step for step in steps if step <= far)})
    sweep: list[Case] = [
        {"case": "sweep", "nbytes": size, "budget_s": 0.2 if quick else 0.5} for size in sizes
    ]
    chases: list[Case] = [
        {"case": "chase", "nbytes": size, "budget_s": 0.2 if quick else 0.5}
        for size in [*sorted({size // 2 for size in caches.values()}), far]
    ]
    return [*streams, *sweep, *chases]


def _gpu_streams() -> list[Case]:
    return [
        {"case": "kernel", "name": "stream", "function": f, "count": 1 << 28, "budget_s": 0.5}
        for f in STREAMS[:-1]
    ]


def _gemms(*, quick: bool, device: str = "cpu") -> list[Case]:
    sizes = (1024, 2048) if quick else (512, 1024, 2048, 4096)
    dtypes = ("fp32", "bf16", "int8") if device == "cpu" else ("fp32", "bf16", "fp16", "int8")
    squares: list[Case] = [
        {"case": "kernel", "name": "gemm", "dtype": d, "m": n, "n": n, "k": n, "budget_s": 0.5}
        for d in dtypes
        for n in sizes
    ]
    # NumPy brings a library of its own, which may be the faster one.
    squares += [
        {"case": "kernel", "name": "gemm", "dtype": "fp32", "m": n, "n": n, "k": n,
         "library": "numpy", "budget_s": 0.5}
        for n in sizes
        if device == "cpu"
    ]  # fmt: skip
    # fp16 has no arithmetic of its own on most CPUs and crawls: it is measured small, and marked.
    small: list[Case] = [
        {"case": "kernel", "name": "gemm", "dtype": "fp16", "m": 256, "n": 256, "k": 256,
         "budget_s": 0.2},
    ]  # fmt: skip
    return squares + (small if device == "cpu" else [])


def _layers(quick: bool, device: str) -> list[Case]:
    """Return what calibrates a model's operators: linear layers, attention, functions, floors."""
    budget = 0.1 if quick else 0.4
    found: list[Case] = []
    for dtype in DTYPES:
        found += [
            *_linears(dtype, budget, quick=quick),
            *_attentions(dtype, budget, quick=quick),
            *_functions(dtype, budget / 2, quick=quick),
            *_toys(dtype, 2 * budget),
        ]
    found.append(_kernel("launch", budget))
    return found if device == "cpu" else [*found, _kernel("launch_graph", budget)]


def _linears(dtype: str, budget_s: float, *, quick: bool) -> list[Case]:
    rows = (1, 2, 4, 16, 64, 256, 1024) if quick else (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
    shapes = ((640, 640), (3072, 1024)) if quick else ((640, 640), (3072, 768), (1024, 4096))
    return [
        _kernel(product, budget_s, dtype=dtype, rows=r, width=width, inner=inner)
        for product in ("linear", "conv1d")
        for width, inner in shapes
        for r in rows
    ]


def _attentions(dtype: str, budget_s: float, *, quick: bool) -> list[Case]:
    heads = {"dtype": dtype, "batch": 1, "heads": 12, "head_dim": 64}
    tokens = (16, 64, 256, 1024) if quick else (16, 32, 64, 128, 256, 512, 1024)
    contexts = (64, 256, 1024) if quick else (16, 64, 128, 256, 512, 1024, 2048)
    passes = [
        _kernel("attention", budget_s, tokens=t, context=t, causal=causal, **heads, kv_heads=12)
        for t in tokens
        for causal in (True, False)
    ]
    decodes = [
        _kernel("attention", budget_s, tokens=1, context=c, causal=False, **heads, kv_heads=shared)
        for shared in (12, 4)
        for c in contexts
    ]
    return passes + decodes


def _functions(dtype: str, budget_s: float, *, quick: bool) -> list[Case]:
    shapes = [
        (r, 1024)
        for r in ((16, 256, 1024, 4096) if quick else (4, 16, 64, 256, 512, 1024, 2048, 4096))
    ]
    return [
        _kernel("elementwise", budget_s, dtype=dtype, function=function, rows=rows, width=width)
        for function in (FUNCTIONS[:-2] if quick else FUNCTIONS)
        for rows, width in [*shapes, (1, 64)]
    ]


def _toys(dtype: str, budget_s: float) -> list[Case]:
    return [
        {"case": "toy", "model_type": t, "layers": n, "dtype": dtype, "budget_s": budget_s}
        for t in ("gpt2", "bert", "llama")
        for n in (2, 10)
    ]


def _kernel(name: str, budget_s: float, **parameters: Any) -> Case:
    return {"case": "kernel", "name": name, "budget_s": budget_s, **parameters}

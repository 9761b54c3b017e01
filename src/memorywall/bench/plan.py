"""The cases of a quick or a full measurement, each a name with its parameters."""

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
_CPU_DTYPES = ("fp32", "bf16", "int8")
_GPU_DTYPES = ("fp32", "tf32", "bf16", "fp16", "int8", "fp8")
# Most processors have no native fp16 arithmetic, so fp16 is slow: it is measured small.
_CRAWLERS = ("fp16",)


def cases(*, quick: bool, caches: dict[str, int], device: str = "cpu") -> list[Case]:
    """Return the cases in the order in which they run.

    Cases that give a ceiling run in rounds at the beginning, in the middle and at the end, so that
    a slow period of a shared machine does not lower a roof.

    Args:
        quick: fewer sizes and shorter samples, for under a minute.
        caches: bytes of each cache level, so that the sweep meets each of them.
        device: ``cpu`` or ``cuda``.
    """
    a_round = _round(quick=quick, caches=caches, device=device)
    layers = _layers(quick, device)
    middle = len(layers) // 2
    once = [] if quick else _once(caches, device)
    return [*a_round, *once, *layers[:middle], *a_round, *layers[middle:], *a_round]


def _round(*, quick: bool, caches: dict[str, int], device: str) -> list[Case]:
    """Return one round of the cases that give the ceilings."""
    budget = 0.25 if quick else 2.0
    if device != "cpu":
        return [*_gpu_streams(budget), *_gemms(_GPU_DTYPES, (4096, 8192), budget)]
    far = _beyond(caches)
    streams: list[Case] = [
        {"case": "stream", "function": f, "nbytes": far, "budget_s": budget} for f in STREAMS
    ]
    sizes = _within(caches)
    sweep: list[Case] = [
        {"case": "sweep", "nbytes": size, "budget_s": budget / 4} for size in sizes
    ]
    chases: list[Case] = [
        {"case": "chase", "nbytes": size, "budget_s": budget / 4} for size in [*sizes, far]
    ]
    squares = (2048,) if quick else (2048, 4096)
    products = [*_gemms(_CPU_DTYPES, squares, budget), *_gemms(_CRAWLERS, (256,), budget / 4)]
    # NumPy uses another library, which may be faster.
    return [*streams, *sweep, *chases, *products, *_numpy(2048, budget)]


def _once(caches: dict[str, int], device: str) -> list[Case]:
    """Return the cases of a full measurement only: the sweep between levels, small squares."""
    if device != "cpu":
        return _gemms(_GPU_DTYPES, (1024, 2048), 0.5)
    sizes = [16 * _KIB * 2**step for step in range(20)]
    sweep: list[Case] = [
        {"case": "sweep", "nbytes": size, "budget_s": 0.5}
        for size in sizes
        if size <= _beyond(caches) and size not in _within(caches)
    ]
    return [*sweep, *_gemms(_CPU_DTYPES, (512, 1024), 0.5), *_numpy(1024, 0.5)]


def _beyond(caches: dict[str, int]) -> int:
    """Return a size well past every cache."""
    return max(256 * _MIB, 4 * max(caches.values(), default=32 * _MIB))


def _within(caches: dict[str, int]) -> list[int]:
    """Return a size that each level holds with room to spare."""
    return sorted({size // 4 for size in caches.values()}) or [8 * _KIB, 256 * _KIB, 4 * _MIB]


def _gpu_streams(budget_s: float) -> list[Case]:
    return [
        {"case": "kernel", "name": "stream", "function": f, "count": 1 << 28, "budget_s": budget_s}
        for f in STREAMS[:-1]
    ]


def _gemms(dtypes: tuple[str, ...], sizes: tuple[int, ...], budget_s: float) -> list[Case]:
    """Return square products."""
    return [_kernel("gemm", budget_s, dtype=d, m=n, n=n, k=n) for d in dtypes for n in sizes]


def _numpy(size: int, budget_s: float) -> list[Case]:
    square = {"m": size, "n": size, "k": size}
    return [_kernel("gemm", budget_s, dtype="fp32", library="numpy", **square)]


def _layers(quick: bool, device: str) -> list[Case]:
    """Return the cases that calibrate operators: linear layers, attention, functions, floors."""
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

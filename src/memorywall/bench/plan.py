"""The cases of a quick or a full measurement, each a name with its parameters."""

from __future__ import annotations

from typing import Any

from memorywall.bench.pipe import Case

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


# The time of a case beyond its budget (building, warming up), as a share of it, and the start of a
# measuring process, in seconds; from the recorded runs (results/README.md).
_BEYOND_BUDGET, _STARTING_S = 0.6, 8.0


def expected_s(plan: list[Case]) -> float:
    """Return about how many seconds a plan takes."""
    return _STARTING_S + (1 + _BEYOND_BUDGET) * sum(case.budget_s for case in plan)


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


def brief_cases() -> list[Case]:
    """Return the cases of a brief measurement, all in NumPy and fp32: what a decode step runs.

    Reading from memory and a matrix product, the products of one row with weights from memory,
    attention of one query and the functions of GPT-2. The kernels that dominate a decode step are
    measured twice, at the beginning and at the end. The budgets add up to under 8 s.
    """
    heads = {"dtype": "fp32", "batch": 1, "heads": 16, "kv_heads": 16, "head_dim": 64}
    attentions = [
        _numpy_kernel("attention", 0.1, tokens=1, context=context, causal=False, **heads)
        for context in (16, 64, 256)
    ]
    functions = [
        _numpy_kernel("elementwise", 0.05, dtype="fp32", function=function, rows=rows, width=width)
        for function in ("add", "copy", "layernorm", "gelu_new")
        for rows, width in ((1, 64), (1, 1024), (1, 4096), (16, 1024))
    ]
    a_round = _brief_round()
    return [*a_round, *attentions, *functions, _numpy_kernel("launch", 0.05), *a_round]


def _brief_round() -> list[Case]:
    square = {"m": 1024, "n": 1024, "k": 1024}
    shapes = (
        ("conv1d", 640, 640), ("conv1d", 4096, 1024), ("conv1d", 1024, 4096),
        ("linear", 32768, 1024),
    )  # fmt: skip
    return [
        _numpy_kernel("stream", 0.4, function="read"),
        _numpy_kernel("gemm", 0.4, dtype="fp32", **square),
        *(
            _numpy_kernel(product, 0.6, dtype="fp32", rows=1, width=width, inner=inner)
            for product, width, inner in shapes
        ),
    ]


def _numpy_kernel(name: str, budget_s: float, **parameters: Any) -> Case:
    return Case("numpy", budget_s, {"name": name, **parameters})


def _round(*, quick: bool, caches: dict[str, int], device: str) -> list[Case]:
    """Return one round of the cases that give the ceilings."""
    budget = 0.25 if quick else 2.0
    if device != "cpu":
        return [*_gpu_streams(budget), *_gemms(_GPU_DTYPES, (4096, 8192), budget)]
    far = _beyond(caches)
    streams = [Case("stream", budget, {"function": f, "nbytes": far}) for f in STREAMS]
    sizes = _within(caches)
    sweep = [Case("sweep", budget / 4, {"nbytes": size}) for size in sizes]
    chases = [Case("chase", budget / 4, {"nbytes": size}) for size in [*sizes, far]]
    squares = (2048,) if quick else (2048, 4096)
    products = [*_gemms(_CPU_DTYPES, squares, budget), *_gemms(_CRAWLERS, (256,), budget / 4)]
    # NumPy uses another library, which may be faster.
    return [*streams, *sweep, *chases, *products, *_numpy(2048, budget)]


def _once(caches: dict[str, int], device: str) -> list[Case]:
    """Return the cases of a full measurement only: the sweep between levels, small squares."""
    if device != "cpu":
        return _gemms(_GPU_DTYPES, (1024, 2048), 0.5)
    sizes = [16 * _KIB * 2**step for step in range(20)]
    sweep = [
        Case("sweep", 0.5, {"nbytes": size})
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
    return [_kernel("stream", budget_s, function=f, count=1 << 28) for f in STREAMS[:-1]]


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
        Case("toy", budget_s, {"model_type": t, "layers": n, "dtype": dtype})
        for t in ("gpt2", "bert", "llama")
        for n in (2, 10)
    ]


def _kernel(name: str, budget_s: float, **parameters: Any) -> Case:
    return Case("kernel", budget_s, {"name": name, **parameters})

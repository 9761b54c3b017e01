"""The measuring process: a list of cases in, measurements as JSON lines out.

It is a separate process so that threads can be pinned before any library starts them, and so that a
case that runs out of memory or crashes stops only itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from memorywall.bench.timing import measure


def main() -> None:
    """Run the cases given on standard input, and answer each with a line."""
    order = json.load(sys.stdin)
    device, threads = order["device"], order["threads"]
    _set_threads(threads)
    for index, case in enumerate(order["cases"]):
        answer: dict[str, Any] = {"index": index}
        try:
            answer |= _run(case, device, threads)
        except Exception as error:  # noqa: BLE001 - reported, and the other cases continue
            answer["error"] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _set_threads(threads: int) -> None:
    try:
        import torch  # noqa: PLC0415 - the measuring process alone imports it

        torch.set_num_threads(threads)
        torch.manual_seed(0)
    except ImportError:
        pass


def _run(case: dict[str, Any], device: str, threads: int) -> dict[str, Any]:
    parameters = dict(case)
    kind, budget_s = parameters.pop("case"), parameters.pop("budget_s")
    return _KINDS[kind](parameters, budget_s, device, threads)


def _stream(case: dict[str, Any], budget_s: float, _device: str, _threads: int) -> dict[str, Any]:
    from memorywall.bench import streams  # noqa: PLC0415 - numba takes a second to import

    function = case["function"]
    each = streams.BYTES_PER_ELEMENT[function]
    count = case["nbytes"] // 8
    arrays = _arrays(count)[: each // 8]
    run = getattr(streams, function)
    found = measure(
        "stream", lambda: run(*arrays), moved_bytes=each * count, budget_s=budget_s,
        most_samples=60, **case,
    )  # fmt: skip
    return {"measurement": found.to_dict(), "page_size": streams.page_size(arrays[0])}


@lru_cache(maxsize=1)
def _arrays(count: int) -> list[Any]:
    """Return the three arrays of a triad; the streams of a round share them."""
    from memorywall.bench import streams  # noqa: PLC0415

    return [streams.allocate(count) for _ in range(3)]


def _sweep(case: dict[str, Any], budget_s: float, _device: str, threads: int) -> dict[str, Any]:
    from memorywall.bench import streams  # noqa: PLC0415

    # Every thread reads a private share as large as the working set, which is per core.
    array = streams.allocate(max(threads, case["nbytes"] // 8 * threads))
    times = max(1, (4 << 20) // case["nbytes"])
    found = measure(
        "sweep", lambda: streams.read_again(array, threads, times),
        moved_bytes=array.nbytes * times, budget_s=budget_s, **case,
    )  # fmt: skip
    return {"measurement": found.to_dict()}


def _chase(case: dict[str, Any], budget_s: float, _device: str, _threads: int) -> dict[str, Any]:
    from memorywall.bench import streams  # noqa: PLC0415

    ring, steps = streams.ring(case["nbytes"] // 8), 20_000
    found = measure(
        "chase", lambda: streams.chase(ring, steps), budget_s=budget_s, steps=steps, **case
    )
    return {"measurement": found.to_dict()}


def _kernel(case: dict[str, Any], budget_s: float, device: str, _threads: int) -> dict[str, Any]:
    import torch  # noqa: PLC0415

    from memorywall.bench import kernels  # noqa: PLC0415

    parameters = dict(case)
    name = parameters.pop("name")
    with torch.inference_mode():
        kernel = kernels.make(name, device, **parameters)
        synchronize = torch.cuda.synchronize if device != "cpu" else lambda: None
        found = measure(
            name, kernel.call, flops=kernel.flops, moved_bytes=kernel.moved_bytes,
            budget_s=budget_s, synchronize=synchronize, **parameters,
        )  # fmt: skip
    return {"measurement": found.to_dict()}


def _toy(case: dict[str, Any], budget_s: float, device: str, _threads: int) -> dict[str, Any]:
    from memorywall.bench import real_models  # noqa: PLC0415

    return {"measurement": real_models.time_toy(case, budget_s, device).to_dict()}


def _model(case: dict[str, Any], budget_s: float, device: str, _threads: int) -> dict[str, Any]:
    from memorywall.bench import real_models  # noqa: PLC0415

    found, by_class = real_models.time_model(case, budget_s, device)
    return {"measurement": found.to_dict(), "by_class": by_class}


_KINDS: dict[str, Callable[..., dict[str, Any]]] = {
    "stream": _stream,
    "sweep": _sweep,
    "chase": _chase,
    "kernel": _kernel,
    "toy": _toy,
    "model": _model,
}

if __name__ == "__main__":
    main()

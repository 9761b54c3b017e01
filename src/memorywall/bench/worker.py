"""The measuring process: a list of cases in, measurements as JSON lines out.

It is a separate process so that threads can be pinned before any library starts them, and so that a
case that runs out of memory or crashes stops only itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from memorywall.bench.pipe import Answer, Case, Order, Stage, read_order, say
from memorywall.bench.timing import measure


def main() -> None:
    """Run the cases of the order that comes on standard input, and answer each with a line."""
    order = read_order(sys.stdin)
    if any(case.kind not in _WITHOUT_TORCH for case in order.cases):
        _set_threads(order.threads)
    for case in order.cases:
        try:
            say(_KINDS[case.kind](case, order))
        except Exception as error:  # noqa: BLE001 - reported, and the other cases go on
            say(Answer(error=f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"))


def _set_threads(threads: int) -> None:
    try:
        import torch  # noqa: PLC0415 - the measuring process alone imports it

        torch.set_num_threads(threads)
        torch.manual_seed(0)
    except ImportError:
        pass


def _stream(case: Case, _order: Order) -> Answer:
    from memorywall.bench import streams  # noqa: PLC0415 - numba takes a second to import

    function = case.parameters["function"]
    each = streams.BYTES_PER_ELEMENT[function]
    count = case.parameters["nbytes"] // 8
    arrays = _arrays(count)[: each // 8]
    run = getattr(streams, function)
    found = measure(
        "stream", lambda: run(*arrays), moved_bytes=each * count, budget_s=case.budget_s,
        most_samples=60, **case.parameters,
    )  # fmt: skip
    return Answer(found, page_size=streams.page_size(arrays[0]))


@lru_cache(maxsize=1)
def _arrays(count: int) -> list[Any]:
    """Return the three arrays of a triad; the streams of a round share them."""
    from memorywall.bench import streams  # noqa: PLC0415

    return [streams.allocate(count) for _ in range(3)]


def _sweep(case: Case, order: Order) -> Answer:
    from memorywall.bench import streams  # noqa: PLC0415

    # Every thread reads a private share as large as the working set, which is per core.
    threads, nbytes = order.threads, case.parameters["nbytes"]
    array = streams.allocate(max(threads, nbytes // 8 * threads))
    times = max(1, (4 << 20) // nbytes)
    found = measure(
        "sweep", lambda: streams.read_again(array, threads, times),
        moved_bytes=array.nbytes * times, budget_s=case.budget_s, **case.parameters,
    )  # fmt: skip
    return Answer(found)


def _chase(case: Case, _order: Order) -> Answer:
    from memorywall.bench import streams  # noqa: PLC0415

    ring, steps = streams.ring(case.parameters["nbytes"] // 8), 20_000
    found = measure(
        "chase", lambda: streams.chase(ring, steps), budget_s=case.budget_s, steps=steps,
        **case.parameters,
    )  # fmt: skip
    return Answer(found)


def _kernel(case: Case, order: Order) -> Answer:
    import torch  # noqa: PLC0415

    from memorywall.bench import kernels  # noqa: PLC0415

    parameters = dict(case.parameters)
    name = parameters.pop("name")
    with torch.inference_mode():
        kernel = kernels.make(name, order.device, **parameters)
        synchronize = torch.cuda.synchronize if order.device != "cpu" else lambda: None
        found = measure(
            name, kernel.call, flops=kernel.flops, moved_bytes=kernel.moved_bytes,
            budget_s=case.budget_s, synchronize=synchronize, **parameters,
        )  # fmt: skip
    return Answer(found)


def _toy(case: Case, order: Order) -> Answer:
    from memorywall.bench import real_models  # noqa: PLC0415

    return Answer(real_models.time_toy(case.parameters, case.budget_s, order.device))


def _model(case: Case, order: Order) -> Answer:
    from memorywall.bench import real_models  # noqa: PLC0415

    found, by_class = real_models.time_model(
        case.parameters, case.budget_s, order.device, lambda stage: say(Stage(stage))
    )
    return Answer(found, by_class=by_class)


def _numpy(case: Case, _order: Order) -> Answer:
    from memorywall.bench import numpy_kernels  # noqa: PLC0415 - seldom needed

    parameters = dict(case.parameters)
    name = parameters.pop("name")
    kernel = numpy_kernels.make(name, **parameters)
    found = measure(
        name, kernel.call, flops=kernel.flops, moved_bytes=kernel.moved_bytes,
        budget_s=case.budget_s, most_samples=60, **parameters,
    )  # fmt: skip
    return Answer(found, library=numpy_kernels.blas())


def _numpy_gpt2(case: Case, _order: Order) -> Answer:
    from memorywall.bench.numpy_gpt2 import NumpyGpt2, random_weights  # noqa: PLC0415

    config, tokens = case.parameters["config"], case.parameters["new_tokens"]
    model = NumpyGpt2(config, random_weights(config))
    found = measure(
        "numpy_gpt2", lambda: model.generate(tokens), budget_s=case.budget_s, sample_s=0.0,
        new_tokens=tokens,
    )  # fmt: skip
    return Answer(found)


_WITHOUT_TORCH = ("numpy", "numpy_gpt2")

_KINDS: dict[str, Callable[[Case, Order], Answer]] = {
    "stream": _stream,
    "sweep": _sweep,
    "chase": _chase,
    "kernel": _kernel,
    "toy": _toy,
    "model": _model,
    "numpy": _numpy,
    "numpy_gpt2": _numpy_gpt2,
}

if __name__ == "__main__":
    main()

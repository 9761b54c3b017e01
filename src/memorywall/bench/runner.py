"""Run cases in a separate process with pinned threads; a crash stops one case only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

from memorywall.bench.pipe import Answer, Case, Order, Stage, hear, write_order


def answers(
    plan: list[Case],
    threads: int,
    device: str,
    stage: Callable[[int, str], object] = lambda _index, _stage: None,
) -> Iterator[tuple[Case, Answer]]:
    """Yield every case with its answer; if a worker dies its case fails, and the rest continue.

    ``stage`` is called with the index of a case in the plan and the stage that it enters, for
    cases that have stages: ``loading``, ``warming``, ``running``, ``splitting by operator``.
    """
    done = 0
    while done < len(plan):
        for line in _one_worker(plan[done:], threads, device):
            if isinstance(line, Stage):
                stage(done, line.stage)
                continue
            yield plan[done], line
            done += 1
        if done < len(plan):
            yield plan[done], Answer(error="the measuring process died, possibly out of memory")
            done += 1


def pinned(threads: int) -> dict[str, str]:
    """Return the environment that gives a process a number of threads, each on one core."""
    counts = (
        "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    )  # fmt: skip
    return {
        **dict.fromkeys(counts, str(threads)),
        "OMP_PROC_BIND": "true",
        "OMP_PLACES": "cores",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _one_worker(plan: list[Case], threads: int, device: str) -> Iterator[Answer | Stage]:
    """Yield the answers and stages of one process until it ends."""
    with subprocess.Popen(
        [sys.executable, "-m", "memorywall.bench.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **pinned(threads)},
    ) as worker:
        try:
            assert worker.stdin is not None
            assert worker.stdout is not None
            write_order(Order(device, tuple(plan), threads), worker.stdin)
            yield from hear(worker.stdout)
        finally:
            worker.kill()

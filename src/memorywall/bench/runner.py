"""Running cases in a process of their own with pinned threads; a crash takes one case only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from memorywall.bench.plan import Case


def answers(
    plan: list[Case],
    threads: int,
    device: str,
    stage: Callable[[int, str], object] = lambda _index, _stage: None,
) -> Iterator[tuple[Case, dict[str, Any]]]:
    """Yield every case with its answer; a worker that dies fails its case, and the rest go on.

    ``stage`` is called with the index of a case in the plan and the stage that it enters, for
    cases that have stages: ``loading``, ``warming``, ``running``, ``splitting by operator``.
    """
    done = 0
    while done < len(plan):
        for answer in _one_worker(plan[done:], threads, device):
            if "stage" in answer:
                stage(done, answer["stage"])
                continue
            yield plan[done], answer
            done += 1
        if done < len(plan):
            yield plan[done], {"error": "the measuring process died, perhaps for want of memory"}
            done += 1


def pinned(threads: int) -> dict[str, str]:
    """Return the environment that gives a process so many threads, each on a core of its own."""
    counts = (
        "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    )  # fmt: skip
    return {
        **dict.fromkeys(counts, str(threads)),
        "OMP_PROC_BIND": "true",
        "OMP_PLACES": "cores",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _one_worker(plan: list[Case], threads: int, device: str) -> Iterator[dict[str, Any]]:
    """Yield the answers of one process, as many as it lives to give, and stages between them."""
    order = {"device": device, "threads": threads, "cases": plan}
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
            json.dump(order, worker.stdin)
            worker.stdin.close()
            yield from map(json.loads, worker.stdout)
        finally:
            worker.kill()

"""Run cases in a separate process with pinned threads; a crash stops one case only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from memorywall.bench.plan import Case


def answers(plan: list[Case], threads: int, device: str) -> Iterator[tuple[Case, dict[str, Any]]]:
    """Yield every case with its answer; if a worker dies its case fails, and the rest continue."""
    done = 0
    while done < len(plan):
        for answer in _one_worker(plan[done:], threads, device):
            yield plan[done], answer
            done += 1
        if done < len(plan):
            yield plan[done], {"error": "the measuring process died, possibly out of memory"}
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


def _one_worker(plan: list[Case], threads: int, device: str) -> Iterator[dict[str, Any]]:
    """Yield the answers of one process until it ends."""
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

"""Running cases in a process of their own with pinned threads; a crash takes one case only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from memorywall.bench.plan import Case


def answers(plan: list[Case], threads: int, device: str) -> Iterator[tuple[Case, dict[str, Any]]]:
    """Yield every case with its answer; a worker that dies fails its case, and the rest go on."""
    start = 0
    while start < len(plan):
        worker = subprocess.Popen(
            [sys.executable, "-m", "memorywall.bench.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, **pinned(threads)},
        )  # fmt: skip
        done = start
        try:
            assert worker.stdin is not None
            assert worker.stdout is not None
            order = {"device": device, "threads": threads, "cases": plan[start:]}
            worker.stdin.write(json.dumps(order) + "\n")
            worker.stdin.flush()
            for line in worker.stdout:
                yield plan[done], json.loads(line)
                done += 1
        finally:
            worker.kill()
            worker.wait()
        if done < len(plan):
            yield plan[done], {"error": f"the measuring process ended (code {worker.returncode})"}
            done += 1
        start = done


def pinned(threads: int) -> dict[str, str]:
    """Return the environment that gives a process so many threads, each on a core of its own."""
    counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {
        **dict.fromkeys(counts, str(threads)),
        "OMP_PROC_BIND": "true",
        "OMP_PLACES": "cores",
        "TOKENIZERS_PARALLELISM": "false",
    }

"""Time one scenario, a million of them, and the command as a whole process; on one core.

    python benchmarks/analyze.py [--points N] [--out FILE]

Every figure is a median with its spread (fifth to ninety-fifth percentile) over repeats in this
run. The targets are those of the project; a shared machine can miss them for a while.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import memorywall as mw
from memorywall.core.files import write_text

MODEL, DEVICE = "meta-llama/Llama-3.1-8B", "h100-sxm"
SPARSE = "deepseek-ai/DeepSeek-V3"  # two kinds of layers, latent attention, experts


def main() -> None:
    """Run all and print a table, or write a record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, help="write the record as JSON here")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

    dense, sparse = scenario(MODEL), scenario(SPARSE)
    flat, outer = million(arguments.points)
    points = arguments.points
    ratios = [float(t / np.median(dense)) for t in sparse]
    rows = [
        row("one scenario", "us", [t * 1e6 for t in dense], "at most 200"),
        row("one of experts", "us", [t * 1e6 for t in sparse], "none"),
        row("experts / dense", "times", ratios, "at most 3"),
        row("flat points", "million/s", [points / t / 1e6 for t in flat], "at least 3"),
        row(
            "outer grid",
            "million/s",
            [round(points ** (1 / 3)) ** 3 / t / 1e6 for t in outer],
            "at least 3",
        ),
        row("whole process", "s", process(), "at most 0.35"),
    ]
    for entry in rows:
        print(
            f"{entry['what']:15} {entry['median']:8.3g} {entry['unit']:10}"
            f" ({entry['p5']:.3g} to {entry['p95']:.3g}); target {entry['target']}"
        )
    if arguments.out:
        machine = f"{platform.machine()}, {platform.python_implementation()} "
        record = {
            "command": "python benchmarks/analyze.py",
            "machine": machine + platform.python_version() + f", NumPy {np.__version__}",
            "rows": rows,
        }
        write_text(arguments.out, json.dumps(record, indent=2) + "\n")


def scenario(model: str) -> list[float]:
    """Time one decode of a model, all its totals and its footprint read."""

    def one() -> object:
        answer = mw.analyze(model, on=DEVICE, phase="decode", batch_size=8, seq_len=2048)
        return answer.latency_s, answer.bound, answer.footprint.total, answer.tokens_per_s

    return timed(one, repeats=2000)


def million(points: int) -> tuple[list[float], list[float]]:
    """Time decode over (batch, context, bandwidth): at random points, then on an outer grid."""
    rng = np.random.default_rng(0)
    batch = rng.integers(1, 257, points).astype(float)
    context = rng.integers(1, 131_073, points).astype(float)
    bandwidth = rng.uniform(1e12, 8e12, points)
    side = round(points ** (1 / 3))
    device = mw.hardware(DEVICE)

    def flat() -> object:
        on = device.replace(bandwidth=bandwidth)
        return mw.analyze(MODEL, on=on, batch_size=batch, seq_len=context).latency_s

    def outer() -> object:
        on = device.replace(bandwidth=bandwidth[:side])
        return mw.analyze(
            MODEL, on=on, batch_size=batch[:side, None, None], seq_len=context[:side, None]
        ).latency_s

    return timed(flat, repeats=7), timed(outer, repeats=7)


def process() -> list[float]:
    """Time ``memorywall analyze gpt2`` from start to exit."""
    command = [sys.executable, "-m", "memorywall", "analyze", "gpt2", "--on", DEVICE]

    def run() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    return timed(run, repeats=15)


def timed(call: Callable[[], object], repeats: int) -> list[float]:
    """Return the seconds of each of so many calls, after two to warm up."""
    call()
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def row(what: str, unit: str, values: list[float], target: str) -> dict[str, object]:
    """Return one line of the table."""
    p5, median, p95 = np.percentile(values, [5, 50, 95])
    return {"what": what, "unit": unit, "median": median, "p5": p5, "p95": p95, "target": target}


if __name__ == "__main__":
    main()

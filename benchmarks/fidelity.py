"""Are our ceilings the machine's? Ours and C's streams in turn, ours and the best of others' GEMM.

    python benchmarks/fidelity.py [--threads N] [--rounds R] [--out FILE]

C is compiled with the machine's own compiler for this processor, asks for the same pages, and runs
right before and after ours in every round; quoted are ratios within a round, median and range.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from memorywall.bench.machine import describe, usable_cores
from memorywall.bench.pipe import Case
from memorywall.bench.runner import answers, pinned
from memorywall.core.files import write_text

COUNT = 32 * 1024 * 1024
# The fastest of as many runs of one process, on either side.
SAMPLES = 60
SOURCE = Path(__file__).parent / "stream.c"
SQUARE = 2048


def main() -> None:
    """Run the rounds, print ratios, and write a record where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    threads = min(arguments.threads, usable_cores())
    environment = {**os.environ, **pinned(threads)}
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(Path(folder))
        rounds = [one_round(program, threads, environment) for _ in range(arguments.rounds)]
    rows = []
    for name in ("read", "triad", "gemm"):
        ratios = [r[f"{name}_ours"] / r[f"{name}_theirs"] for r in rounds]
        rates = [r[f"{name}_ours"] for r in rounds]
        rows.append(
            {
                "what": name,
                "median_ratio": statistics.median(ratios),
                "lowest": min(ratios),
                "highest": max(ratios),
                "median_rate": statistics.median(rates),
            }
        )
        unit = "GFLOP/s" if name == "gemm" else "GB/s"
        against = "the best of torch and NumPy" if name == "gemm" else "C"
        print(
            f"{name:6} {statistics.median(rates) / 1e9:7.1f} {unit}, "
            f"{statistics.median(ratios):.3f} of {against} "
            f"({min(ratios):.3f} to {max(ratios):.3f} over {len(ratios)} rounds)"
        )
    print(f"pages of our streams: {rounds[-1]['page_size']} bytes")
    if arguments.out:
        record = {
            "command": f"python benchmarks/fidelity.py --threads {threads}",
            "machine": describe(threads),
            "rows": rows,
            "rounds": rounds,
        }
        write_text(arguments.out, json.dumps(record, indent=1) + "\n")


def compiled(folder: Path) -> Path:
    """Compile the yardstick for this processor."""
    program = folder / "stream"
    flags = ["-O3", "-march=native", "-fopenmp", "-ffast-math"]
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("fidelity.py needs a C compiler on the path: cc")
    subprocess.run([compiler, *flags, str(SOURCE), "-o", str(program)], check=True)
    return program


def one_round(program: Path, threads: int, environment: dict[str, str]) -> dict[str, Any]:
    """Run C, ours, then C again; and our GEMM beside torch's and NumPy's own. Rates per second."""
    before = in_c(program, environment)
    plan = [
        Case("stream", 10.0, {"function": name, "nbytes": COUNT * 8}) for name in ("read", "triad")
    ]
    square = {"m": SQUARE, "n": SQUARE, "k": SQUARE}
    plan += [
        Case("kernel", 1.0, {"name": "gemm", "dtype": "fp32", **square, **library})
        for library in ({}, {"library": "numpy"})
    ]
    found = [answer for _, answer in answers(plan, threads, "cpu")]
    after = in_c(program, environment)
    ours: dict[str, float] = {}
    for name, answer in zip(("read", "triad", "gemm", "gemm"), found, strict=True):
        m = answer.measurement
        assert m is not None, answer.error
        work = m.flops if name == "gemm" else m.moved_bytes
        rate = work / min(m.seconds)
        ours[f"{name}_ours"] = max(rate, ours.get(f"{name}_ours", 0.0))
    # The mean of the runs before and after: each has separate memory, and the machine drifts.
    theirs = {
        f"{name}_theirs": COUNT * each / statistics.fmean((before[name], after[name]))
        for name, each in (("read", 8), ("triad", 24))
    }
    best = 2.0 * SQUARE**3 / in_python(environment)
    return {**ours, **theirs, "gemm_theirs": best, "page_size": found[0].page_size}


def in_c(program: Path, environment: dict[str, str]) -> dict[str, float]:
    """Return the best seconds of C's read and triad."""
    run = subprocess.run(
        [str(program), str(COUNT), str(SAMPLES)],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    lines = (line.split() for line in run.stdout.splitlines())
    return {words[0]: min(map(float, words[1:])) for words in lines if words[0] != "sum"}


def in_python(environment: dict[str, str]) -> float:
    """Return the best seconds of a square product by torch or NumPy, whichever is faster."""
    code = (
        "import time, numpy as np, torch, os\n"
        f"torch.set_num_threads(int(os.environ['OMP_NUM_THREADS'])); n = {SQUARE}\n"
        "a = torch.randn(n, n); b = torch.randn(n, n); x, y = a.numpy(), b.numpy()\n"
        "best = 1e9\n"
        "for call in (lambda: a @ b, lambda: x @ y):\n"
        "    for _ in range(6):\n"
        "        start = time.perf_counter(); call()\n"
        "        best = min(best, time.perf_counter() - start)\n"
        "print(best)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    return float(run.stdout)


if __name__ == "__main__":
    main()

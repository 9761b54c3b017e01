"""Time answers beside an earlier commit, in turn: one scenario, generation, grids, process start.

    python benchmarks/analyze.py [--beside COMMIT] [--rounds N] [--llm-viewer FOLDER] [--out FILE]

Each round times this checkout and the earlier commit one after the other, each in a separate
process on one core. A figure is the median of the rounds' ratios with the least and the largest;
below 1 this checkout is faster. ``--llm-viewer`` names a checkout of LLM-Viewer, whose own
arithmetic for Llama-3.1-8B is timed beside.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
EARLIER = "5f3f360"
MODEL, DEVICE = "meta-llama/Llama-3.1-8B", "h100-sxm"
SPARSE = "deepseek-ai/DeepSeek-V3"  # two kinds of layers, latent attention, experts
POINTS, SIDE = 1_000_000, 1000
# Target ratios: this checkout over commit 5f3f360; of the process, over `import numpy`.
TARGETS = {
    "one scenario": 0.12,
    "one of DeepSeek-V3": 0.12,
    "generate 2048 tokens": 0.05,
    "million unrelated points": 0.15,
    "grid of 1000 x 1000": 0.08,
    "process over import numpy": 1.2,
}


def main() -> None:
    """Time all cases in turn and print a table; write a record where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--beside", default=EARLIER, help="the commit to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--llm-viewer", type=Path, help="a checkout of LLM-Viewer")
    parser.add_argument("--out", type=Path, help="write the record as JSON here")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if arguments.child:
        sys.stdout.write(json.dumps({name: call() for name, call in cases().items()}))
        return
    with checkout(arguments.beside) as earlier:
        rounds = [one_round(earlier) for _ in range(arguments.rounds)]
    rows = summary(rounds)
    for row in rows:
        spread = f"({row['least']:.3f} to {row['most']:.3f})"
        print(f"{row['what']:26} {row['median']:7.3f} {spread:18} target {row['target']}")
    viewer = None
    if arguments.llm_viewer:
        viewer = llm_viewer(arguments.llm_viewer)
        ours = median(here["one scenario"] for here, _ in rounds)
        print(f"one scenario over LLM-Viewer's arithmetic: {ours / viewer:.2f}")
    if arguments.out:
        record = {
            "command": f"python benchmarks/analyze.py --beside {arguments.beside}",
            "machine": f"{platform.machine()}, Python {platform.python_version()}",
            "rounds": arguments.rounds,
            "rows": rows,
            "llm_viewer_s": viewer,
        }
        arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Check an earlier commit out beside this one; yield its folder."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "earlier"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(place), commit], check=True)
        try:
            yield place
        finally:
            subprocess.run([*git, "remove", "--force", str(place)], check=True)


def one_round(earlier: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Return the seconds of every case here and at the earlier commit, timed in turn."""
    here, there = child(ROOT), child(earlier)
    process = {root: whole_process(root) for root in (ROOT, earlier)}
    bare = timed(lambda: run([sys.executable, "-c", "import numpy"], ROOT), 7)
    here["process over import numpy"] = process[ROOT] / bare
    there["process over import numpy"] = process[earlier] / bare
    return here, there


def child(root: Path) -> dict[str, float]:
    """Return the seconds of every case by the code of a checkout, in a separate process."""
    answer = run([sys.executable, __file__, "--child"], root)
    found: dict[str, float] = json.loads(answer)
    return found


def run(command: list[str], root: Path) -> str:
    """Run a command with the package of a checkout, and return what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else the compiler is timed at every start
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return done.stdout


def whole_process(root: Path) -> float:
    """Return the seconds of ``memorywall analyze gpt2`` from start to exit."""
    command = [sys.executable, "-m", "memorywall", "analyze", "gpt2", "--on", DEVICE]
    return timed(lambda: run(command, root), 7)


def cases() -> dict[str, Callable[[], float]]:
    """Return what is timed in a process, by name: a call that returns the median seconds."""
    return {
        "one scenario": lambda: scenario(MODEL),
        "one of DeepSeek-V3": lambda: scenario(SPARSE),
        "generate 2048 tokens": generation,
        "million unrelated points": unrelated,
        "grid of 1000 x 1000": grid,
    }


def scenario(model: str) -> float:
    """Time one decode step of a model, its totals and its footprint read."""
    import memorywall as mw

    def one() -> object:
        answer = mw.analyze(model, on=DEVICE, phase="decode", batch_size=8, seq_len=2048)
        return answer.latency_s, answer.bound, answer.footprint.total, answer.tokens_per_s

    return timed(one, 1000)


def generation() -> float:
    """Time a generation of 2,048 tokens after 1,000."""
    import memorywall as mw

    def one() -> object:
        answer = mw.analyze(
            MODEL, on=DEVICE, phase="generate", batch_size=8, seq_len=1000, new_tokens=2048
        )
        return answer.latency_s, answer.footprint.total

    return timed(one, 50)


def unrelated() -> float:
    """Time decode steps at a million random batch sizes and contexts."""
    import numpy as np

    import memorywall as mw

    rng = np.random.default_rng(0)
    batch = rng.integers(1, 513, POINTS).astype(float)
    context = rng.integers(1, 32_769, POINTS).astype(float)
    return timed(
        lambda: mw.analyze(MODEL, on=DEVICE, batch_size=batch, seq_len=context).latency_s, 5
    )


def grid() -> float:
    """Time decode steps at 1,000 batch sizes by 1,000 contexts."""
    import numpy as np

    import memorywall as mw

    batch = np.arange(1.0, SIDE + 1)[:, None]
    context = 32 * np.arange(1.0, SIDE + 1)
    return timed(
        lambda: mw.analyze(MODEL, on=DEVICE, batch_size=batch, seq_len=context).latency_s, 5
    )


def timed(call: Callable[[], object], repeats: int) -> float:
    """Return the median seconds of a call, after two calls to warm up."""
    call()
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def summary(
    rounds: list[tuple[dict[str, float], dict[str, float]]],
) -> list[dict[str, float | str]]:
    """Return a row a case: the rounds' ratios, and the median seconds here."""
    rows: list[dict[str, float | str]] = []
    for name, target in TARGETS.items():
        over_numpy = name == "process over import numpy"
        ratios = [here[name] if over_numpy else here[name] / there[name] for here, there in rounds]
        rows.append(
            {
                "what": name,
                "median": median(ratios),
                "least": min(ratios),
                "most": max(ratios),
                "here": median(here[name] for here, _ in rounds),
                "earlier": median(there[name] for _, there in rounds),
                "target": target,
            }
        )
    return rows


def llm_viewer(folder: Path) -> float:
    """Return the seconds of one scenario by LLM-Viewer's arithmetic; its imports are stubbed.

    It reads a config through transformers, which is not part of its arithmetic: it receives the
    attributes that it reads, those of Llama-3.1-8B.
    """
    script = f"""
import sys, types, time, contextlib, io, statistics
stub = types.ModuleType("transformers")
stub.AutoTokenizer = stub.AutoModelForCausalLM = None
stub.AutoConfig = types.SimpleNamespace(from_pretrained=lambda *a, **k: types.SimpleNamespace(
    hidden_size=4096, num_attention_heads=32, num_key_value_heads=8, num_hidden_layers=32,
    intermediate_size=14336, vocab_size=128256))
sys.modules["transformers"] = stub
sys.path.insert(0, {str(folder)!r})
from model_analyzer import ModelAnalyzer
with contextlib.redirect_stdout(io.StringIO()):
    analyzer = ModelAnalyzer("meta-llama/Llama-3.1-8B", "nvidia_H100", "configs/Llama.py")
seconds = []
for turn in range(1000):
    start = time.perf_counter()
    analyzer.analyze(2048, 8)
    seconds.append(time.perf_counter() - start)
print(statistics.median(seconds))
"""
    return float(run([sys.executable, "-c", script], ROOT))


if __name__ == "__main__":
    main()

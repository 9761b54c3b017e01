"""Trace big models without their weights: seconds, memory and counts, beside other counters.

    python benchmarks/trace.py [--models NAME,NAME] [--out FILE]

Every model is traced in a separate process, on 2,048 tokens in bf16. Seconds are those of building
the module on the meta device and tracing it; memory is what the process grew by beyond importing
torch, transformers and the model's code. The table adds the counts of PyTorch's FlopCounterMode,
and of calflops and fvcore if installed, on the same module built again; counts of multiply-adds are
doubled. The models are those of transformers' config classes with the sizes that were published.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from memorywall.core.files import write_text

TOKENS = 2048
DENSE = {"max_position_embeddings": 131_072, "vocab_size": 128_256, "num_key_value_heads": 8}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2LMHeadModel", {"n_positions": 2048}),
    "llama-3.1-8b": (
        "LlamaForCausalLM", {**DENSE, "hidden_size": 4096, "intermediate_size": 14_336},
    ),
    "llama-3.1-405b": (
        "LlamaForCausalLM",
        {**DENSE, "hidden_size": 16_384, "intermediate_size": 53_248, "num_hidden_layers": 126,
         "num_attention_heads": 128},
    ),
    "mixtral-8x7b": ("MixtralForCausalLM", {"vocab_size": 32_000, "intermediate_size": 14_336}),
    "deepseek-v3": ("DeepseekV3ForCausalLM", {}),  # the defaults of its config class
}  # fmt: skip
LIMITS = {"llama-3.1-405b": "at most 3 s and 1 GB", "deepseek-v3": "at most 4 s"}


def main() -> None:
    """Trace every model in a separate process and print a table, or write a record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the record as JSON here")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one, "peers" in arguments.models)))
        return
    rows = [row(name, arguments.repeats) for name in arguments.models.split(",")]
    for entry in rows:
        print(line(entry))
    if arguments.out:
        record = {"command": "python benchmarks/trace.py", "tokens": TOKENS, "rows": rows}
        write_text(arguments.out, json.dumps(record, indent=2) + "\n")


def row(name: str, repeats: int) -> dict[str, Any]:
    """Trace one model several times, and count it once with the others."""
    runs = [run(name, "ours") for _ in range(repeats)]
    seconds = sorted(entry["seconds"] for entry in runs)
    peers = run(name, "peers")["peers"]
    return {
        "model": name, "seconds": seconds[len(seconds) // 2], "spread": [seconds[0], seconds[-1]],
        "grown_bytes": max(entry["grown_bytes"] for entry in runs), "flops": runs[0]["flops"],
        "operators": runs[0]["operators"], "unknown": runs[0]["unknown"],
        "limit": LIMITS.get(name, ""), "peers": peers,
    }  # fmt: skip


def run(name: str, what: str) -> dict[str, Any]:
    """Run this file in a separate process."""
    command = [sys.executable, __file__, "--one", name, "--models", what]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def one(name: str, peers: bool) -> dict[str, Any]:
    """Trace one model, or count it with the others, in this process."""
    import torch
    import transformers

    import memorywall as mw
    from memorywall.frontends.tracing import forward_trace  # noqa: F401

    class_name, sizes = MODELS[name]
    built = getattr(transformers, class_name)
    config = built.config_class(**sizes)
    transformers.logging.set_verbosity_error()
    if peers:
        return {"peers": count_with_others(built, config, torch)}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    traced = mw.trace(lambda: built(config), f"int64[1,{TOKENS}]", dtype="bf16", causal="full")
    seconds = time.perf_counter() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return {
        "seconds": seconds, "grown_bytes": grown, "flops": products(traced),
        "operators": traced.coverage.operators,
        "unknown": [unknown.op for unknown in traced.coverage.unknown],
    }  # fmt: skip


def products(traced: Any) -> int:
    """Return the FLOPs of matrix products: that is what the others count."""
    kinds = ("gemm", "attention", "conv")
    return int(sum(op.flops * n for _, op, n in traced.program.walk() if op.kind in kinds))


def count_with_others(built: Any, config: Any, torch: Any) -> dict[str, Any]:
    """Return FLOPs and seconds of every other counter, or why it gave none."""
    torch.set_default_dtype(torch.bfloat16)

    def module() -> tuple[Any, Any]:
        with torch.device("meta"):
            model = built(config).eval()
            return model, torch.ones((1, TOKENS), dtype=torch.int64)

    found = {}
    for name, count in (("torch", by_torch), ("calflops", by_calflops), ("fvcore", by_fvcore)):
        start = time.perf_counter()
        try:
            flops: object = int(count(*module()))
        except ImportError:
            flops = "not installed"
        except Exception as error:  # noqa: BLE001 - any error is reported as the result
            flops = f"{type(error).__name__}: {str(error)[:80]}"
        found[name] = {"flops": flops, "seconds": time.perf_counter() - start}
    return found


def by_torch(model: Any, ids: Any) -> int:
    """Count with torch.utils.flop_counter."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(ids)
    return int(counter.get_total_flops())


def by_calflops(model: Any, ids: Any) -> int:
    """Count with calflops, which counts FLOPs and multiply-adds apart."""
    from calflops import calculate_flops

    flops, _, _ = calculate_flops(
        model=model, kwargs={"input_ids": ids}, print_results=False, output_as_string=False
    )
    return int(flops)


def by_fvcore(model: Any, ids: Any) -> int:
    """Count with fvcore, whose FLOPs are multiply-adds; it wants a module that returns tensors."""
    import torch
    from fvcore.nn import FlopCountAnalysis

    class Logits(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: Any) -> Any:
            return self.model(ids, use_cache=False).logits

    analysis = FlopCountAnalysis(Logits(), ids.to("meta")).unsupported_ops_warnings(enabled=False)
    return 2 * int(analysis.total())


def line(entry: dict[str, Any]) -> str:
    """Return a model's line of the table."""
    low, high = entry["spread"]
    text = (
        f"{entry['model']:15} {entry['seconds']:6.2f} s ({low:.2f} to {high:.2f}) "
        f"{entry['grown_bytes'] / 1e6:7.0f} MB {entry['flops'] / 1e12:9.2f} TFLOP"
        f"  {entry['limit']}"
    )
    for name, other in entry["peers"].items():
        flops = other["flops"]
        said = flops if isinstance(flops, str) else f"{flops / 1e12:.2f} TFLOP"
        if not isinstance(flops, str):
            said += f" ({flops / entry['flops'] - 1:+.1%}), {other['seconds']:.2f} s"
        text += f"\n    {name:11} {said}"
    return text


if __name__ == "__main__":
    main()

"""How good are predictions for this machine? Real models over a grid, predicted and measured.

    python benchmarks/accuracy.py [--threads N] [--full] [--sheet DEVICE/CORES] [--out FILE]

The machine is measured before each model; models are in none of the fits, which know micro-
benchmarks only. Printed are the errors of the calibrated prediction, of the plain roofline of the
data sheet (the cores' share of the peaks, and all of the bandwidth) and of the one at the measured
ceilings, and how often the intervals held.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import memorywall as mw
from memorywall.answer.measure import measure_machine, save
from memorywall.answer.profile import profile
from memorywall.bench.timing import interval
from memorywall.core.files import write_text

# GPT-2-medium, BERT-Large, a small Llama and a small Qwen3 as the judges; the base models beside.
MODELS = (
    "gpt2", "bert-base-uncased", "gpt2-medium", "bert-large-uncased", "HuggingFaceTB/SmolLM2-135M",
    "Qwen/Qwen3-0.6B",
)  # fmt: skip


def main() -> None:
    """Measure, profile, sum up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--full", action="store_true", help="measure in full before")
    parser.add_argument("--sheet", default="epyc-9654/96", help="the data sheet, and its cores")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    name, _, cores = arguments.sheet.partition("/")
    sheet = share_of(name, int(cores), arguments.threads)
    cases: list[dict[str, Any]] = []
    for model in MODELS:
        # A shared machine drifts within minutes, so that it is measured before each model.
        machine = measure_machine(quick=not arguments.full, threads=arguments.threads)
        save(machine)
        found = profile(
            model,
            batch_sizes=(1, 2),
            seq_lens=(64, 256),
            dtypes=("fp32", "bf16"),
            threads=arguments.threads,
            budget_s=1.0,
        )
        cases += [
            {"model": model, **case, "sheet_s": on_sheet(model, sheet, case)}
            for case in found.to_dict()["cases"]
        ]
        report(model, [case for case in cases if case["model"] == model])
    report("all", cases)
    if arguments.out:
        record = {
            "command": f"python benchmarks/accuracy.py --threads {arguments.threads}",
            "sheet": arguments.sheet,
            "machine": machine.machine,
            "warnings": list(machine.warnings),
            "cases": cases,
        }
        write_text(arguments.out, json.dumps(record, indent=1) + "\n")


def share_of(name: str, cores: int, threads: int) -> mw.Hardware:
    """Return a data sheet with the peaks of as many of its cores as there are threads."""
    device = mw.hardware(name)
    share = threads / cores
    return device.replace(peaks={dtype: peak * share for dtype, peak in device.peaks.items()})


def on_sheet(model: str, sheet: mw.Hardware, case: dict[str, Any]) -> float:
    """Return the plain roofline of a case by the data sheet."""
    answer = mw.analyze(
        model, on=sheet, phase=case["phase"], batch_size=case["batch_size"],
        seq_len=case["seq_len"], weights=case["dtype"], activations=case["dtype"],
        kv_cache=case["dtype"], logits="all",
    )  # fmt: skip
    return float(answer.latency_s)


def summary(cases: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the statistics of some cases: errors as shares, and the coverage of the intervals."""
    ran = [case for case in cases if case["measured_s"]]
    errors = [abs(case["ratio"] - 1) for case in ran]
    inside = [case["low_s"] <= case["measured_s"] <= case["high_s"] for case in ran]
    widths = [(case["high_s"] - case["low_s"]) / 2 / case["predicted_s"] for case in ran]
    return {
        "cases": len(ran),
        "median": statistics.median(errors),
        "p90": interval(errors, 0.8)[1],
        "roofline": _median_error(ran, "roofline_s"),
        "sheet": _median_error(ran, "sheet_s"),
        "ratio": statistics.median(case["ratio"] for case in ran),
        "inside": statistics.fmean(inside),
        "width": statistics.median(widths),
    }


def _median_error(cases: Sequence[dict[str, Any]], by: str) -> float:
    return float(statistics.median(abs(case[by] / case["measured_s"] - 1) for case in cases))


def report(what: str, cases: Sequence[dict[str, Any]]) -> None:
    """Print errors and coverage of some cases."""
    said = summary(cases)
    print(
        f"{what:28} {said['cases']:3} cases: error {said['median']:.1%} median, "
        f"{said['p90']:.1%} at the 90th percentile (roofline: data sheet {said['sheet']:.0%}, "
        f"measured ceilings {said['roofline']:.0%}); ratio {said['ratio']:.2f}; "
        f"{said['inside']:.0%} within +-{said['width']:.0%}",
        flush=True,
    )


if __name__ == "__main__":
    main()

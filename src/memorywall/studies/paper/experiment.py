"""The case study's latencies on this machine: predicted, then measured.

What differs from the survey's run is said, not tuned away: another processor and number of threads,
PyTorch's eager mode, 32 bits, and whole models with their embedding and head. BERT's 512 positions
are extended, as the survey ignores them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import Any

from memorywall.answer.profile import profile
from memorywall.catalog.published import read
from memorywall.studies.paper.computation import LENGTHS as PUBLISHED_LENGTHS
from memorywall.studies.paper.computation import MODELS, published_config
from memorywall.studies.paper.findings import Latency, LengthCurve

# (sequence lengths at batch 1, batch sizes at 128 tokens), by how long they may take on one core.
GRIDS: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "quick": ((128, 256), ()),
    "default": ((128, 256, 512, 1024), (2, 4, 8, 16)),
    "full": (PUBLISHED_LENGTHS, (2, 4, 8, 16)),
}


def measure(
    grid: str = "default",
    *,
    threads: int | None = None,
    dtype: str = "fp32",
    backend: str = "cpu",
    progress: Callable[[int, int], object] = lambda _done, _total: None,
) -> dict[str, Any]:
    """Run the three models over a grid of ``GRIDS``; return the machine and each model's record.

    BERT encodes so many tokens at once; GPT-2 generates them from nothing.
    """
    lengths, batches = GRIDS[grid]
    shapes = [((1,), lengths), (batches, lengths[:1])]
    each = sum(len(sizes) * len(tokens) for sizes, tokens in shapes)
    cases: dict[str, list[dict[str, Any]]] = {model: [] for model in MODELS}
    record: dict[str, Any] = {}
    for index, model in enumerate(MODELS):
        for batch_sizes, seq_lens in shapes:
            if not batch_sizes:
                continue
            before = index * each + len(cases[model])
            record = profile(
                _config(model),
                phases=("generate" if model == "GPT-2" else "encode",),
                batch_sizes=batch_sizes,
                seq_lens=seq_lens,
                dtypes=(dtype,),
                threads=threads,
                backend=backend,
                progress=partial(_report, progress, before, each * len(MODELS)),
            )
            cases[model] += record["cases"]
    return {
        "hardware": record["hardware"],
        "machine": record["machine"],
        "dtype": dtype,
        "cases": cases,
    }


def _config(model: str) -> dict[str, Any]:
    config = published_config(model)
    if config["model_type"] == "gpt2":
        return {**config, "n_positions": 4096}
    return {**config, "max_position_embeddings": 4096, "architectures": ["BertModel"]}


def _report(
    progress: Callable[[int, int], object], before: int, total: int, ran: int, _of: int
) -> None:
    progress(before + ran, total)


def latencies(measured: Mapping[str, Any]) -> list[Latency]:
    """Return every case relative to BERT-Base at the first length, beside what is printed of it."""
    printed = {
        (row["model"], int(row["seq_len"])): float(row["latency"]) for row in read("survey_figures")
    }
    first = measured["cases"]["BERT-Base"][0]
    base_s = first["measured_s"]
    return [
        Latency(
            model,
            case["seq_len"],
            case["batch_size"],
            predicted=case["predicted_s"] / first["predicted_s"],
            measured=case["measured_s"] / base_s if base_s and case["measured_s"] else None,
            published=printed.get((model, case["seq_len"])) if case["batch_size"] == 1 else None,
            predicted_s=case["predicted_s"],
            measured_s=case["measured_s"],
        )
        for model, cases in measured["cases"].items()
        for case in cases
    ]


def with_measured(curves: Sequence[LengthCurve], rows: Sequence[Latency]) -> list[LengthCurve]:
    """Return the curves with the latency panel's replaced by this machine's at batch 1."""
    return [_here(curve, rows) if curve.quantity == "latency" else curve for curve in curves]


def _here(curve: LengthCurve, rows: Sequence[Latency]) -> LengthCurve:
    """Return the panel's curve up to the first length that did not run."""
    mine = [row for row in rows if row.model == curve.model and row.batch_size == 1]
    ran = [(r.predicted, r.measured) for r in takewhile(lambda r: r.measured, mine) if r.measured]
    predicted, measured = zip(*ran, strict=True) if ran else ((), ())
    return LengthCurve(
        curve.model, "latency here", curve.lengths, predicted, curve.published, measured
    )

"""The case study's latencies on this machine: predicted, then measured.

The differences from the survey's run are reported, not tuned away: another processor and number of
threads, PyTorch's eager mode, 32 bits, and whole models with their embedding and head. BERT's 512
positions are extended, as the survey ignores them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import Any

from memorywall.answer.profile import profile
from memorywall.bench.profiles import ProfiledCase
from memorywall.studies.paper.computation import LENGTHS as PUBLISHED_LENGTHS
from memorywall.studies.paper.computation import MODELS, published_config
from memorywall.studies.paper.findings import Experiment, Latency, LengthCurve

# (sequence lengths at batch 1, batch sizes at 128 tokens), by how long they may take on one core.
GRIDS: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "quick": ((128, 256), ()),
    "default": ((128, 256, 512, 1024), (2, 4, 8, 16)),
    "long": (PUBLISHED_LENGTHS, (2, 4, 8, 16)),
}


def measure(
    grid: str = "default",
    *,
    threads: int | None = None,
    dtype: str = "fp32",
    backend: str = "cpu",
    progress: Callable[[int, int], object] = lambda _done, _total: None,
    stage: Callable[[str], object] = lambda _stage: None,
) -> Experiment:
    """Run the three models over a grid of ``GRIDS``, each predicted before it runs.

    BERT encodes a length at once; GPT-2 generates it, token by token, from nothing.
    """
    lengths, batches = GRIDS[grid]
    shapes = [((1,), lengths), (batches, lengths[:1])]
    each = sum(len(sizes) * len(tokens) for sizes, tokens in shapes)
    cases: dict[str, tuple[ProfiledCase, ...]] = dict.fromkeys(MODELS, ())
    hardware, machine = "", dict[str, Any]()
    for index, model in enumerate(MODELS):
        for batch_sizes, seq_lens in shapes:
            if not batch_sizes:
                continue
            before = index * each + len(cases[model])
            found = profile(
                _config(model),
                phases=("generate" if model == "GPT-2" else "encode",),
                batch_sizes=batch_sizes,
                seq_lens=seq_lens,
                dtypes=(dtype,),
                threads=threads,
                backend=backend,
                progress=partial(_report, progress, before, each * len(MODELS)),
                stage=partial(_enter, stage, model),
            )
            cases[model] += found.cases
            hardware, machine = found.hardware, dict(found.machine)
    return Experiment(hardware, machine, dtype, cases)


def _config(model: str) -> dict[str, Any]:
    config = published_config(model)
    if config["model_type"] == "gpt2":
        return {**config, "n_positions": 4096}
    return {**config, "max_position_embeddings": 4096, "architectures": ["BertModel"]}


def _enter(stage: Callable[[str], object], model: str, name: str) -> None:
    stage(f"{model}: {name}")


def _report(
    progress: Callable[[int, int], object], before: int, total: int, ran: int, _of: int
) -> None:
    progress(before + ran, total)


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

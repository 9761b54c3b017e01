"""The case study's latencies on this machine: predicted, then measured.

What differs from the survey's run is said, not tuned away: another processor and number of threads,
PyTorch's eager mode, 32 bits, and whole models with their embedding and head. BERT's 512 positions
are extended, as the survey ignores them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from memorywall.app.profile import profile
from memorywall.app.studies.paper import MODELS, published_config
from memorywall.core.comparison import Curve

LENGTHS = (128, 256, 512, 1024)


def measure(
    lengths: Sequence[int] = LENGTHS,
    *,
    threads: int | None = None,
    dtype: str = "fp32",
    progress: Callable[[int, int], object] = lambda _done, _total: None,
) -> dict[str, list[dict[str, Any]]]:
    """Return for each model its cases over the lengths, predicted and measured on this machine.

    BERT encodes so many tokens at once; GPT-2 generates them from nothing.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    total = len(MODELS) * len(lengths)
    for index, model in enumerate(MODELS):
        config = published_config(model)
        if config["model_type"] == "gpt2":
            config = {**config, "n_positions": 4096}
        else:
            config = {**config, "max_position_embeddings": 4096, "architectures": ["BertModel"]}
        record = profile(
            config,
            phases=("generate" if config["model_type"] == "gpt2" else "encode",),
            seq_lens=lengths,
            dtypes=(dtype,),
            threads=threads,
            progress=partial(_report, progress, index * len(lengths), total),
        )
        found[model] = record["cases"]
    return found


def _report(
    progress: Callable[[int, int], object], before: int, total: int, ran: int, _of: int
) -> None:
    progress(before + ran, total)


def with_measured(
    curves: Sequence[Curve], measured: dict[str, list[dict[str, Any]]]
) -> list[Curve]:
    """Return the curves with the latency panel's replaced by this machine's.

    Predictions and measurements are each relative to BERT-Base at the first length.
    """
    first = measured["BERT-Base"][0]
    others = [curve for curve in curves if curve.quantity != "latency"]
    here = []
    for curve in curves:
        if curve.quantity == "latency":
            cases = [case for case in measured[curve.model] if case["measured_s"]]
            count = len(cases)
            here.append(
                Curve(
                    curve.model,
                    "latency here",
                    curve.lengths[:count],
                    tuple(case["predicted_s"] / first["predicted_s"] for case in cases),
                    curve.published[:count],
                    tuple(case["measured_s"] / first["measured_s"] for case in cases),
                )
            )
    return others + here

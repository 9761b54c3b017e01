"""Fig. 4 of "AI and Memory Wall": the training memory of eight models, traced.

Its bars are parameters, the optimizer's states and features; gradients are left out. Features are
what PyTorch keeps of a forward pass in 32 bits, the inputs apart, as it does on a CPU: there
dropout keeps masks of 4 bytes, on a GPU of 1. The modules are transformers' where it has them, else
those of ``examples/cnns.py``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

from memorywall.answer import trace as door
from memorywall.catalog.published import read
from memorywall.core.comparison import DIFFERS, EXPLAINED, judge
from memorywall.core.errors import MissingDependencyError, UnknownNameError
from memorywall.core.training import TrainingMemory
from memorywall.studies.memory.findings import Bar, TrainingBars
from memorywall.studies.memory.question import SOURCES

PARTS = ("parameters", "optimizer", "features")
TOLERANCES = {"parameters": 0.03, "optimizer": 0.03, "features": 0.15}
ATTENTION = ("sdpa", "eager")

_GIB = 2**30
_OPTIMIZERS: Mapping[str, tuple[str, dict[str, float]]] = {
    "SGD with momentum": ("sgd", {"momentum": 0.9}),
    "Adam": ("adam", {}),
}
_ROUNDED = (
    "the printed 1.32 and 2.64 are 330 million, the source's rounding, x 4 and 8 bytes in 10^9; "
    "the other seven are in 2^30. In 10^9 ours are 1.341 and 2.681, +1.6 %"
)
_TOO_MANY = (
    "no kernel of attention keeps 11.78 at the stated 6 x 512: fused 2.91, eager 7.94. At four "
    "times the batch, 24 x 512, a fused one keeps 11.65"
)
_EAGER = (
    "eager attention keeps every score, its dropout mask and what that leaves of it; the printed "
    "features have room for no such arrays"
)
# Why a part is outside its tolerance, by model, part and kernel of attention.
_REASONS = {
    ("BERT-Large", "parameters", "sdpa"): _ROUNDED,
    ("BERT-Large", "optimizer", "sdpa"): _ROUNDED,
    ("BERT-Large", "parameters", "eager"): _ROUNDED,
    ("BERT-Large", "optimizer", "eager"): _ROUNDED,
    ("BERT-Large", "features", "eager"): _EAGER,
    ("GPT-2", "features", "eager"): _EAGER,
    ("Transformer Big", "features", "sdpa"): _TOO_MANY,
    ("Transformer Big", "features", "eager"): _TOO_MANY,
}


def compare(
    attention: str = "sdpa", progress: Callable[[int, int], object] = lambda _done, _total: None
) -> TrainingBars:
    """Trace the figure's eight models, and return ours beside the published parts.

    Args:
        attention: ``sdpa`` for a fused kernel, which keeps its output and a row of sums, or
            ``eager``, which keeps every score and its dropout.
        progress: called with how many models are done, and of how many.

    Raises:
        MissingDependencyError: PyTorch or transformers is not installed.
    """
    rows = read("fig4_memory")
    bars = []
    for done, row in enumerate(rows):
        progress(done, len(rows))
        bars.append(_bar(row, trace(row["model"], None, attention), attention))
    progress(len(rows), len(rows))
    return TrainingBars(attention, tuple(bars))


def trace(model: str, batch: int | None = None, attention: str = "sdpa") -> TrainingMemory:
    """Trace two steps of one of the figure's models with its optimizer.

    Args:
        model: its name in the figure.
        batch: None for the stated one.
        attention: as in ``compare``.

    Raises:
        MissingDependencyError: PyTorch or transformers is not installed.
        UnknownNameError: no such model or kernel.
    """
    if attention not in ATTENTION:
        raise UnknownNameError("attention", attention, ATTENTION)
    if model not in SOURCES:
        raise UnknownNameError("model of the figure", model, SOURCES)
    if not all(importlib.util.find_spec(name) for name in ("torch", "transformers")):
        raise MissingDependencyError("torch or transformers", "training", "tracing the models")
    row = next(row for row in read("fig4_memory") if row["model"] == model)
    optimizer, options = _OPTIMIZERS[row["optimizer"]]
    length = int(row["input"])
    factory, inputs = SOURCES[model](batch or int(row["batch"]), length, attention)
    memory = door.trace(
        factory, named=inputs, phase="train", optimizer=optimizer, optimizer_options=options,
        loss=_loss,
    ).memory  # fmt: skip
    assert memory is not None
    return memory


def _bar(row: Mapping[str, str], traced: TrainingMemory, attention: str) -> Bar:
    most = traced.most
    ours = {
        "parameters": most["weights"] / _GIB,
        "optimizer": most["optimizer_states"] / _GIB,
        "features": traced.activations / _GIB,
    }
    published = {part: row[f"{part}_GB"] for part in PARTS}
    verdicts = {part: judge(published[part], ours[part], TOLERANCES[part]) for part in PARTS}
    reasons = {
        part: _REASONS[row["model"], part, attention]
        for part in PARTS
        if verdicts[part] == DIFFERS and (row["model"], part, attention) in _REASONS
    }
    size = row["input"]
    return Bar(
        model=row["model"],
        setting=f"{row['batch']} x {size}" + (f" x {size}" if _reads_images(row) else " tokens"),
        optimizer=row["optimizer"],
        published=published,
        ours=ours,
        verdicts=verdicts | dict.fromkeys(reasons, EXPLAINED),
        reason="; ".join(dict.fromkeys(reasons.values())),
        gradients=most["gradients"] / _GIB,
        peak=traced.peak_bytes / _GIB,
        parameters=traced.parameters,
        limit=float(row["gpu_limit_GB"]),
    )


def _reads_images(row: Mapping[str, str]) -> bool:
    return row["optimizer"] == "SGD with momentum"


def _loss(output: Any) -> Any:
    """Return the output's own loss, or cross-entropy with the first class where it has none."""
    import torch  # noqa: PLC0415 - an extra

    own = getattr(output, "loss", None)
    if own is not None:
        return own
    scores = getattr(output, "logits", output)
    labels = torch.zeros(len(scores), dtype=torch.int64, device=scores.device)
    return torch.nn.functional.cross_entropy(scores, labels)

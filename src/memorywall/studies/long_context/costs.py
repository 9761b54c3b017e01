"""The cost of one model on one device at some contexts, in the terms of the study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from memorywall.answer.analyze import analyze
from memorywall.answer.settle import applicable
from memorywall.core.analysis import Analysis
from memorywall.core.hardware import Hardware
from memorywall.core.model import Model
from memorywall.core.numbers import Array
from memorywall.studies.long_context.findings import ROLES, Limit, Prefills, Steps
from memorywall.studies.long_context.thresholds import LONGEST

# The limit of an infinite batch, in which weights have no cost per sequence.
ENDLESS = 2.0**34
_LINEAR = ("gemm", "conv", "scan")


@dataclass(frozen=True, slots=True)
class ModelOnDevice:
    """One model on one device; batch and contexts may be arrays of one shape."""

    model: Model
    hardware: Hardware
    formats: dict[str, str | None]

    def decode(self, batch: Any, contexts: Any) -> Analysis:
        """Return what decode steps cost at batch sizes and contexts, in tokens."""
        return self._ask("decode", batch, contexts)

    def prefill(self, contexts: Any) -> Analysis:
        """Return what prefills of one sequence cost at contexts, in tokens."""
        return self._ask("prefill", 1, contexts)

    def _ask(self, phase: str, batch: Any, contexts: Any) -> Analysis:
        return analyze(
            self.model, on=self.hardware, phase=phase, batch_size=batch, seq_len=contexts,
            activations="bf16", ceilings="spec",
            **applicable(self.model, phase, self.formats),
        )  # fmt: skip


def kind_of(model: Model, hardware: Hardware) -> str:
    """Return how a model looks back, as its memory shows: what it keeps, and how that grows."""
    asked = ModelOnDevice(model, hardware, {"weights": "bf16", "kv_cache": "bf16", "state": None})
    first, last = growth(asked, 1), growth(asked, LONGEST)
    if model.traits.state is not None:
        return "state only" if not first else "hybrid" if last else "state and window"
    if last < first:
        return "windows and full" if last else "sliding window"
    if model.traits.latent:
        return "MLA"
    # In 16 bit attention does one FLOP per byte for each head that shares keys and values.
    shared = intensity_of(asked.decode(1, LONGEST), "attention", "kv_cache")
    return "full attention" if shared is None or round(shared) <= 1 else "GQA"


def most_that_fit(asked: ModelOnDevice, contexts: Array) -> Array:
    """Return the largest batch that fits at each context; all but weights grow with the batch."""
    footprint = asked.decode(1, contexts).footprint
    each = footprint.total - footprint.weights
    free = asked.hardware.usable - footprint.weights  # type: ignore[operator]
    return np.maximum(np.floor(free / each), 0)


def steps_at(asked: ModelOnDevice, batch: int | Array, contexts: Array) -> Steps:
    """Return decode at each context; nothing is known of where no sequence fits."""
    asked_for = np.broadcast_to(np.asarray(batch, dtype=np.float64), contexts.shape)
    size = np.maximum(asked_for, 1)
    answer = asked.decode(size, contexts)
    there = np.where(asked_for > 0, 1.0, np.nan)
    moved, footprint = _moved(answer), answer.footprint
    return Steps(
        batch=asked_for,
        **{f"{role}_bytes": there * moved[role] / size for role in ROLES},
        seconds=there * answer.latency_s,
        arithmetic_intensity=there * answer.arithmetic_intensity,
        compute_bound=compute_bound(answer) & (asked_for > 0),
        cache=there * footprint.kv_cache,
        state=there * footprint.state,
        activations=there * footprint.activations,
        resident=there * footprint.total,
        fits=np.asarray(footprint.fits) & (asked_for > 0),
    )


def prefills_at(asked: ModelOnDevice, contexts: Array) -> Prefills:
    """Return the prefills of one sequence at contexts, in tokens."""
    answer = asked.prefill(contexts)
    return Prefills(
        seconds=np.asarray(answer.latency_s),
        attention_share=np.asarray(attention_share(answer)),
        compute_bound=compute_bound(answer),
    )


def _moved(answer: Analysis) -> dict[str, Array]:
    """Return the bytes of a pass by role."""
    moved = dict.fromkeys(ROLES, np.zeros(answer.question.shape))
    for op in answer.ops:
        for role, size in op.traffic.items():
            moved[role] = moved[role] + size
    return moved


def cache_passes(answer: Analysis) -> bool:
    """Return whether a step moves more bytes of cache and state than of weights."""
    moved = _moved(answer)
    return bool(moved["kv_cache"] + moved["state"] > moved["weight"])


def attention_share(answer: Analysis) -> Any:
    """Return what part of the FLOPs of products and scans are attention's products."""
    attention = _flops(answer, ("attention",))
    return attention / (attention + _flops(answer, _LINEAR))


def _flops(answer: Analysis, kinds: Sequence[str]) -> Any:
    return sum(op.flops for op in answer.ops if op.kind in kinds)


def compute_bound(answer: Analysis) -> Array:
    """Return whether a pass does more FLOPs per byte than the ridge point, as a whole."""
    return np.asarray(answer.cost.compute_s > answer.cost.memory_s)


def leaves_filled(asked: ModelOnDevice, contexts: Array) -> Array:
    """Return, by context, whether the largest batch that fits is compute-bound."""
    return steps_at(asked, most_that_fit(asked, contexts), contexts).compute_bound


def growth(asked: ModelOnDevice, context: int) -> float:
    """Return the bytes of cache that one position more takes."""
    now, then = (asked.decode(1, n).footprint.kv_cache for n in (context, context + 1))
    return float(then - now)


def intensity_of(answer: Analysis, kind: str, role: str) -> float | None:
    """Return the FLOPs of a kind of operators per byte that they move of a role, if any."""
    moved = sum(op.traffic.get(role, 0) for op in answer.ops if op.kind == kind)
    return float(_flops(answer, (kind,)) / moved) if moved else None


def limit_at(asked: ModelOnDevice, context: int) -> Limit:
    """Return what a token costs each sequence of a batch without end."""
    answer = asked.decode(ENDLESS, context)
    bandwidth = float(asked.hardware.bandwidth) * ENDLESS
    seconds = {role: float(moved) / bandwidth for role, moved in _moved(answer).items()}
    return Limit(
        context=context,
        arithmetic_s=float(answer.cost.compute_s) / ENDLESS,
        cache_s=seconds["kv_cache"],
        state_s=seconds["state"],
        other_s=seconds["weight"] + seconds["activation"],
    )

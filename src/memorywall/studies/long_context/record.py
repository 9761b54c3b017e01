"""The study of long contexts as a record."""

from __future__ import annotations

import math
from typing import Any

from memorywall.core.numbers import Array
from memorywall.studies.long_context.findings import ROLES, LongContext, LongContexts, Span, Steps
from memorywall.studies.long_context.sentences import sentence, verdict

NOTES = (
    "Kernels reach part of the ceilings, and launching each takes time that is not counted.",
    "Scans are priced at the peak of matrix units, of which elementwise recurrences reach little.",
    "Time to first token is of one uninterrupted pass, whether or not its activations fit.",
    "What a model still knows of what it read is not asked: a window or a state forgets.",
)


def long_contexts_record(study: LongContexts) -> dict[str, Any]:
    """Return the study as plain values: bytes, seconds; null where no sequence fits."""
    return {
        "hardware": study.hardware.name,
        "ridge_point": study.ridge_point,
        "capacity": float(study.hardware.capacity or 0),
        "bandwidth": float(study.hardware.bandwidth),
        "batch_size": study.batch_size,
        "contexts": list(study.contexts),
        "verdict": verdict(study),
        "models": [_model_record(model, study) for model in study.models],
        "conventions": dict(study.conventions),
        "notes": list(NOTES),
    }


def _model_record(model: LongContext, study: LongContexts) -> dict[str, Any]:
    prefills = model.prefills
    return {
        **{name: getattr(model, name) for name in _PLAIN},
        "verdict": sentence(model, study),
        **{name: _span(getattr(model, name)) for name in _SPANS},
        "limit": {name: getattr(model.limit, name) for name in model.limit.__slots__},
        "decode": _steps(model.steps),
        "decode_filled": _steps(model.filled),
        "prefill": {
            "ttft_s": _listed(prefills.seconds),
            "attention_share": _listed(prefills.attention_share),
            "compute_bound": prefills.compute_bound.tolist(),
        },
    }


_PLAIN = (
    "model", "kind", "parameters", "active_parameters", "max_positions", "weights",
    "cache_per_token", "cache_growth", "cache_intensity", "state_intensity", "cache_passes",
    "memory_full", "attention_passes",
)  # fmt: skip
_SPANS = ("leaves", "leaves_filled", "leaves_ever")


def _steps(steps: Steps) -> dict[str, Any]:
    arrays = {
        "batch_size": steps.batch,
        **{f"{role}_bytes": steps.moved[role] for role in ROLES},
        "moved_bytes": steps.moved_bytes,
        "cache_share": steps.cache_share,
        "tpot_s": steps.seconds,
        "tokens_per_s": steps.tokens_per_s,
        "arithmetic_intensity": steps.arithmetic_intensity,
        "resident_cache": steps.cache,
        "resident_state": steps.state,
        "resident_activations": steps.activations,
        "resident": steps.resident,
    }
    return {
        **{name: _listed(array) for name, array in arrays.items()},
        "compute_bound": steps.compute_bound.tolist(),
        "fits": steps.fits.tolist(),
    }


def _span(span: Span | None) -> list[int | None] | None:
    return None if span is None else [span.first, span.last]


def _listed(array: Array) -> list[float | None]:
    return [None if math.isnan(value) else value for value in array.tolist()]

"""Decode and prefill from 1k to 1M positions, one model of each kind, of like size.

Of each model: bytes a token by role, memory, time, where its cache passes its weights, where the
memory is full, and where decode leaves the memory roof: at the batch that is asked for, at the
largest that fits, and in a batch without end, in which weights cost a token nothing and only what
is each sequence's own is left: its cache and state against its arithmetic. A pass has left the roof
where it does more FLOPs per byte, as a whole, than the ridge point. (`Analysis.bound` is per
operator, and prices the scores and the values of attention separately; one kernel does both.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from memorywall.answer.analyze import HardwareSource, ModelSource, load_hardware
from memorywall.core.errors import InvalidInputError, UnsupportedError, shown
from memorywall.core.model import Model
from memorywall.core.numbers import as_count
from memorywall.core.parameters import PARAMETERS
from memorywall.frontends.hf import load_model
from memorywall.studies.long_context.costs import (
    ENDLESS,
    ModelOnDevice,
    attention_share,
    cache_passes,
    compute_bound,
    growth,
    intensity_of,
    kind_of,
    leaves_filled,
    limit_at,
    most_that_fit,
    prefills_at,
    steps_at,
)
from memorywall.studies.long_context.findings import LongContext, LongContexts
from memorywall.studies.long_context.sentences import sentence, verdict
from memorywall.studies.long_context.thresholds import first_context, span_of

CONTEXTS = tuple(2**power for power in range(10, 21))
# One of each kind, of 7 to 9 billion parameters; DeepSeek-V2-Lite has 16, and uses 2.7 a token.
MODELS = (
    "llama-2-7b-hf",
    "llama-3.1-8b",
    "deepseek-v2-lite",
    "mistral-7b-v0.1",
    "nemotron-h-8b-base-8k",
    "recurrentgemma-9b",
    "mamba-codestral-7b-v0.1",
)

NOTES = (
    "Kernels reach part of the ceilings, and launching each takes time that is not counted.",
    "Scans are priced at the peak of matrix units, of which elementwise recurrences reach little.",
    "Time to first token is of one uninterrupted pass, whether or not its activations fit.",
    "The quality of the model is not considered: a window or a state forgets.",
)


def long_contexts(
    models: Sequence[ModelSource] = MODELS,
    *,
    on: HardwareSource = "h100-sxm",
    batch_size: int = 1,
    contexts: Sequence[int] = CONTEXTS,
    weights: str = "bf16",
    kv_cache: str = "bf16",
    state: str | None = None,
) -> LongContexts:
    """Return what decode and prefill of each model cost over the context.

    Args:
        models: names, paths, configs or hub ids of models that generate.
        on: a device whose capacity is known.
        batch_size: sequences of the decode steps.
        contexts: positions, in rising order.
        weights, kv_cache, state: formats in memory, the same for all models; state by default in
            what each architecture prescribes. Activations and arithmetic are bf16.

    Raises:
        MemoryWallError: a name or a value that cannot be used; see its hint.
    """
    hardware = load_hardware(on)
    if hardware.usable is None:
        raise InvalidInputError(
            f"{hardware.name} has no known capacity, which the study fills.",
            "Pass a custom TOML with it: --on ./device.toml",
        )
    lengths = _checked(contexts)
    batch = int(as_count(batch_size, "batch_size"))
    formats = {"weights": weights, "kv_cache": kv_cache, "state": state}
    decoders = [_decoder(model) for model in models]
    _refuse_unused("state", state, decoders)
    _refuse_unused("kv_cache", None if kv_cache == "bf16" else kv_cache, decoders)
    found = [
        _long_context(ModelOnDevice(model, hardware, formats), lengths, batch) for model in decoders
    ]
    study = LongContexts(
        hardware=hardware.name,
        ridge_point=float(hardware.ridge_point("bf16")),
        capacity=float(hardware.usable),
        bandwidth=float(hardware.bandwidth),
        batch_size=batch,
        contexts=lengths,
        conventions={
            "weights": weights,
            "kv_cache": kv_cache,
            "state": state or "as prescribed",
            "activations": "bf16",
            "arithmetic": hardware.arithmetic("bf16"),
            "traffic": "fused",
            "causal": "half",
        },
        models=tuple(found),
        notes=NOTES,
    )
    models_told = tuple(replace(model, verdict=sentence(model, study)) for model in study.models)
    return replace(study, models=models_told, verdict=verdict(study))


def _checked(contexts: Sequence[int]) -> tuple[int, ...]:
    lengths = tuple(int(as_count(context, "contexts")) for context in contexts)
    if not lengths or list(lengths) != sorted(set(lengths)):
        raise InvalidInputError(
            f"contexts must be lengths in rising order, got {list(contexts)}",
            "Such as: --contexts 1024,32768,1048576",
        )
    return lengths


def _refuse_unused(name: str, asked: str | None, models: Sequence[Model]) -> None:
    """Refuse a format that applies to none of the models.

    Raises:
        InvalidInputError: it is asked for, and no model has what it requires.
    """
    requires = PARAMETERS[name].requires
    if asked is None or requires is None or any(requires.holds(m.traits) for m in models):
        return
    raise InvalidInputError(
        f"{name} requires {requires.words}, which none of the models has; got {shown(asked)}.",
        f"Leave {name} out.",
    )


def _decoder(source: ModelSource) -> Model:
    model = load_model(source)
    if not model.causal or model.traits.source is not None:
        raise UnsupportedError(
            f"{model.name} must be a decoder of text of any length.",
            f"Such as: {', '.join(MODELS)}",
        )
    return model


def _long_context(asked: ModelOnDevice, contexts: tuple[int, ...], batch: int) -> LongContext:
    """Return one model over the contexts."""
    lengths, longest = np.array(contexts, dtype=np.float64), contexts[-1]
    last, model = asked.decode(1, longest), asked.model
    return LongContext(
        model=model.name,
        kind=kind_of(model, asked.hardware),
        parameters=model.parameters,
        active_parameters=model.active_parameters,
        max_positions=model.architecture.max_positions,
        weights=float(last.footprint.weights),
        cache_per_token=growth(asked, 1),
        cache_growth=growth(asked, longest),
        cache_intensity=intensity_of(last, "attention", "kv_cache"),
        state_intensity=intensity_of(last, "scan", "state"),
        steps=steps_at(asked, batch, lengths),
        filled=steps_at(asked, most_that_fit(asked, lengths), lengths),
        prefills=prefills_at(asked, lengths),
        cache_passes=first_context(lambda n: cache_passes(asked.decode(batch, n))),
        memory_full=first_context(lambda n: not asked.decode(batch, n).fits),
        attention_passes=first_context(lambda n: bool(attention_share(asked.prefill(n)) > 0.5)),
        leaves=span_of(lambda n: compute_bound(asked.decode(batch, n)), longest),
        leaves_filled=span_of(lambda n: leaves_filled(asked, n), longest),
        leaves_ever=span_of(lambda n: compute_bound(asked.decode(ENDLESS, n)), longest),
        limit=limit_at(asked, contexts[0]),
    )

"""The library's door: ask what a model costs on a device. The command only calls this."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, cast

from memorywall.answer.evaluate import evaluate, evaluate_first, evaluate_ops, predict
from memorywall.answer.fit_trends import FORECAST, forecast_device
from memorywall.answer.notes import notes_on
from memorywall.catalog.devices import FOLDER, LARGEST_FILE, find_device, measured_path, read_device
from memorywall.core.analysis import Analysis
from memorywall.core.denoising import Guidance
from memorywall.core.errors import InvalidInputError, UnsupportedError, shown
from memorywall.core.files import read_text, user_path
from memorywall.core.hardware import Hardware
from memorywall.core.model import Model
from memorywall.core.numbers import LARGEST, Number, plain
from memorywall.core.scenario import Scenario
from memorywall.core.traced import Traced
from memorywall.core.workload import (
    Causal,
    Conventions,
    LatentForm,
    Logits,
    Phase,
    Precision,
    Routing,
    Traffic,
    Workload,
)
from memorywall.frontends.hf import load_model
from memorywall.frontends.traced import is_traced, model_of

ModelSource: TypeAlias = str | os.PathLike[str] | Mapping[str, Any] | Model
HardwareSource: TypeAlias = str | os.PathLike[str] | Hardware

DEFAULT_DECODER_LENGTH = 2048
DEFAULT_ENCODER_LENGTH = 512
DEFAULT_NEW_TOKENS = 128


def analyze(
    model: ModelSource | Traced,
    *,
    on: HardwareSource,
    phase: str | None = None,
    batch_size: Any = 1,
    seq_len: Any = None,
    new_tokens: int | None = None,
    source_len: Any = None,
    image_size: Any = None,
    images: Any = None,
    steps: int | None = None,
    guidance: str | None = None,
    weights: str | None = None,
    activations: str | None = None,
    kv_cache: str | None = None,
    state: str | None = None,
    traffic: str = "fused",
    causal: str = "half",
    logits: str = "last",
    routing: str = "uniform",
    mla: str = "auto",
    cache_page: int = 0,
) -> Analysis:
    """Return what a model costs on a device: FLOPs, bytes, times, memory, and what binds.

    Args:
        model: a name of the catalogue, a path, a config, a hub id, or a loaded ``Model``; or the
            answer of ``trace``, which holds phase, lengths and formats already.
        on: a device's name, the path of its TOML, ``forecast:2030``, or a ``Hardware``.
        phase: ``prefill`` (``encode``), ``decode`` or ``generate``; by default decode for models
            that generate, else encode. Of a diffusion transformer always ``denoise``.
        batch_size: sequences; a number or an array.
        seq_len: positions of each sequence, likewise; by default 2048, for encoders 512. Of an
            encoder-decoder those of its decoder: by default 512, or as many as it was made for;
            in ``generate`` none but a start token.
        new_tokens: tokens that ``generate`` makes for each sequence; by default 128.
        source_len: of an encoder-decoder, positions of each source, likewise; by default the
            model's fixed number, or as many as ``seq_len``.
        image_size: of a model that sees images, height and width of each in pixels, or one number
            for both; by default what it was made for. What reads no text takes no ``seq_len``: it
            follows from the size.
        images: of an image-text model, images of each sequence, likewise; their positions are
            among ``seq_len``. By default one in a pass that looks at images.
        steps: denoising steps of a diffusion transformer, by default as many as it is usually
            run for.
        guidance: ``on`` or ``off``: whether each of those is taken with what is asked for and
            without; by default as the model is usually run.
        weights, activations, kv_cache, state: formats in memory, by default the config's dtype;
            weights by default as files or the config's quantisation store each, recurrent state
            as the architecture prescribes. Arithmetic runs in the activations' dtype.
        traffic, causal, logits, routing, mla, cache_page: how things are counted, see
            ``Conventions``.

    Raises:
        MemoryWallError: a name, a file or a value that cannot be used; see its hint.
    """
    if isinstance(model, Traced):
        asked = {
            "phase": phase, "seq_len": seq_len, "new_tokens": new_tokens, "source_len": source_len,
            "weights": weights, "activations": activations, "kv_cache": kv_cache,
        }  # fmt: skip
        _refuse_changes(model, asked, batch_size)
        return analyze_scenario(_traced_scenario(model, on, traffic))
    loaded = load_model(model)
    if phase is None:
        phase = _usual_phase(loaded)
    seq_len, source_len = _lengths(loaded, phase, seq_len, source_len)
    if new_tokens is not None and phase != "generate":
        raise InvalidInputError(
            f"new_tokens is {shown(new_tokens)}, but phase {shown(phase)} makes no run of tokens.",
            "Ask for phase 'generate', or leave new_tokens out.",
        )
    return analyze_scenario(
        Scenario(
            model=loaded,
            workload=Workload(
                cast("Phase", phase),  # the constructor checks it
                batch_size,
                seq_len,
                DEFAULT_NEW_TOKENS if new_tokens is None else new_tokens,
                source_len,
                image_size,
                images,
                steps,
                cast("Guidance | None", guidance),
            ),
            hardware=load_hardware(on),
            precision=Precision(weights, activations, kv_cache, state),
            conventions=Conventions(
                traffic=cast("Traffic", traffic),
                causal=cast("Causal", causal),
                logits=cast("Logits", logits),
                routing=cast("Routing", routing),
                mla=cast("LatentForm", mla),
                cache_page=cache_page,
            ),
        )
    )


def _refuse_changes(traced: Traced, asked: Mapping[str, Any], batch_size: Any) -> None:
    """Refuse what a trace cannot be asked: it is of one pass, in the formats that it ran in."""
    changed = {
        name: value
        for name, value in asked.items()
        if value is not None and value != getattr(traced, name, None)
    }
    if batch_size not in (1, traced.batch_size):
        changed["batch_size"] = batch_size
    if changed:
        name, value = next(iter(changed.items()))
        raise InvalidInputError(
            f"{name} is {shown(plain(value))}, but {traced.name} was traced as it is.",
            "Trace it anew with other inputs, phase or dtype.",
        )


def _traced_scenario(traced: Traced, on: HardwareSource, traffic: str) -> Scenario:
    causal = cast("Causal", traced.conventions.get("causal", "half"))
    if not traced.program.work.moved_bytes:
        raise UnsupportedError(
            f"{traced.name} computes and moves nothing, so that there is nothing to price.",
            "Does its forward pass use what it is given?",
        )
    return Scenario(
        model=model_of(traced),
        workload=Workload(cast("Phase", traced.phase), traced.batch_size, traced.seq_len),
        hardware=load_hardware(on),
        precision=Precision(activations=_arithmetic(traced)),
        conventions=Conventions(cast("Traffic", traffic), causal, "all"),
    )


def _usual_phase(model: Model) -> Phase:
    """Return what a model is asked to do where nobody says."""
    if model.denoiser is not None:
        return "denoise"
    return "decode" if model.causal else "encode"


def _arithmetic(traced: Traced) -> str:
    """Return the format that most FLOPs are done in: under autocast it is not the weights'."""
    flops: dict[str, Number] = {}
    for _, op, repeat in traced.program.walk():
        flops[op.dtype] = flops.get(op.dtype, 0) + op.flops * repeat
    return max(flops, key=lambda dtype: float(flops[dtype]), default=traced.dtype)


def _lengths(model: Model, phase: str, seq_len: Any, source_len: Any) -> tuple[Any, Any]:
    """Return ``seq_len`` and ``source_len`` with the defaults of what is left out."""
    if model.images is not None:
        return _length_beside_images(model, phase, seq_len), source_len
    if not model.reads_source:
        default = DEFAULT_DECODER_LENGTH if model.causal else DEFAULT_ENCODER_LENGTH
        if is_traced(model):  # past what it was made for, its code may fail
            default = min(default, model.architecture.max_positions or default)
        return (default if seq_len is None else seq_len), source_len
    if phase == "encode" and seq_len is not None:
        if source_len is not None or model.fixed_source is not None:
            raise InvalidInputError(
                f"seq_len is {shown(plain(seq_len))}, but phase 'encode' runs the encoder alone, "
                "over the source.",
                "Leave seq_len out.",
            )
        return seq_len, seq_len
    default = min(DEFAULT_ENCODER_LENGTH, model.architecture.max_positions or LARGEST)
    if seq_len is None and phase == "generate":
        return 0, default if source_len is None and model.fixed_source is None else source_len
    return (default if seq_len is None else seq_len), source_len


def _length_beside_images(model: Model, phase: str, seq_len: Any) -> Any:
    """Return ``seq_len`` with its default; where images alone are looked at, they decide."""
    alone = model.images is not None and not model.images.reads_text
    if seq_len is not None and (alone or (phase == "encode" and model.causal)):
        doing = f"{model.name} reads no text" if alone else "phase 'encode' looks at images alone"
        raise InvalidInputError(
            f"seq_len is {shown(plain(seq_len))}, but {doing}: its length follows from image_size.",
            "Leave seq_len out, and give image_size.",
        )
    if seq_len is not None:
        return seq_len
    default = DEFAULT_DECODER_LENGTH if model.causal else DEFAULT_ENCODER_LENGTH
    return default if model.causal else min(default, model.architecture.max_positions or default)


def analyze_scenario(scenario: Scenario) -> Analysis:
    """Return the answer to a whole question; ``analyze`` is this with the question in words."""
    cost, footprint = evaluate(scenario)
    notes = notes_on(scenario, footprint)
    return Analysis(
        scenario,
        cost,
        footprint,
        notes,
        price_ops=partial(evaluate_ops, scenario),
        price_first=partial(evaluate_first, scenario),
        predict=partial(predict, scenario),
    )


def load_hardware(source: HardwareSource) -> Hardware:
    """Return a device by its name in the catalogue or by the path of a TOML of its own.

    ``forecast:2030`` is that of a year by the trends of devices (the extra ``trends``).

    Raises:
        UnknownNameError: no device has that name.
        InvalidInputError: the TOML cannot be read, or with all of its faults.
    """
    if isinstance(source, Hardware):
        return source
    if isinstance(source, str) and source.startswith(FORECAST):
        return forecast_device(source)
    path = _device_path(source)
    return find_device(str(source)) if path is None else read_device(path)


def hardware_toml(source: str | os.PathLike[str]) -> str:
    """Return the text of a device's file, as a pattern for one's own.

    Raises:
        InvalidInputError: a forecast, which has none.
    """
    if isinstance(source, str) and source.startswith(FORECAST):
        raise InvalidInputError(
            f"{shown(source)} is made of trends, and has no file.",
            f"Every number of it: memorywall hardware {source} --json",
        )
    path = _device_path(source) or FOLDER / f"{find_device(str(source)).name}.toml"
    return read_text(path, LARGEST_FILE, "a device TOML")


def _device_path(source: object) -> Path | None:
    """Return the path that a source is, or None where it is a name of the catalogue."""
    if isinstance(source, os.PathLike):
        return Path(source)
    if not isinstance(source, str):
        raise InvalidInputError(
            f"a device must be a name, a path or a Hardware, got {shown(source)}", "Try 'h100-sxm'."
        )
    measured = measured_path(source)
    if measured is not None:
        return measured
    is_path = source.endswith(".toml") or "/" in source or source.startswith(".")
    return user_path(source) if is_path else None

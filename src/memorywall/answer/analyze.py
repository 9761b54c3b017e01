"""The library's door: ask what a model costs on a device. The command only calls this."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from memorywall.answer.evaluate import evaluate, evaluate_ops
from memorywall.answer.fit_trends import FORECAST, forecast_device
from memorywall.answer.notes import notes_on
from memorywall.answer.predict import predict, predict_ops, time_provenance
from memorywall.answer.settle import settle
from memorywall.catalog.devices import FOLDER, LARGEST_FILE, find_device, measured_path, read_device
from memorywall.core.analysis import Analysis
from memorywall.core.errors import InvalidInputError, shown
from memorywall.core.files import read_text, user_path
from memorywall.core.hardware import Hardware
from memorywall.core.model import Model
from memorywall.core.scenario import Scenario
from memorywall.core.traced import Traced
from memorywall.core.workload import Conventions, Precision, Workload
from memorywall.frontends.hf import load_model
from memorywall.frontends.traced import model_of

ModelSource: TypeAlias = str | os.PathLike[str] | Mapping[str, Any] | Model
HardwareSource: TypeAlias = str | os.PathLike[str] | Hardware


def analyze(
    model: ModelSource | Traced,
    *,
    on: HardwareSource,
    phase: str | None = None,
    batch_size: Any = None,
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
    traffic: str | None = None,
    causal: str | None = None,
    logits: str | None = None,
    routing: str | None = None,
    mla: str | None = None,
    cache_page: int | None = None,
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
    loaded = model_of(model) if isinstance(model, Traced) else load_model(model)
    return analyze_scenario(
        Scenario(
            model=loaded,
            workload=Workload(
                phase, batch_size, seq_len, new_tokens, source_len, image_size, images, steps,
                guidance,
            ),
            hardware=load_hardware(on),
            precision=Precision(weights, activations, kv_cache, state),
            conventions=Conventions(traffic, causal, logits, routing, mla, cache_page),
        )
    )  # fmt: skip


def analyze_scenario(scenario: Scenario) -> Analysis:
    """Return the answer to a whole question; ``analyze`` is this with the question in words."""
    question = settle(scenario)
    evaluation = evaluate(question)
    return Analysis(
        scenario,
        question,
        evaluation.passes,
        evaluation.costs,
        evaluation.footprint,
        time_provenance(question),
        price_ops=partial(evaluate_ops, question),
        predict=partial(predict, question),
        predict_ops=partial(predict_ops, question),
        note=partial(notes_on, question, evaluation.footprint, scenario.precision),
        tell=_told,
    )


def _told(answer: Analysis) -> str:
    from memorywall.report.verdict import told  # noqa: PLC0415 - only where text is asked for

    return told(answer)


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

"""The library's door: ask what a model costs on a device. The command only calls this."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, Unpack

from memorywall.answer.by_tables import predict_by_tables, predict_ops_by_tables
from memorywall.answer.evaluate import check_points, evaluate_ops, price_passes, resident
from memorywall.answer.notes import notes_on, serving_notes
from memorywall.answer.programs import is_by_curves, time_provenance
from memorywall.answer.settle import settle
from memorywall.catalog.device_names import FOLDER
from memorywall.catalog.devices import LARGEST_FILE, find_device, measured_path, read_device
from memorywall.core.analysis import Analysis
from memorywall.core.calibration import Prediction
from memorywall.core.errors import InvalidInputError, shown
from memorywall.core.files import read_text, user_path
from memorywall.core.fit import Fit
from memorywall.core.hardware import FORECAST, Hardware
from memorywall.core.layout import AskedLayout
from memorywall.core.model import Model
from memorywall.core.parameters import Adjustments, Words, by_part
from memorywall.core.quantities import Provenance
from memorywall.core.question import Question
from memorywall.core.results import Cost, Footprint, OpCost
from memorywall.core.scenario import Scenario
from memorywall.core.traced import Traced
from memorywall.core.workload import Conventions, Precision, Workload
from memorywall.frontends.hf import load_model
from memorywall.frontends.traced import model_of

ModelSource: TypeAlias = str | os.PathLike[str] | Mapping[str, Any] | Model
HardwareSource: TypeAlias = str | os.PathLike[str] | Hardware

_NO_FORMATS, _NO_CONVENTIONS, _NO_ADJUSTMENTS = Precision(), Conventions(), Adjustments()
_ONE_DEVICE = AskedLayout()


def analyze(model: ModelSource | Traced, *, on: HardwareSource, **words: Unpack[Words]) -> Analysis:
    """Return what a model costs on a device: FLOPs, bytes, times, memory, and what binds.

    Numbers are whole numbers or text (``"128k"``: k is 1024 positions, M is 1024 k); those of
    ``batch_size``, ``seq_len``, ``source_len`` and ``images`` may be arrays that broadcast.
    A parameter without effect on the model in its phase is refused. Defaults, units and the models
    that each parameter applies to: ``docs/reference/parameters.md``.

    Args:
        model: a name of the catalogue, a path, a config, a hub id, or a loaded ``Model``; or the
            answer of ``trace``, which holds phase, lengths and formats already.
        on: a device's name, the path of its TOML, ``forecast:2030``, or a ``Hardware``.
        **words: the parameters below.
            phase: the work that the model does: ``prefill``, ``encode``, ``decode``, ``generate``,
            ``denoise``, ``serve``, or a phase that was added.
            batch_size (or batch): sequences; for models without text, images.
            seq_len (or seq): positions of each sequence; for an encoder-decoder, of the decoder.
            source_len (or source): positions of each source of an encoder-decoder.
            image_size: height and width of each image in pixels, one number for both, or
            ``"448x336"``.
            images: images of each sequence of an image-text model.
            new_tokens: tokens that ``generate`` makes for each sequence.
            steps: denoising steps.
            guidance: ``on`` or ``off``: whether each denoising step runs with the prompt and
            without it.
            weights, activations, kv_cache, state: formats in memory; arithmetic runs in the
            activations' format.
            traffic, causal, logits, routing, mla, cache_page: how things are counted.
            ceilings: ``calibrated``, or ``spec`` for the bound at the data sheet alone.
            launch: ``graph`` or ``eager``: whether a framework launches operator by operator.
            devices, tensor, pipeline, expert, attention_data: how the model is divided; FLOPs,
            bytes and memory are then of one device.
            input_len, output_len: tokens of the prompt of a request, and of its answer.
            concurrency, request_rate: requests in flight, or that arrive per second.
            engine: ``trtllm``, ``vllm`` or ``sglang``.

    Raises:
        MemoryWallError: a name, a file or a value that cannot be used; see its hint.
    """
    parts = by_part(words)
    given = parts["adjustments"]
    loaded = model_of(model) if isinstance(model, Traced) else load_model(model)
    return analyze_scenario(
        Scenario(
            loaded,
            Workload(**parts["workload"]),
            load_hardware(on),
            Precision(**parts["precision"]) if parts["precision"] else _NO_FORMATS,
            Conventions(**parts["conventions"]) if parts["conventions"] else _NO_CONVENTIONS,
            Adjustments(tuple(given.items())) if given else _NO_ADJUSTMENTS,
            AskedLayout(**parts["layout"]) if parts["layout"] else _ONE_DEVICE,
        )
    )


def analyze_scenario(scenario: Scenario) -> Analysis:
    """Return the answer to a whole question; ``analyze`` takes the same question as keywords."""
    question = settle(scenario)
    check_points(question)
    if question.load is not None:
        return _served(scenario, question)
    provenance = time_provenance(question)
    price: Callable[[], tuple[Cost, ...]] = partial(price_passes, question, question.hardware)
    predict: Callable[[], Prediction | None] = partial(_predict, question, provenance)
    # The times that are read first are worked out here, so that a device without the arithmetic is
    # refused here; the others when they are read.
    if provenance in ("calibrated", "class default") and not is_by_curves(question.hardware):
        predicted = predict()
        predict = lambda: predicted  # noqa: E731
    else:
        costs = price()
        price = lambda: costs  # noqa: E731
    footprint = resident(question)
    return Analysis(
        scenario,
        question,
        question.passes,
        footprint,
        provenance,
        price=price,
        price_ops=partial(evaluate_ops, question),
        predict=predict,
        predict_ops=partial(_predict_ops, question),
        note=partial(notes_on, question, footprint, scenario.precision),
        describe=_described,
        judge=partial(_judge, question, footprint),
    )


def _served(scenario: Scenario, question: Question) -> Analysis:
    """Return the answer to a question about a serving engine."""
    from memorywall.answer.by_serving import (  # noqa: PLC0415 - few ask for it
        predict_serving,
        provenance_of_serving,
        serve,
        serving_footprint,
        serving_ops,
    )

    found = serve(question)
    question = replace(question, batch_size=found.in_flight)
    footprint = serving_footprint(question, found)
    return Analysis(
        scenario,
        question,
        question.passes,
        footprint,
        provenance_of_serving(question),
        price=partial(price_passes, question, question.hardware),
        price_ops=partial(evaluate_ops, question),
        predict=partial(predict_serving, question, found),
        predict_ops=partial(serving_ops, question, found),
        note=partial(serving_notes, question, footprint, scenario.precision, found),
        describe=_described,
        judge=partial(_judge, question, footprint),
        serving=found,
    )


def _predict(question: Question, provenance: Provenance) -> Prediction | None:
    """Return the prediction of a question's times, or of the interval of a forecast's bound."""
    if provenance in ("calibrated", "class default") and not is_by_curves(question.hardware):
        return predict_by_tables(question)
    if provenance not in ("calibrated", "forecast"):
        return None
    from memorywall.answer.predict import predict  # noqa: PLC0415 - it needs NumPy

    return predict(question)


def _predict_ops(question: Question, at_roofs: Sequence[OpCost]) -> Sequence[OpCost]:
    if not is_by_curves(question.hardware):
        return predict_ops_by_tables(question, at_roofs)
    from memorywall.answer.predict import predict_ops  # noqa: PLC0415 - it needs NumPy

    return predict_ops(question, list(at_roofs))


def _judge(question: Question, footprint: Footprint) -> Fit | None:
    from memorywall.answer.judge import judge  # noqa: PLC0415 - only where it is asked for

    return judge(question, footprint)


def _described(answer: Analysis) -> str:
    from memorywall.report.verdict import sentences  # noqa: PLC0415 - only where text is asked for

    return sentences(answer)


def load_hardware(source: HardwareSource) -> Hardware:
    """Return a device by its name in the catalogue or by the path of its TOML.

    ``forecast:2030`` is that of a year by the trends of devices (the extra ``trends``).

    Raises:
        UnknownNameError: no device has that name.
        InvalidInputError: the TOML cannot be read, or with all of its faults.
    """
    if isinstance(source, Hardware):
        return source
    if isinstance(source, str) and source.startswith(FORECAST):
        from memorywall.answer.fit_trends import forecast_device  # noqa: PLC0415 - statistics

        return forecast_device(source)
    path = _device_path(source)
    return find_device(str(source)) if path is None else read_device(path)


def hardware_toml(source: str | os.PathLike[str]) -> str:
    """Return the text of a device's file, as a template for a custom one.

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

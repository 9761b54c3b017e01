"""Run a real model on this machine, and show what was predicted beside what was measured."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from memorywall.answer.analyze import ModelSource, analyze
from memorywall.answer.measure import measure_machine, save
from memorywall.answer.settle import applicable
from memorywall.bench.machine import describe, usable_cores, wait_until_idle
from memorywall.bench.pipe import Answer, Case
from memorywall.bench.profiles import Profile, ProfiledCase, ProfiledRoofs
from memorywall.bench.runner import answers
from memorywall.bench.timing import LONG_S, LONGEST_WATCHED_S
from memorywall.catalog.devices import read_device
from memorywall.catalog.measured import data_folder, here_path
from memorywall.core.analysis import Analysis
from memorywall.core.errors import InvalidInputError, UnsupportedError
from memorywall.core.files import user_path, write_text
from memorywall.core.hardware import Hardware
from memorywall.core.model import Model
from memorywall.core.results import bound_words
from memorywall.core.units import render_count
from memorywall.frontends.hf import load_model

DTYPES = ("fp32", "bf16", "fp16")
_PHASES = ("encode", "prefill", "decode", "generate")
# Approximate seconds to start a measuring process (PyTorch), and to build a case.
_STARTING_S, _CASE_S = 5.0, 1.0
# The common classes of both sides: operators other than products, attention and cache are
# elementwise.
_CLASS_OF = {"norm": "elementwise", "embedding": "elementwise", "softmax": "attention"}


def profile(
    model: ModelSource,
    *,
    phases: Sequence[str] | None = None,
    batch_sizes: Sequence[int] = (1,),
    seq_lens: Sequence[int] = (128,),
    dtypes: Sequence[str] = ("fp32",),
    threads: int | Sequence[int] | None = None,
    backend: str = "cpu",
    budget_s: float = 2.0,
    progress: Callable[[int, int], object] = lambda _done, _total: None,
    stage: Callable[[str], object] = lambda _stage: None,
) -> Profile:
    """Predict and then measure a model's forward passes over a grid; its record is saved.

    The model is transformers' class with random weights, or with those of a local checkpoint: a
    folder with a config.json and safetensors, or a GGUF, whose weights are unpacked to the dtype.
    ``generate`` makes ``seq_len`` tokens from nothing, one at a time. Where this machine has not
    been measured at a number of threads, ``measure --quick`` runs first. The record stands on disk
    with the predictions before the first pass runs.

    Args:
        model: a name, a path or a config.
        phases, batch_sizes, seq_lens, dtypes, threads: the grid.
        backend: ``cpu`` or ``cuda`` of PyTorch.
        budget_s: seconds of samples of one case; three samples are taken in any case.
        progress: called with the number of cases that are done, and the number of all.
        stage: called with the stage that begins, such as ``case 2 of 4, prefill, batch 1, 128
            positions, fp32: warming``, and first with how long all of it may take.

    Raises:
        MemoryWallError: no such model, phase or dtype, or a library that is missing.
    """
    counts = _thread_counts(threads, backend)
    checkpoint = _checkpoint(model)
    loaded = model if isinstance(model, Model) else load_model(model)
    chosen = tuple(phases) if phases else (("prefill", "decode") if loaded.causal else ("encode",))
    _check(loaded, chosen, dtypes)
    machines = {count: _measured_here(count, backend, progress, stage) for count in counts}
    hardware = machines[counts[-1]]
    machine = {**describe(counts[-1]), "busy_cores_before": wait_until_idle(), "device": backend}
    path = data_folder() / "records" / f"profile-{machine['created'].replace(':', '')[:17]}.json"
    cases = [
        _predict(loaded, machines[count], phase, batch, length, dtype, count)
        for count in counts
        for dtype in dtypes
        for phase in chosen
        for batch in batch_sizes
        for length in seq_lens
    ]
    asked = Profile(
        model=loaded.name,
        class_name=loaded.architecture.class_name,
        weights="random" if checkpoint is None else checkpoint,
        hardware=hardware.title,
        roofs=_roofs(hardware),
        machine=machine,
        record=str(path),
        cases=tuple(cases),
    )
    _write(asked)
    stage(f"{render_count(len(cases), 'case')}, about {_expected_s(cases, budget_s):.0f} s")
    done = 0
    for count in counts:  # one process for every number of threads
        plan = [
            _case(loaded, case, checkpoint, budget_s) for case in cases if case.threads == count
        ]
        for _, answer in answers(plan, count, backend, _stages(cases, done, stage)):
            cases[done] = _with_answer(cases[done], answer)
            done += 1
            progress(done, len(cases))
    found = replace(asked, cases=tuple(cases))
    _write(found)
    return found


def _write(found: Profile) -> None:
    write_text(Path(found.record), json.dumps(found.to_dict(), indent=1) + "\n")


def _roofs(hardware: Hardware) -> ProfiledRoofs:
    return ProfiledRoofs(
        {dtype: float(peak) for dtype, peak in hardware.peaks.items()},
        {level.name: float(level.bandwidth) for level in hardware.memories if level.bandwidth},
    )


def _stages(
    cases: Sequence[ProfiledCase], before: int, stage: Callable[[str], object]
) -> Callable[[int, str], None]:
    """Return what reports a stage of the cases of one process, ``before`` of which came first."""

    def report(index: int, name: str) -> None:
        case, number = cases[before + index], before + index + 1
        stage(
            f"case {number} of {len(cases)}, {case.phase}, batch {case.batch_size}, "
            f"{case.seq_len} positions, {case.dtype}: {name}"
        )

    return report


def _expected_s(cases: Sequence[ProfiledCase], budget_s: float) -> float:
    """Return about how long cases take: what is predicted, as often as it runs, and loading."""
    starting = _STARTING_S * len({case.threads for case in cases})
    return starting + sum(_CASE_S + _repeats(case.predicted_s, budget_s) for case in cases)


def _repeats(seconds: float, budget_s: float) -> float:
    """Return the seconds of a case's warm-up and samples, and of its run under the profiler."""
    samples = seconds if seconds > LONG_S else max(budget_s, 3 * seconds)
    return seconds + samples + (2 * seconds if seconds < LONGEST_WATCHED_S else 0.0)


def _check(model: Model, phases: Sequence[str], dtypes: Sequence[str]) -> None:
    if model.traits.source is not None:
        raise UnsupportedError(
            f"{model.name} is an encoder-decoder, which cannot be profiled yet.",
            f"Its prediction alone: memorywall analyze {model.name} --on here",
        )
    if model.traits.images is not None:
        raise UnsupportedError(f"{model.name} sees images, and cannot be profiled yet.")
    for phase in phases:
        if phase not in _PHASES or (phase == "encode") == model.causal:
            known = "prefill, decode, generate" if model.causal else "encode"
            raise InvalidInputError(
                f"{model.name} cannot be profiled in phase {phase!r}.", f"Choose of: {known}."
            )
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise InvalidInputError(
                f"dtype {dtype!r} cannot be run.", f"Choose of: {', '.join(DTYPES)}."
            )


def _thread_counts(threads: int | Sequence[int] | None, backend: str) -> list[int]:
    """Return the numbers of threads to run at, each once; a GPU's work is not done by threads."""
    if threads is None:
        return [usable_cores()]
    counts = [threads] if isinstance(threads, int) else list(dict.fromkeys(threads))
    if not counts or (backend != "cpu" and len(counts) > 1):
        raise InvalidInputError("threads: a list of them makes sense on a processor only.")
    return counts


def _checkpoint(model: ModelSource) -> str | None:
    """Return a local checkpoint, or None: weights are then random.

    That is a folder with safetensors, or the path of a GGUF.
    """
    if not isinstance(model, str | os.PathLike):
        return None
    path = user_path(os.fspath(model))
    try:
        if path.suffix == ".safetensors":
            path = path.parent
        found = path.suffix == ".gguf" or (path.is_dir() and any(path.glob("*.safetensors")))
        return str(path.resolve()) if found and path.exists() else None
    except OSError:
        return None


def _measured_here(
    threads: int,
    backend: str,
    progress: Callable[[int, int], object],
    stage: Callable[[str], object],
) -> Hardware:
    path = here_path("cuda" if backend == "cuda" else threads)
    if path.exists():
        hardware = read_device(path)
    else:
        stage(
            f"this machine was not measured at {render_count(threads, 'thread')}: measuring first"
        )
        measured = measure_machine(
            quick=True, threads=threads, backend=backend, progress=progress, stage=stage
        )
        hardware = save(measured).device
    if hardware.calibration is None:
        raise UnsupportedError(f"{path} has no calibration.", "Measure again: memorywall measure")
    return hardware


def _predict(
    model: Model, hardware: Hardware, phase: str, batch: int, length: int, dtype: str, threads: int
) -> ProfiledCase:
    generating = phase == "generate"  # this number of tokens from an empty cache
    # As a plain call of the class does.
    words = applicable(model, phase, {"kv_cache": dtype, "logits": "all"})
    answer: Analysis = analyze(
        model, on=hardware, phase=phase, batch_size=batch, weights=dtype, activations=dtype,
        **words, seq_len=0 if generating else length, new_tokens=length if generating else None,
    )  # fmt: skip
    estimate = answer.prediction
    assert estimate is not None
    by_class: dict[str, float] = {}
    for priced, seconds in estimate.by_class.items():
        kind = _CLASS_OF.get(priced, priced)
        by_class[kind] = by_class.get(kind, 0.0) + float(seconds)
    predicted = float(estimate.seconds)
    work: dict[str, tuple[float, float]] = {}
    for row in answer.by_class():
        if not row.flops and not row.moved_bytes:
            continue  # the framework, and a cache that it joins
        kind = _CLASS_OF.get(row.kind, row.kind)
        flops, moved = work.get(kind, (0.0, 0.0))
        work[kind] = (flops + float(row.flops), moved + float(row.moved_bytes))
    return ProfiledCase(
        phase, batch, length, dtype, threads, predicted, float(predicted * estimate.low),
        float(predicted * estimate.high), float(answer.bound_s),
        str(bound_words(answer.roofs.bound_code)), by_class, work, float(hardware.peak(dtype)),
        float(hardware.bandwidth),
    )  # fmt: skip


def _case(model: Model, case: ProfiledCase, checkpoint: str | None, budget_s: float) -> Case:
    parameters = {
        "config": dict(model.config),
        "class_name": model.architecture.class_name,
        "checkpoint": checkpoint,
        "phase": case.phase,
        "batch_size": case.batch_size,
        "seq_len": case.seq_len,
        "dtype": case.dtype,
    }
    return Case("model", budget_s, parameters)


def _with_answer(case: ProfiledCase, answer: Answer) -> ProfiledCase:
    if answer.measurement is None:
        return replace(case, error=answer.error)
    samples = answer.measurement.seconds
    return replace(case, samples_s=samples, measured_by_class=answer.by_class)

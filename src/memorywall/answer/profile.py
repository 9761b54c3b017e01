"""Run a real model on this machine, and show what was predicted beside what was measured."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from memorywall.answer.analyze import ModelSource, analyze
from memorywall.answer.measure import measure_machine, save
from memorywall.answer.settle import applicable
from memorywall.bench.machine import describe, usable_cores, wait_until_idle
from memorywall.bench.plan import Case
from memorywall.bench.runner import answers
from memorywall.bench.timing import Measurement
from memorywall.catalog.devices import read_device
from memorywall.catalog.measured import data_folder, here_path
from memorywall.core.analysis import Analysis
from memorywall.core.errors import InvalidInputError, UnsupportedError
from memorywall.core.files import user_path, write_text
from memorywall.core.hardware import Hardware
from memorywall.core.model import Model
from memorywall.frontends.hf import load_model

SCHEMA = "memorywall.profile/1"
DTYPES = ("fp32", "bf16", "fp16")
_PHASES = ("encode", "prefill", "decode", "generate")
# The classes that both sides are told by: what is no product, attention or cache is elementwise.
_CLASS_OF = {"norm": "elementwise", "embedding": "elementwise", "softmax": "attention"}


@dataclass(frozen=True, slots=True)
class ProfiledCase:
    """One forward pass: predicted before it ran, then measured.

    Attributes:
        phase, batch_size, seq_len, dtype, threads: what ran.
        predicted_s, low_s, high_s: by the machine's calibration, with the interval said to hold
            80 % of what is measured.
        roofline_s: the bound at the machine's measured ceilings.
        bound: which wall that roofline says binds.
        predicted_by_class: seconds.
        flops, moved_bytes: of one pass, fused.
        work_by_class: FLOPs and bytes of each class.
        measurement: every sample; None where it did not run.
        measured_by_class: seconds, by the framework's profiler.
        error: why it did not run.
    """

    phase: str
    batch_size: int
    seq_len: int
    dtype: str
    threads: int
    predicted_s: float
    low_s: float
    high_s: float
    roofline_s: float
    bound: str
    predicted_by_class: dict[str, float]
    flops: int
    moved_bytes: int
    peak_flop_per_s: float
    peak_byte_per_s: float
    work_by_class: dict[str, tuple[float, float]] = field(default_factory=dict)
    measurement: Measurement | None = None
    measured_by_class: dict[str, float] = field(default_factory=dict)
    error: str = ""

    @property
    def measured_s(self) -> float | None:
        """The median of what was measured."""
        return None if self.measurement is None else self.measurement.median_s

    @property
    def mfu(self) -> float | None:
        """Share of the machine's measured FLOP/s in this dtype that was attained."""
        return self.flops / self.measured_s / self.peak_flop_per_s if self.measured_s else None

    @property
    def mbu(self) -> float | None:
        """Share of the machine's measured bandwidth that was attained."""
        return (
            self.moved_bytes / self.measured_s / self.peak_byte_per_s if self.measured_s else None
        )

    @property
    def over_the_roof(self) -> bool:
        """Whether an attained rate is above the machine's own ceiling, which needs explaining."""
        return max(self.mfu or 0.0, self.mbu or 0.0) > 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return its record."""
        seconds = self.measured_s
        return {
            "phase": self.phase,
            "batch_size": self.batch_size,
            "seq_len": self.seq_len,
            "dtype": self.dtype,
            "threads": self.threads,
            "predicted_s": self.predicted_s,
            "low_s": self.low_s,
            "high_s": self.high_s,
            "roofline_s": self.roofline_s,
            "measured_s": seconds,
            "ratio": self.predicted_s / seconds if seconds else None,
            "bound": self.bound,
            "predicted_by_class": self.predicted_by_class,
            "measured_by_class": self.measured_by_class,
            "work_by_class": {kind: list(work) for kind, work in self.work_by_class.items()},
            "flop_per_s": self.flops / seconds if seconds else None,
            "byte_per_s": self.moved_bytes / seconds if seconds else None,
            "mfu": self.mfu,
            "mbu": self.mbu,
            "over_the_roof": self.over_the_roof,
            "samples_s": list(self.measurement.seconds) if self.measurement else [],
            "error": self.error,
        }


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
) -> dict[str, Any]:
    """Predict and then measure a model's forward passes over a grid; return the saved record.

    The model is transformers' class with random weights, or with those of a local checkpoint: a
    folder with a config.json and safetensors, or a GGUF, whose weights are unpacked to the dtype.
    ``generate`` makes ``seq_len`` tokens from nothing, one at a time. Where this machine has not
    been measured at a number of threads, ``measure --quick`` runs first. The record stands on disk
    with the predictions before the first pass runs.

    Raises:
        MemoryWallError: no such model, phase or dtype, or a library that is missing.
    """
    counts = _thread_counts(threads, backend)
    checkpoint = _checkpoint(model)
    loaded = model if isinstance(model, Model) else load_model(model)
    chosen = tuple(phases) if phases else (("prefill", "decode") if loaded.causal else ("encode",))
    _check(loaded, chosen, dtypes)
    machines = {count: _measured_here(count, backend) for count in counts}
    hardware = machines[counts[-1]]
    cases = [
        _predict(loaded, machines[count], phase, batch, length, dtype, count)
        for count in counts
        for dtype in dtypes
        for phase in chosen
        for batch in batch_sizes
        for length in seq_lens
    ]
    machine = {**describe(counts[-1]), "busy_cores_before": wait_until_idle(), "device": backend}
    path = data_folder() / "records" / f"profile-{machine['created'].replace(':', '')[:17]}.json"

    def record() -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "model": loaded.name,
            "class": loaded.architecture.class_name,
            "weights": "random" if checkpoint is None else checkpoint,
            "hardware": hardware.title,
            "roofs": {
                "flop_per_s": {d: float(peak) for d, peak in hardware.peaks.items()},
                "byte_per_s": {
                    level.name: float(level.bandwidth)
                    for level in hardware.memories
                    if level.bandwidth
                },
            },
            "machine": machine,
            "record": str(path),
            "cases": [case.to_dict() for case in cases],
        }

    write_text(path, json.dumps(record(), indent=1) + "\n")
    done = 0
    for count in counts:  # every number of threads has a process of its own
        plan = [
            _case(loaded, case, checkpoint, budget_s) for case in cases if case.threads == count
        ]
        for _, answer in answers(plan, count, backend):
            cases[done] = _with_answer(cases[done], answer)
            done += 1
            progress(done, len(cases))
    write_text(path, json.dumps(record(), indent=1) + "\n")
    return record()


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


def _measured_here(threads: int, backend: str) -> Hardware:
    path = here_path("cuda" if backend == "cuda" else threads)
    if path.exists():
        hardware = read_device(path)
    else:
        measured = measure_machine(quick=True, threads=threads, backend=backend)
        hardware = save(measured).hardware
    if hardware.calibration is None:
        raise UnsupportedError(f"{path} has no calibration.", "Measure anew: memorywall measure")
    return hardware


def _predict(
    model: Model, hardware: Hardware, phase: str, batch: int, length: int, dtype: str, threads: int
) -> ProfiledCase:
    generating = phase == "generate"  # so many tokens from nothing
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
        kind = _CLASS_OF.get(row.kind, row.kind)
        flops, moved = work.get(kind, (0.0, 0.0))
        work[kind] = (flops + float(row.flops), moved + float(row.moved_bytes))
    return ProfiledCase(
        phase, batch, length, dtype, threads, predicted, float(predicted * estimate.low),
        float(predicted * estimate.high), float(answer.latency_s), str(answer.bound), by_class,
        int(answer.flops), int(answer.moved_bytes), float(hardware.peak(dtype)),
        float(hardware.bandwidth), work,
    )  # fmt: skip


def _case(model: Model, case: ProfiledCase, checkpoint: str | None, budget_s: float) -> Case:
    return {
        "case": "model",
        "config": dict(model.config),
        "class_name": model.architecture.class_name,
        "checkpoint": checkpoint,
        "phase": case.phase,
        "batch_size": case.batch_size,
        "seq_len": case.seq_len,
        "dtype": case.dtype,
        "budget_s": budget_s,
    }


def _with_answer(case: ProfiledCase, answer: dict[str, Any]) -> ProfiledCase:
    if "error" in answer:
        return replace(case, error=answer["error"])
    return replace(
        case,
        measurement=Measurement.from_dict(answer["measurement"]),
        measured_by_class=answer["by_class"],
    )

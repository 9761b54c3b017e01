"""Measure this machine: micro-benchmarks in separate processes, a device and a record out."""

from __future__ import annotations

import importlib.util
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memorywall.answer.settle import settle
from memorywall.bench import gpu, ranks
from memorywall.bench.agreement import Agreement, compare, roofs
from memorywall.bench.calibrate import calibrate
from memorywall.bench.machine import Company, caches, describe, usable_cores, wait_until_idle
from memorywall.bench.pipe import Answer, Case
from memorywall.bench.plan import brief_cases, cases, expected_s
from memorywall.bench.runner import answers
from memorywall.bench.samples import MachineRecord, warnings
from memorywall.bench.timing import Measurement
from memorywall.catalog.measured import data_folder, save_here, write_record
from memorywall.core.calibration import Calibration
from memorywall.core.errors import InvalidInputError, MemoryWallError, MissingDependencyError, shown
from memorywall.core.hardware import Hardware, Link, Memory
from memorywall.core.records import load_record, recorded, to_record
from memorywall.core.scenario import Scenario
from memorywall.core.units import render_count
from memorywall.core.workload import Precision, Workload
from memorywall.cost.calibrated import calls, estimate
from memorywall.frontends.hf import load_model

_NEEDED = ("numba", "torch", "transformers")
_MOST_RECORDS = 1000
# Cases between two readings of the GPU's driver.
_LOOK_EVERY = 20
# The longest that a brief measurement waits for others to be quiet.
_BRIEF_PATIENCE_S = 1.0


@recorded(names={"toml": "hardware"}, rest="measurement")
@dataclass(frozen=True, slots=True)
class Saved:
    """A measurement on disk.

    Attributes:
        measurement: what was found.
        toml, record: where the device and the record lie.
        agreement: how the ceilings compare with the last measurement of the same kind; None where
            there is none.
    """

    measurement: MachineRecord
    toml: str
    record: str
    agreement: Agreement | None

    @property
    def device(self) -> Hardware:
        """The measured machine as a device, with its calibration."""
        return to_hardware(self.measurement)

    def to_dict(self) -> dict[str, Any]:
        """Return the record of the measurement, with where it lies and what it agrees with."""
        return to_record(self)


def measure_machine(
    *,
    quick: bool = False,
    threads: int | None = None,
    backend: str = "cpu",
    processes: int = 1,
    progress: Callable[[int, int], object] = lambda _done, _total: None,
    stage: Callable[[str], object] = lambda _stage: None,
) -> MachineRecord:
    """Run the micro-benchmarks and return what they found.

    Args:
        quick: fewer sizes and shorter samples: under a minute in place of under ten.
        threads: how many to use, each pinned to a core; by default every core that may be used.
        backend: ``cpu`` or ``cuda`` of PyTorch.
        processes: with more than one, collectives between them are measured as well.
        progress: called with the number of finished cases, and the total.
        stage: called with the number of cases and their estimated time, before the first.

    Raises:
        MissingDependencyError: torch, transformers or numba is not installed.
        InvalidInputError: more threads than cores, more processes than cores or GPUs, or no such
            backend.
    """
    for library in _NEEDED:
        if importlib.util.find_spec(library) is None:
            raise MissingDependencyError(library, "measure", "measuring")
    _check_backend(backend, processes)
    count = usable_cores() if threads is None else threads
    if not 1 <= count <= usable_cores():
        raise InvalidInputError(
            f"threads must be 1 to {usable_cores()}, the cores that may be used; got {count}."
        )
    plan = cases(quick=quick, caches=caches(), device=backend)
    between = ranks.collectives(quick=quick) if processes > 1 else []
    stage(f"measuring: {len(plan) + len(between)} cases, about {expected_s(plan + between):.0f} s")
    busy = wait_until_idle()
    machine = {**describe(count), "busy_cores_before": busy, "device": backend}
    company, run = Company(), _Run(len(plan) + len(between), backend, progress)
    for case, answer in itertools.chain(
        answers(plan, count, backend),
        ranks.answers(between, processes, backend) if between else (),
    ):
        run.take(case, answer)
    machine |= {**company.seen(), **run.gpu, "processes": processes}
    return MachineRecord(
        machine,
        count,
        quick,
        min(run.pages, default=None),
        tuple(run.measurements),
        tuple(warnings(run.measurements, machine)),
        tuple(run.failures),
    )


def measure_briefly(
    progress: Callable[[int, int], object] = lambda _done, _total: None,
) -> MachineRecord:
    """Measure what a decode step in NumPy takes here, in under 15 seconds; return what was found.

    One thread, fp32, through the BLAS library that NumPy was built with: reading from memory, a
    matrix product, products of one row with weights from memory, attention of one query and the
    functions of GPT-2. ``to_hardware`` makes a device of it whose predictions hold for runs in
    NumPy. It requires no extra, but does not replace ``measure_machine``: it has one dtype, no
    cache levels and no latencies.

    Args:
        progress: called with the number of cases that are done, and the number of all.
    """
    plan = brief_cases()
    busy = wait_until_idle(_BRIEF_PATIENCE_S)
    machine = {**describe(1), "busy_cores_before": busy, "device": "cpu", "brief": True}
    company, run = Company(), _Run(len(plan), "cpu", progress)
    for case, answer in answers(plan, 1, "cpu"):
        run.take(case, answer)
    machine |= {**company.seen(), "library": run.library}
    again = "memorywall measure --brief"
    return MachineRecord(
        machine, 1, True, None, tuple(run.measurements),
        tuple(warnings(run.measurements, machine, again)), tuple(run.failures),
    )  # fmt: skip


@dataclass(slots=True)
class _Run:
    """The results so far."""

    total: int
    backend: str
    progress: Callable[[int, int], object]
    done: int = 0
    measurements: list[Measurement] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)
    gpu: dict[str, Any] = field(default_factory=dict)
    library: str = ""

    def take(self, case: Case, answer: Answer) -> None:
        """Keep what a case found, or why it did not run."""
        if answer.measurement is None:
            self.failures.append(f"{case}: {answer.error}")
        else:
            self.measurements.append(answer.measurement)
        if answer.page_size:
            self.pages.append(answer.page_size)
        self.library = answer.library or self.library
        if self.backend != "cpu" and self.done % _LOOK_EVERY == 0:
            self._look_at_gpu()
        self.done += 1
        self.progress(self.done, self.total)

    def _look_at_gpu(self) -> None:
        seen = gpu.describe()
        held_back = {*self.gpu.get("throttled", ()), *seen.get("throttled", ())}
        self.gpu = {**seen, "throttled": sorted(held_back)}


def _check_backend(backend: str, processes: int) -> None:
    if backend not in ("cpu", "cuda"):
        raise InvalidInputError(f"backend must be cpu or cuda, got {shown(backend)}.")
    most = usable_cores()
    if backend == "cuda":
        import torch  # noqa: PLC0415 - slow, and only asked about a GPU

        if not torch.cuda.is_available():
            raise InvalidInputError(
                "torch sees no CUDA GPU here.", "Measure the processor: memorywall measure"
            )
        most = torch.cuda.device_count()
    if not 1 <= processes <= most:
        raise InvalidInputError(
            f"processes must be 1 to {most}, one for each "
            f"{'GPU' if backend == 'cuda' else 'core'}; got {processes}."
        )


def to_hardware(record: MachineRecord) -> Hardware:
    """Return a measured machine as a device that models can be priced on, with its calibration."""
    ceilings, machine = record.ceilings, record.machine
    on_gpu = machine.get("device", "cpu") != "cpu"
    title = machine.get("gpu") or f"{machine['cpu']}, {render_count(record.threads, 'thread')}"
    links = [
        Link(f"{name.replace('_', ' ')}, {machine.get('processes')} processes", rate)
        for name, rate in ceilings.collectives.items()
    ]
    memories = [
        *_cache_levels(record, ceilings.caches),
        Memory(
            "device memory" if on_gpu else "DRAM",
            machine.get("gpu_memory_bytes" if on_gpu else "memory_bytes"),
            ceilings.dram["read"],
        ),
    ]
    brief = machine.get("brief", False)
    command = "memorywall measure --brief" if brief else "memorywall measure"
    source = f"{command} on {machine['created']}: {title}"
    return Hardware(
        name="here-brief" if brief else "here",
        peaks=ceilings.gemm,
        memories=tuple(memories),
        links=tuple(links),
        kind="measured",
        title=title,
        device_class="measured",
        sources=dict.fromkeys(_places(ceilings.gemm, len(memories), len(links)), source),
        notes=tuple(record.warnings),
        calibration=calibrate(record.measurements, toy_floors),
    )


def _cache_levels(record: MachineRecord, rates: Mapping[str, float]) -> Iterator[Memory]:
    """Yield the caches, each core's own as often as there are threads; the last level is shared."""
    known = record.machine.get("caches") or {}
    for level, rate in rates.items():
        yield Memory(level, known[level] * (record.threads if level != max(known) else 1), rate)


def save(record: MachineRecord) -> Saved:
    """Write device and record under the user's data folder, and compare with the last one."""
    before = last_like(record)
    on_gpu = record.machine.get("device", "cpu") != "cpu"
    toml = save_here(to_hardware(record), "cuda" if on_gpu else record.threads)
    path = _write_record(record, "measure")
    agreement = None if before is None else compare(before, record)
    return Saved(record, str(toml), str(path), agreement)


def save_brief(record: MachineRecord) -> Path:
    """Write the record of a brief measurement, and return where it lies.

    Only the record: the device that ``--on here`` names stays that of the last full measurement.

    Raises:
        InvalidInputError: the data folder cannot be written.
    """
    return _write_record(record, "brief")


def _write_record(record: MachineRecord, kind: str) -> Path:
    stamp = record.machine["created"].replace(":", "").replace("+0000", "Z")
    return write_record(f"{kind}-{stamp}.json", json.dumps(record.to_dict(), indent=1) + "\n")


def last_like(record: MachineRecord) -> MachineRecord | None:
    """Return the last saved measurement of this machine with as many threads, or None."""
    wanted = _kind(record)
    paths = sorted((data_folder() / "records").glob("measure-*.json"), reverse=True)
    for path in paths[:_MOST_RECORDS]:
        found = _read(path)
        if found is not None and _kind(found) == wanted:
            return found
    return None


def _kind(record: MachineRecord) -> tuple[object, ...]:
    machine = record.machine
    return machine.get("cpu"), record.threads, machine.get("device"), machine.get("gpu")


def _read(path: Path) -> MachineRecord | None:
    """Read a record that this program wrote; one that was changed since is passed over."""
    try:
        found = load_record(MachineRecord, path)
        roofs(found)
    except (MemoryWallError, KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return found


def toy_floors(
    calibration: Calibration, model_type: str, layers: int, dtype: str
) -> tuple[float, int]:
    """Price a toy without the framework: the seconds of its calls, and how many they are."""
    from memorywall.bench.toys import toy_config  # noqa: PLC0415 - with the bench's extras only

    model = load_model(toy_config(model_type, layers))
    stub = Hardware("toy", {dtype: 1.0}, (Memory("none", None, 1.0),))
    cache = dtype if model.causal else None
    precision = Precision(dtype, dtype, cache)
    question = settle(Scenario(model, Workload("prefill", 1, 1), stub, precision))
    # Unfused, as the framework runs it.
    program = model.lower(question.forward(question.passes[0]))
    return float(estimate(program, calibration).seconds), calls(program)


def _places(peaks: Mapping[str, float], levels: int, links: int) -> list[str]:
    return [
        *(f"peaks.{dtype}" for dtype in peaks),
        *(
            f"memories[{n}].{what}"
            for n in range(1, levels + 1)
            for what in ("capacity", "bandwidth")
        ),
        *(f"links[{n}].bandwidth" for n in range(1, links + 1)),
    ]

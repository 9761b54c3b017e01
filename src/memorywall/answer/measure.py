"""Measure this machine: micro-benchmarks in processes of their own, a device and a record out."""

from __future__ import annotations

import importlib.util
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memorywall.answer.settle import settle
from memorywall.bench import gpu, ranks
from memorywall.bench.agreement import compare
from memorywall.bench.calibrate import calibrate
from memorywall.bench.machine import Company, caches, describe, usable_cores, wait_until_idle
from memorywall.bench.plan import Case, cases
from memorywall.bench.runner import answers
from memorywall.bench.samples import SCHEMA, MachineRecord, warnings
from memorywall.bench.timing import Measurement
from memorywall.catalog.measured import data_folder, save_here
from memorywall.core.calibration import Calibration
from memorywall.core.errors import InvalidInputError, MissingDependencyError, shown
from memorywall.core.files import write_text
from memorywall.core.hardware import Hardware, Link, Memory
from memorywall.core.scenario import Scenario
from memorywall.core.units import render_count
from memorywall.core.workload import Precision, Workload
from memorywall.cost.calibrated import calls, estimate
from memorywall.frontends.hf import load_model

_NEEDED = ("numba", "torch", "transformers")
_MOST_RECORDS = 1000
# Cases between two looks at what a GPU's driver says of it.
_LOOK_EVERY = 20


@dataclass(frozen=True, slots=True)
class Saved:
    """A measurement on disk.

    Attributes:
        hardware: the measured device, with its calibration.
        toml, record: where device and record lie.
        agreement: how the ceilings compare with the last measurement of the same kind; None where
            there is none.
    """

    hardware: Hardware
    toml: str
    record: str
    agreement: dict[str, Any] | None


def measure_machine(
    *,
    quick: bool = False,
    threads: int | None = None,
    device: str = "cpu",
    processes: int = 1,
    progress: Callable[[int, int], object] = lambda _done, _total: None,
) -> MachineRecord:
    """Run the micro-benchmarks and return what they found.

    Args:
        quick: fewer sizes and shorter samples: under a minute in place of under ten.
        threads: how many to use, each pinned to a core; by default every core that may be used.
        device: ``cpu`` or ``cuda``.
        processes: with more than one, collectives between so many are measured as well.
        progress: called with how many cases are done, and of how many.

    Raises:
        MissingDependencyError: torch, transformers or numba is not installed.
        InvalidInputError: more threads than cores, more processes than cores or GPUs, or no such
            device.
    """
    for library in _NEEDED:
        if importlib.util.find_spec(library) is None:
            raise MissingDependencyError(library, "measure", "measuring")
    _check_device(device, processes)
    count = usable_cores() if threads is None else threads
    if not 1 <= count <= usable_cores():
        raise InvalidInputError(
            f"threads must be 1 to {usable_cores()}, the cores that may be used; got {count}."
        )
    plan = cases(quick=quick, caches=caches(), device=device)
    between = ranks.collectives(quick=quick) if processes > 1 else []
    busy = wait_until_idle()
    machine = {**describe(count), "busy_cores_before": busy, "device": device}
    company, run = Company(), _Run(len(plan) + len(between), device, progress)
    for case, answer in itertools.chain(
        answers(plan, count, device),
        ranks.answers(between, processes, device) if between else (),
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


@dataclass(slots=True)
class _Run:
    """What has come in so far."""

    total: int
    device: str
    progress: Callable[[int, int], object]
    done: int = 0
    measurements: list[Measurement] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)
    gpu: dict[str, Any] = field(default_factory=dict)

    def take(self, case: Case, answer: dict[str, Any]) -> None:
        """Keep what a case found, or why it did not run."""
        if "error" in answer:
            self.failures.append(f"{_named(case)}: {answer['error']}")
        else:
            self.measurements.append(Measurement.from_dict(answer["measurement"]))
        if answer.get("page_size"):
            self.pages.append(answer["page_size"])
        if self.device != "cpu" and self.done % _LOOK_EVERY == 0:
            self._look_at_gpu()
        self.done += 1
        self.progress(self.done, self.total)

    def _look_at_gpu(self) -> None:
        seen = gpu.describe()
        held_back = {*self.gpu.get("throttled", ()), *seen.get("throttled", ())}
        self.gpu = {**seen, "throttled": sorted(held_back)}


def _check_device(device: str, processes: int) -> None:
    if device not in ("cpu", "cuda"):
        raise InvalidInputError(f"device {shown(device)} is not known.", "Choose cpu or cuda.")
    most = usable_cores()
    if device == "cuda":
        import torch  # noqa: PLC0415 - slow, and only asked about a GPU

        if not torch.cuda.is_available():
            raise InvalidInputError(
                "torch sees no CUDA GPU here.", "Measure the processor: memorywall measure"
            )
        most = torch.cuda.device_count()
    if not 1 <= processes <= most:
        raise InvalidInputError(
            f"processes must be 1 to {most}, one for each "
            f"{'GPU' if device == 'cuda' else 'core'}; got {processes}."
        )


def to_hardware(record: MachineRecord) -> Hardware:
    """Return a measured machine as a device that models can be priced on, with its calibration."""
    ceilings, machine = record.ceilings(), record.machine
    on_gpu = machine.get("device", "cpu") != "cpu"
    title = machine.get("gpu") or f"{machine['cpu']}, {render_count(record.threads, 'thread')}"
    links = [
        Link(f"{name.replace('_', ' ')}, {machine.get('processes')} processes", rate)
        for name, rate in ceilings["collectives"].items()
    ]
    memories = [
        *_cache_levels(record, ceilings["caches"]),
        Memory(
            "device memory" if on_gpu else "DRAM",
            machine.get("gpu_memory_bytes" if on_gpu else "memory_bytes"),
            ceilings["dram"]["read"],
        ),
    ]
    source = f"memorywall measure on {machine['created']}: {title}"
    return Hardware(
        name="here",
        peaks=ceilings["gemm"],
        memories=tuple(memories),
        links=tuple(links),
        kind="measured",
        title=title,
        device_class="measured",
        sources=dict.fromkeys(_places(ceilings["gemm"], len(memories), len(links)), source),
        notes=tuple(record.warnings),
        calibration=calibrate(record.measurements, toy_floors),
    )


def _cache_levels(record: MachineRecord, rates: dict[str, float]) -> Iterator[Memory]:
    """Yield the caches, each core's own as often as there are threads; the last level is shared."""
    known = record.machine.get("caches") or {}
    for level, rate in rates.items():
        yield Memory(level, known[level] * (record.threads if level != max(known) else 1), rate)


def save(record: MachineRecord) -> Saved:
    """Write device and record under the user's data folder, and compare with the last one."""
    hardware = to_hardware(record)
    before = last_like(record)
    on_gpu = record.machine.get("device", "cpu") != "cpu"
    toml = save_here(hardware, "cuda" if on_gpu else record.threads)
    stamp = record.machine["created"].replace(":", "").replace("+0000", "Z")
    path = data_folder() / "records" / f"measure-{stamp}.json"
    write_text(path, json.dumps(record.to_dict(), indent=1) + "\n")
    agreement = None if before is None else compare(before, record)
    return Saved(hardware, str(toml), str(path), agreement)


def last_like(record: MachineRecord) -> MachineRecord | None:
    """Return the last saved measurement of this machine with as many threads, or None."""
    wanted = _kind(record.to_dict())
    paths = sorted((data_folder() / "records").glob("measure-*.json"), reverse=True)
    for path in paths[:_MOST_RECORDS]:
        found = _read(path)
        if found is not None and _kind(found) == wanted:
            return MachineRecord.from_dict(found)
    return None


def _kind(record: dict[str, Any]) -> tuple[object, ...]:
    machine = record["machine"]
    return (
        record["schema"], machine["cpu"], record["threads"], machine.get("device"),
        machine.get("gpu"),
    )  # fmt: skip


def _read(path: Path) -> dict[str, Any] | None:
    """Read a record that this program wrote; one that was spoilt since is passed over."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        _kind(record)
        MachineRecord.from_dict(record).ceilings()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if record["schema"] == SCHEMA else None


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


def _named(case: Case) -> str:
    said = {key: value for key, value in case.items() if key != "budget_s"}
    return ", ".join(f"{key} {value}" for key, value in said.items())


def _places(peaks: dict[str, float], levels: int, links: int) -> list[str]:
    return [
        *(f"peaks.{dtype}" for dtype in peaks),
        *(
            f"memories[{n}].{what}"
            for n in range(1, levels + 1)
            for what in ("capacity", "bandwidth")
        ),
        *(f"links[{n}].bandwidth" for n in range(1, links + 1)),
    ]

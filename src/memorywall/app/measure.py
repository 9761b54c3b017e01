"""Measure this machine: micro-benchmarks in a process of their own, a device and a record out."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from memorywall.bench.calibrate import calibrate
from memorywall.bench.machine import caches, describe, usable_cores, wait_until_idle
from memorywall.bench.plan import Case, cases
from memorywall.bench.runner import answers
from memorywall.bench.timing import Measurement
from memorywall.catalog.measured import data_folder, save_here
from memorywall.core.calibration import Calibration
from memorywall.core.errors import InvalidInputError, MissingDependencyError, shown
from memorywall.core.files import write_text
from memorywall.core.hardware import Hardware, Memory
from memorywall.core.scenario import Precision, Scenario, Workload
from memorywall.cost.calibrated import calls, estimate
from memorywall.frontends.hf import load_model

SCHEMA = "memorywall.measurement/1"
_NEEDED = ("numba", "torch", "transformers")
_BUSY = 0.15
# A dtype that runs under this share of fp32's rate has no arithmetic of its own here.
_CRAWLING = 0.05


@dataclass(frozen=True, slots=True)
class MachineRecord:
    """What was measured of a machine.

    Attributes:
        machine: its description, with versions, load and clocks.
        threads: how many were used, each pinned.
        page_size: bytes of the pages that backed the streams.
        measurements: every case with all of its samples.
        warnings: what makes the numbers doubtful, each with what to do.
        failures: cases that did not run, and why.
    """

    machine: dict[str, Any]
    threads: int
    quick: bool
    page_size: int | None
    measurements: tuple[Measurement, ...]
    warnings: tuple[str, ...] = ()
    failures: tuple[str, ...] = field(default=())

    def ceilings(self) -> dict[str, Any]:
        """Return the roofs: byte/s of each stream, of each cache, FLOP/s by dtype, latencies."""
        streams = {
            m.parameters["function"]: m.byte_per_s for m in self.measurements if m.name == "stream"
        }
        gemm: dict[str, float] = {}
        for m in self.measurements:
            if m.name == "gemm":
                dtype = m.parameters["dtype"]
                gemm[dtype] = max(gemm.get(dtype, 0.0), m.flops / min(m.seconds))
        sweeps = [m for m in self.measurements if m.name == "sweep"]
        known = self.machine.get("caches") or {}
        levels = {
            level: max(
                (m.byte_per_s for m in sweeps if size / 4 <= m.parameters["nbytes"] <= size / 2),
                default=0.0,
            )
            for level, size in known.items()
        }
        launch = next((m.median_s for m in self.measurements if m.name == "launch"), None)
        return {
            "dram": streams,
            "caches": {level: rate for level, rate in levels.items() if rate},
            "gemm": gemm,
            "crawling": [d for d, rate in gemm.items() if rate < _CRAWLING * gemm.get("fp32", 0.0)],
            "latency_s": {
                str(m.parameters["nbytes"]): m.median_s / m.parameters["steps"]
                for m in self.measurements
                if m.name == "chase"
            },
            "launch_s": launch,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the record."""
        return {
            "schema": SCHEMA,
            "machine": self.machine,
            "threads": self.threads,
            "quick": self.quick,
            "page_size": self.page_size,
            "ceilings": self.ceilings(),
            "warnings": list(self.warnings),
            "failures": list(self.failures),
            "measurements": [m.to_dict() for m in self.measurements],
        }

    @staticmethod
    def from_dict(record: dict[str, Any]) -> MachineRecord:
        """Read a record back, so that it can be put through the same statistics again."""
        return MachineRecord(
            record["machine"],
            record["threads"],
            record["quick"],
            record["page_size"],
            tuple(Measurement.from_dict(m) for m in record["measurements"]),
            tuple(record["warnings"]),
            tuple(record["failures"]),
        )


def measure_machine(
    *,
    quick: bool = False,
    threads: int | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], object] = lambda _done, _total: None,
) -> MachineRecord:
    """Run the micro-benchmarks and return what they found.

    Args:
        quick: fewer sizes and shorter samples: under a minute in place of under ten.
        threads: how many to use, each pinned to a core; by default every core that may be used.
        device: ``cpu`` or ``cuda``.
        progress: called with how many cases are done, and of how many.

    Raises:
        MissingDependencyError: torch, transformers or numba is not installed.
        InvalidInputError: more threads than cores, or no such device.
    """
    for library in _NEEDED:
        if importlib.util.find_spec(library) is None:
            raise MissingDependencyError(library, "measure", "measuring")
    _check_device(device)
    count = usable_cores() if threads is None else threads
    if not 1 <= count <= usable_cores():
        raise InvalidInputError(
            f"threads: expected 1 to {usable_cores()}, the cores that may be used; got {count}."
        )
    busy = wait_until_idle()
    plan = cases(quick=quick, caches=caches(), device=device)
    machine = {**describe(count), "busy_cores_before": busy}
    found: list[Measurement] = []
    failures, pages = [], []
    for done, (case, answer) in enumerate(answers(plan, count, device), start=1):
        if "error" in answer:
            failures.append(f"{_named(case)}: {answer['error']}")
        else:
            found.append(Measurement.from_dict(answer["measurement"]))
        if case["case"] == "stream" and "page_size" in answer:
            pages.append(answer["page_size"])
        progress(done, len(plan))
    return MachineRecord(
        machine,
        count,
        quick,
        min(pages, default=None),
        tuple(found),
        tuple(_warnings(found, busy, count)),
        tuple(failures),
    )


def _check_device(device: str) -> None:
    if device not in ("cpu", "cuda"):
        raise InvalidInputError(f"device {shown(device)} is not known.", "Choose cpu or cuda.")
    if device == "cuda":
        import torch  # noqa: PLC0415 - slow, and only asked about a GPU

        if not torch.cuda.is_available():
            raise InvalidInputError(
                "torch sees no CUDA GPU here.", "Measure the processor: memorywall measure"
            )


def to_hardware(record: MachineRecord) -> Hardware:
    """Return a measured machine as a device that models can be priced on, with its calibration."""
    ceilings = record.ceilings()
    known = record.machine.get("caches") or {}
    levels = [
        Memory(level, known[level] * (record.threads if level != max(known) else 1), rate)
        for level, rate in ceilings["caches"].items()
    ]
    main = Memory("DRAM", record.machine.get("memory_bytes"), ceilings["dram"]["read"])
    created, cpu = record.machine["created"], record.machine["cpu"]
    source = f"memorywall measure on {created}: {cpu}, {record.threads} threads"
    device = Hardware(
        name="here",
        peaks=ceilings["gemm"],
        memories=(*levels, main),
        kind="measured",
        title=f"{cpu}, {record.threads} threads",
        device_class="measured",
        sources=dict.fromkeys(_places(ceilings["gemm"], len(levels) + 1), source),
        notes=tuple(record.warnings),
    )
    calibration = calibrate(record.measurements, toy_floors)
    return device.replace(kind="measured", calibration=calibration, sources=device.sources)


def save(record: MachineRecord) -> tuple[Hardware, str, str]:
    """Write device and record under the user's data folder; return the device and both paths."""
    device = to_hardware(record)
    toml = save_here(device, record.threads)
    stamp = record.machine["created"].replace(":", "").replace("+0000", "Z")
    path = data_folder() / "records" / f"measure-{stamp}.json"
    write_text(path, json.dumps(record.to_dict(), indent=1) + "\n")
    return device, str(toml), str(path)


def toy_floors(
    calibration: Calibration, model_type: str, layers: int, dtype: str
) -> tuple[float, int]:
    """Price a toy without the framework: the seconds of its calls, and how many they are."""
    from memorywall.bench.toys import toy_config  # noqa: PLC0415 - with the bench's extras only

    model = load_model(toy_config(model_type, layers))
    phase = "encode" if model_type == "bert" else "prefill"
    stub = Hardware("toy", {dtype: 1.0}, (Memory("none", None, 1.0),))
    scenario = Scenario(model, Workload(phase, 1, 1), stub, Precision(dtype, dtype, dtype))  # type: ignore[arg-type]
    program = model.lower(scenario.forward(phase, 1))  # unfused, as the framework runs it
    return float(estimate(program, calibration).seconds), calls(program)


def _warnings(found: list[Measurement], busy: float | None, threads: int) -> Iterator[str]:
    if busy is not None and busy > _BUSY:
        yield (
            f"Others used {busy:.1f} cores while the measurement began; on a quiet machine run: "
            f"memorywall measure --threads {threads}"
        )
    unstable = [m for m in found if not m.stable]
    if len(unstable) > len(found) / 4:
        yield (
            f"{len(unstable)} of {len(found)} cases spread by more than 10 %: the machine is not "
            f"quiet. Run again: memorywall measure --threads {threads}"
        )


def _named(case: Case) -> str:
    said = {key: value for key, value in case.items() if key != "budget_s"}
    return ", ".join(f"{key} {value}" for key, value in said.items())


def _places(peaks: dict[str, float], levels: int) -> list[str]:
    return [
        *(f"peaks.{dtype}" for dtype in peaks),
        *(
            f"memories[{n}].{what}"
            for n in range(1, levels + 1)
            for what in ("capacity", "bandwidth")
        ),
    ]

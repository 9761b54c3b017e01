"""The measurements of a machine: every sample, and the resulting roofs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from memorywall.bench.timing import Measurement

SCHEMA = "memorywall.measurement/2"
# A dtype below this share of fp32's rate has no native arithmetic on the machine.
_CRAWLING = 0.05
_BUSY = 0.15


@dataclass(frozen=True, slots=True)
class MachineRecord:
    """The measurements of a machine.

    Attributes:
        machine: its description, with versions, load and clocks.
        threads: the number used, each pinned.
        page_size: bytes of the pages that backed the streams.
        measurements: every case with all of its samples; the cases that give ceilings occur several
            times, from rounds over the whole run.
        warnings: reasons to doubt the numbers, each with the next step.
        failures: cases that did not run, and the reasons.
    """

    machine: dict[str, Any]
    threads: int
    quick: bool
    page_size: int | None
    measurements: tuple[Measurement, ...]
    warnings: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()

    def ceilings(self) -> dict[str, Any]:
        """Return the roofs, each the fastest of its samples, as STREAM reports them.

        byte/s of each stream, each cache and each collective, FLOP/s by dtype, seconds of latency.
        """
        gemm = _fastest(self.measurements, "gemm", "dtype", "flops")
        known = self.machine.get("caches") or {}
        return {
            "dram": _fastest(self.measurements, "stream", "function", "moved_bytes"),
            "caches": dict(_caches(self.measurements, known)),
            "gemm": gemm,
            "crawling": [d for d, rate in gemm.items() if rate < _CRAWLING * gemm.get("fp32", 0.0)],
            "gemv": _fastest(
                (m for m in self.measurements if m.parameters.get("rows") == 1),
                "linear", "dtype", "moved_bytes",
            ),
            "collectives": _fastest(self.measurements, "collective", "function", "moved_bytes"),
            "latency_s": {
                size: 1 / rate
                for size, rate in _fastest(self.measurements, "chase", "nbytes", "steps").items()
            },
            "launch_s": min(
                (min(m.seconds) for m in self.measurements if m.name == "launch"), default=None
            ),
            "launch_graph_s": min(
                (min(m.seconds) for m in self.measurements if m.name == "launch_graph"),
                default=None,
            ),
        }  # fmt: skip

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
        """Read a record, so that the same statistics can be computed again."""
        return MachineRecord(
            record["machine"],
            record["threads"],
            record["quick"],
            record["page_size"],
            tuple(Measurement.from_dict(m) for m in record["measurements"]),
            tuple(record["warnings"]),
            tuple(record["failures"]),
        )


def warnings(measurements: Iterable[Measurement], machine: dict[str, Any]) -> Iterator[str]:
    """Yield the reasons to doubt measurements, each with the next command."""
    found = list(measurements)
    again = f"memorywall measure --threads {machine['threads']}"
    for when in ("busy_cores_before", "others_cores"):
        busy = machine.get(when)
        if busy is not None and busy > _BUSY:
            moment = "before" if when == "busy_cores_before" else "while"
            yield f"Others used {busy:.1f} cores {moment} it was measured. When quiet: {again}"
    stolen = machine.get("stolen_cores")
    if stolen is not None and stolen > _BUSY / 3:
        yield f"The host withheld {stolen:.2f} cores from this virtual machine. Run again: {again}"
    unstable = [m for m in found if not m.stable]
    if len(unstable) > len(found) / 4:
        yield (
            f"{len(unstable)} of {len(found)} cases spread by more than 10 %: the machine is not "
            f"quiet. Run again: {again}"
        )
    for fault in machine.get("throttled") or ():
        yield f"The GPU was throttled: {fault}. Cool it or raise its limit, then: {again}"


def _fastest(
    measurements: Iterable[Measurement], name: str, by: str, work: str
) -> dict[str, float]:
    """Return the highest rate of each kind of one case: a roof is the attainable rate."""
    rates: dict[str, float] = {}
    for m in measurements:
        if m.name == name:
            kind = str(m.parameters[by])
            done = m.parameters["steps"] if work == "steps" else getattr(m, work)
            rates[kind] = max(rates.get(kind, 0.0), done / min(m.seconds))
    return rates


def _caches(
    measurements: Iterable[Measurement], known: dict[str, int]
) -> Iterator[tuple[str, float]]:
    """Yield each level's byte/s: the best between a quarter and a half of its size."""
    sweeps = [m for m in measurements if m.name == "sweep"]
    for level, size in known.items():
        inside = [m for m in sweeps if size / 4 <= m.parameters["nbytes"] <= size / 2]
        if inside:
            yield level, max(m.moved_bytes / min(m.seconds) for m in inside)

"""The measurements of a machine: every sample, and the resulting roofs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.bench.timing import Measurement, interval
from memorywall.core.calibration import Rate
from memorywall.core.records import from_record, recorded, to_record

SCHEMA = "memorywall.measurement/2"
# A dtype below this share of fp32's rate has no native arithmetic on the machine.
_CRAWLING = 0.05
_BUSY = 0.15
_DECODE_RATES = (
    ("reading from memory", ("stream",), "byte/s"),
    ("weights of one row's product", ("conv1d", "linear"), "byte/s"),
    ("matrix product in fp32", ("gemm",), "FLOP/s"),
)


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The roofs of a measured machine.

    Attributes:
        dram: byte/s of each stream.
        caches: byte/s read from each level.
        gemm: FLOP/s of matrix products by dtype.
        crawling: dtypes without native arithmetic.
        gemv: byte/s of the weights of products of one row, by dtype.
        collectives: byte/s on the bus of each collective.
        latency_s: of one access, by the bytes of the working set.
        launch_s, launch_graph_s: of asking for one operator, and of replaying it from a graph; None
            where that was not measured.
    """

    dram: Mapping[str, float]
    caches: Mapping[str, float]
    gemm: Mapping[str, float]
    crawling: tuple[str, ...]
    gemv: Mapping[str, float]
    collectives: Mapping[str, float]
    latency_s: Mapping[str, float]
    launch_s: float | None
    launch_graph_s: float | None


@recorded(SCHEMA, derived=("ceilings",))
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

    machine: Mapping[str, Any]
    threads: int
    quick: bool
    page_size: int | None
    measurements: tuple[Measurement, ...]
    warnings: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()

    @property
    def ceilings(self) -> Ceilings:
        """The roofs, each the fastest of its samples, as STREAM reports them."""
        found = self.measurements
        gemm = _fastest(found, "gemm", "dtype", "flops")
        one_row = (m for m in found if m.parameters.get("rows") == 1)
        chases = _fastest(found, "chase", "nbytes", "steps")
        return Ceilings(
            dram=_fastest(found, "stream", "function", "moved_bytes"),
            caches=dict(_caches(found, self.machine.get("caches") or {})),
            gemm=gemm,
            crawling=tuple(d for d, r in gemm.items() if r < _CRAWLING * gemm.get("fp32", 0.0)),
            gemv=_fastest(one_row, "linear", "dtype", "moved_bytes"),
            collectives=_fastest(found, "collective", "function", "moved_bytes"),
            latency_s={size: 1 / rate for size, rate in chases.items()},
            launch_s=_quickest(found, "launch"),
            launch_graph_s=_quickest(found, "launch_graph"),
        )

    def decode_rates(self) -> Iterator[Rate]:
        """Yield what decides a decode step, with its spread: traffic and arithmetic.

        Reading, a product of one row with weights (conv1d and linear, all sizes together) and a
        square product, in fp32.
        """
        for what, names, unit in _DECODE_RATES:
            rates = [
                (m.flops if unit == "FLOP/s" else m.moved_bytes) / seconds
                for m in self.measurements
                if m.name in names and m.parameters.get("rows", 1) == 1
                and m.parameters.get("function", "read") == "read"
                and m.parameters.get("dtype", "fp32") == "fp32"
                for seconds in m.seconds
            ]  # fmt: skip
            if rates:
                low, high = interval(rates, 0.8)
                yield Rate(what, unit, statistics.median(rates), low, high, len(rates))

    def to_dict(self) -> dict[str, Any]:
        """Return the record."""
        return to_record(self)

    @staticmethod
    def from_dict(record: Mapping[str, Any]) -> MachineRecord:
        """Read a record back, so that it can be put through the same statistics again.

        Raises:
            MemoryWallError: not such a record, or one of a later version.
        """
        return from_record(MachineRecord, record, "measurement")


def warnings(
    measurements: Iterable[Measurement], machine: Mapping[str, Any], again: str = ""
) -> Iterator[str]:
    """Yield what makes measurements doubtful, each with the next command (``again``)."""
    found = list(measurements)
    again = again or f"memorywall measure --threads {machine['threads']}"
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


def _quickest(measurements: Iterable[Measurement], name: str) -> float | None:
    """Return the shortest sample of one case, or None where it did not run."""
    return min((min(m.seconds) for m in measurements if m.name == name), default=None)


def _caches(
    measurements: Iterable[Measurement], known: dict[str, int]
) -> Iterator[tuple[str, float]]:
    """Yield each level's byte/s: the best between a quarter and a half of its size."""
    sweeps = [m for m in measurements if m.name == "sweep"]
    for level, size in known.items():
        inside = [m for m in sweeps if size / 4 <= m.parameters["nbytes"] <= size / 2]
        if inside:
            yield level, max(m.moved_bytes / min(m.seconds) for m in inside)

"""Compare two measurements of one machine, and find the causes of differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from memorywall.bench.samples import MachineRecord
from memorywall.core.records import recorded

# Ceilings of two runs within this share of each other agree.
AGREES = 0.05
_BUSY = 0.15


@recorded(derived=("ratio",))
@dataclass(frozen=True, slots=True)
class Move:
    """A ceiling that moved: its rate in the earlier run and now."""

    before: float
    now: float

    @property
    def ratio(self) -> float:
        """The rate now over the earlier one."""
        return self.now / self.before


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the ceilings of two runs compare.

    Attributes:
        created: when the earlier run was.
        compared: ceilings that both runs have.
        moved: those that moved by more than 5 %, by their paths.
        reasons: what is known of why; empty where nothing moved.
    """

    created: str
    compared: int
    moved: Mapping[str, Move]
    reasons: tuple[str, ...]


def compare(before: MachineRecord, now: MachineRecord) -> Agreement:
    """Return the ceilings that changed by more than 5 %, and the known causes."""
    old, new = roofs(before), roofs(now)
    shared = [path for path in new if path in old]
    moved = {
        path: Move(old[path], new[path])
        for path in shared
        if abs(new[path] / old[path] - 1) > AGREES
    }
    reasons = tuple(_reasons(before, now)) if moved else ()
    return Agreement(before.machine["created"], len(shared), moved, reasons)


def roofs(record: MachineRecord) -> dict[str, float]:
    """Return a record's rates by path, such as ``dram.read``."""
    found = record.ceilings
    kinds = {
        "dram": found.dram, "caches": found.caches, "gemm": found.gemm,
        "collectives": found.collectives,
    }  # fmt: skip
    return {f"{kind}.{name}": rate for kind, rates in kinds.items() for name, rate in rates.items()}


def _reasons(before: MachineRecord, now: MachineRecord) -> Iterator[str]:
    """Yield the differences between the runs; without any, the unsteadiness of the machine."""
    told = [
        *_changed(before, now),
        *_company(before.machine, "the earlier run"),
        *_company(now.machine, "this run"),
        *_unsteady(before, "the earlier run"),
        *_unsteady(now, "this run"),
    ]
    yield from told or [
        "no reading of this machine accounts for it; measure a third time and keep the faster"
    ]


def _changed(before: MachineRecord, now: MachineRecord) -> Iterator[str]:
    if before.page_size != now.page_size:
        yield f"streams ran on pages of {before.page_size} bytes, now of {now.page_size}"
    if before.quick != now.quick:
        yield "one of them was --quick"
    for key in ("cpu", "gpu", "driver", "governor", "system", "python"):
        old, new = before.machine.get(key), now.machine.get(key)
        if old != new:
            yield f"{key} was {old} and is {new}"
    versions = before.machine.get("libraries") or {}, now.machine.get("libraries") or {}
    for name in sorted(set(versions[0]) & set(versions[1])):
        if versions[0][name] != versions[1][name]:
            yield f"{name} was {versions[0][name]} and is {versions[1][name]}"
    was, now_hz = before.machine.get("clock_hz"), now.machine.get("clock_hz")
    if was and now_hz and abs(now_hz / was - 1) > AGREES / 2:
        yield f"the clock was {was / 1e9:.2f} GHz and is now {now_hz / 1e9:.2f}"


def _company(machine: Mapping[str, Any], when: str) -> Iterator[str]:
    others, stolen = machine.get("others_cores"), machine.get("stolen_cores")
    if others is not None and others > _BUSY:
        yield f"other processes used {others:.1f} cores during {when}"
    if stolen is not None and stolen > _BUSY / 3:
        yield f"the host withheld {stolen:.2f} cores during {when}"


def _unsteady(record: MachineRecord, when: str) -> Iterator[str]:
    """Yield the ceiling that changed most between the rounds of one run."""
    name, share = max(_within(record).items(), key=lambda item: item[1], default=("", 0.0))
    if share > AGREES:
        yield (
            f"within {when} alone {name} changed by {share:.0%} between rounds: the machine is "
            "unsteady, as shared machines are"
        )


def _within(record: MachineRecord) -> dict[str, float]:
    """Return the change of each ceiling between the rounds of one run, as a share."""
    rounds: dict[str, list[float]] = {}
    for m in record.measurements:
        if m.name in ("stream", "gemm", "sweep"):
            said = {k: v for k, v in m.parameters.items() if k != "budget_s"}
            name = f"{m.name} {' '.join(str(v) for v in said.values())}"
            rounds.setdefault(name, []).append(min(m.seconds))
    return {name: max(best) / min(best) - 1 for name, best in rounds.items() if len(best) > 1}

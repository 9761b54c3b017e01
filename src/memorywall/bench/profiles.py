"""Models that ran on a measured machine: what was predicted of each case, and what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from memorywall.core.records import Values, from_record, recorded, to_record


def _with_peaks(case: Values) -> Values:
    """Return a case of version 1, which kept attained rates and shares in place of the peaks."""
    peaks = {
        f"peak_{rate}": case[rate] / case[share] if case[share] else None
        for rate, share in (("flop_per_s", "mfu"), ("byte_per_s", "mbu"))
    }
    return {**case, **peaks}


def cases_of_version_2(cases: list[Values]) -> list[Values]:
    """Return the cases of a record whose profiles are of version 1 as version 2 has them."""
    return [_with_peaks(case) for case in cases]


@recorded(
    derived=("measured_s", "ratio", "flop_per_s", "byte_per_s", "mfu", "mbu", "over_the_roof")
)
@dataclass(frozen=True, slots=True)
class ProfiledCase:
    """One forward pass: predicted before it ran, then measured.

    Attributes:
        phase, batch_size, seq_len, dtype, threads: what ran.
        predicted_s, low_s, high_s: by the machine's calibration, with the interval that is to hold
            80 % of what is measured.
        roofline_s: the bound at the machine's measured ceilings.
        bound: the resource that binds by that roofline.
        predicted_by_class: seconds.
        work_by_class: FLOPs and bytes of one pass, fused, by class.
        peak_flop_per_s, peak_byte_per_s: the machine's measured ceilings in this dtype; None where
            a record of an earlier version does not hold them.
        samples_s: every sample, of one pass; empty where it did not run.
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
    predicted_by_class: Mapping[str, float]
    work_by_class: Mapping[str, tuple[float, float]]
    peak_flop_per_s: float | None
    peak_byte_per_s: float | None
    samples_s: tuple[float, ...] = ()
    measured_by_class: Mapping[str, float] = field(default_factory=dict)
    error: str = ""

    @property
    def flops(self) -> float:
        """FLOPs of one pass."""
        return sum(flops for flops, _ in self.work_by_class.values())

    @property
    def moved_bytes(self) -> float:
        """Bytes that one pass moves, fused."""
        return sum(moved for _, moved in self.work_by_class.values())

    @property
    def measured_s(self) -> float | None:
        """The median of the samples; None where it did not run."""
        return statistics.median(self.samples_s) if self.samples_s else None

    @property
    def ratio(self) -> float | None:
        """Predicted over measured seconds."""
        return self.predicted_s / self.measured_s if self.measured_s else None

    @property
    def inside(self) -> bool:
        """Whether it ran, and within the predicted interval."""
        return self.measured_s is not None and self.low_s <= self.measured_s <= self.high_s

    @property
    def flop_per_s(self) -> float | None:
        """Attained FLOP/s."""
        return self.flops / self.measured_s if self.measured_s else None

    @property
    def byte_per_s(self) -> float | None:
        """Attained byte/s."""
        return self.moved_bytes / self.measured_s if self.measured_s else None

    @property
    def mfu(self) -> float | None:
        """Share of the machine's measured FLOP/s in this dtype that was attained."""
        return _share(self.flop_per_s, self.peak_flop_per_s)

    @property
    def mbu(self) -> float | None:
        """Share of the machine's measured bandwidth that was attained."""
        return _share(self.byte_per_s, self.peak_byte_per_s)

    @property
    def over_the_roof(self) -> bool:
        """Whether an attained rate is above the machine's own ceiling, which needs explaining."""
        return max(self.mfu or 0.0, self.mbu or 0.0) > 1.0


def _share(attained: float | None, peak: float | None) -> float | None:
    return None if attained is None or peak is None else attained / peak


@dataclass(frozen=True, slots=True)
class ProfiledRoofs:
    """The measured ceilings that cases are drawn under.

    Attributes:
        flop_per_s: by dtype.
        byte_per_s: by memory level.
    """

    flop_per_s: Mapping[str, float]
    byte_per_s: Mapping[str, float]


def _version_2(record: Values) -> Values:
    return {**record, "cases": cases_of_version_2(record["cases"])}


@recorded("memorywall.profile/2", names={"class_name": "class"}, upgrades={1: _version_2})
@dataclass(frozen=True, slots=True)
class Profile:
    """A model's forward passes over a grid on this machine: predicted, then measured.

    Attributes:
        model, class_name: its name, and transformers' class that ran.
        weights: ``random``, or the checkpoint that was loaded.
        hardware: the measured machine's title.
        roofs: its ceilings.
        machine: its description when the run began, as ``bench.machine.describe`` returns it.
        record: where the record lies.
        cases: in the order in which they ran.
    """

    model: str
    class_name: str
    weights: str
    hardware: str
    roofs: ProfiledRoofs
    machine: Mapping[str, Any]
    record: str
    cases: tuple[ProfiledCase, ...]

    @property
    def ran(self) -> tuple[ProfiledCase, ...]:
        """The cases that ran."""
        return tuple(case for case in self.cases if case.measured_s)

    def to_dict(self) -> dict[str, Any]:
        """Return its record."""
        return to_record(self)

    @staticmethod
    def from_dict(record: Mapping[str, Any]) -> Profile:
        """Read a record back.

        Raises:
            MemoryWallError: not such a record, or one of a later version.
        """
        return from_record(Profile, record, "profile")

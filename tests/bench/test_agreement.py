"""Whether two measurements of a machine agree, on records whose rates are put in by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memorywall.answer.measure import last_like, save
from memorywall.bench.agreement import compare, roofs
from memorywall.bench.samples import MachineRecord, warnings
from memorywall.bench.timing import Measurement

MACHINE: dict[str, Any] = {
    "created": "2026-11-23T00:00:00+00:00", "cpu": "an abacus", "threads": 1, "device": "cpu",
    "caches": {"L1": 32768}, "libraries": {"torch": "2.13.0"}, "clock_hz": 3e9,
}  # fmt: skip


def record(seconds: dict[str, float], **machine: Any) -> MachineRecord:
    """A machine whose read takes so long for 1 GB and whose product for 1 GFLOP."""
    found = [
        Measurement("stream", (seconds["read"],), 1, 0.0, 1e9, {"function": "read"}),
        Measurement("gemm", (seconds["gemm"],), 1, 1e9, 0.0, {"dtype": "fp32", "m": 8}),
        Measurement("sweep", (0.5,), 1, 0.0, 1e9, {"nbytes": 16384}),
    ]
    return MachineRecord({**MACHINE, **machine}, 1, True, 2**21, tuple(found))


BASE = record({"read": 0.1, "gemm": 0.01})


def test_ceilings_are_the_fastest_samples() -> None:
    slow = Measurement("stream", (0.2, 0.1, 0.4), 1, 0.0, 1e9, {"function": "read"})
    again = replace(BASE, measurements=(slow, *BASE.measurements[1:]))
    # 1 GB in 0.1 s, 1 GFLOP in 0.01 s, 1 GB in 0.5 s.
    assert roofs(again) == {"dram.read": 1e10, "gemm.fp32": 1e11, "caches.L1": 2e9}


def test_within_five_per_cent_is_agreement() -> None:
    near = compare(BASE, record({"read": 0.104, "gemm": 0.0099}))
    assert near.compared == 3
    assert near.moved == {}
    assert near.reasons == ()


def test_what_moved_is_reported_with_what_differed() -> None:
    now = record({"read": 0.2, "gemm": 0.01}, libraries={"torch": "2.14.0"}, others_cores=1.5)
    told = compare(BASE, now)
    assert list(told.moved) == ["dram.read"]
    assert told.moved["dram.read"].ratio == pytest.approx(0.5)
    assert told.reasons == (
        "torch was 2.13.0 and is 2.14.0",
        "other processes used 1.5 cores during this run",
    )


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        ({"stolen_cores": 0.3}, "the host withheld 0.30 cores during this run"),
        ({"clock_hz": 2e9}, "the clock was 3.00 GHz and is now 2.00"),
        ({"governor": "powersave"}, "governor was None and is powersave"),
    ],
)
def test_reasons(machine: dict[str, Any], said: str) -> None:
    assert said in compare(BASE, record({"read": 0.2, "gemm": 0.01}, **machine)).reasons


def test_rounds_that_moved_within_a_run_are_a_reason() -> None:
    slow = Measurement("stream", (0.15,), 1, 0.0, 1e9, {"function": "read"})
    now = replace(record({"read": 0.2, "gemm": 0.01}), page_size=4096)
    now = replace(now, measurements=(slow, *now.measurements), quick=False)
    reasons = compare(BASE, now).reasons
    assert "streams ran on pages of 2097152 bytes, now of 4096" in reasons
    assert "one of them was --quick" in reasons
    assert any("stream read changed by 33% between rounds" in reason for reason in reasons)


def test_without_any_reason_that_is_reported() -> None:
    told = compare(BASE, record({"read": 0.2, "gemm": 0.01}))
    assert told.reasons == (
        "no reading of this machine accounts for it; measure a third time and keep the faster",
    )


def test_warnings_name_the_next_command() -> None:
    machine = {
        **MACHINE,
        "others_cores": 1.0,
        "stolen_cores": 0.2,
        "throttled": ["heat (hardware)"],
    }
    told = list(warnings((), machine))
    assert len(told) == 3
    assert all("memorywall measure --threads 1" in warning for warning in told)
    assert list(warnings((), MACHINE)) == []


RECORDED = sorted((Path(__file__).parent.parent.parent / "results").glob("measure-*.json"))


def test_saving_compares_with_the_last_of_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMORYWALL_DATA", str(tmp_path))
    one = MachineRecord.from_dict(json.loads(RECORDED[0].read_text()))
    assert last_like(one) is None
    assert save(one).agreement is None
    later = replace(one, machine={**one.machine, "created": "2099-01-01T00:00:00+00:00"})
    agreement = save(later).agreement
    assert agreement is not None
    assert agreement.compared > 10
    assert agreement.moved == {}
    other = replace(later, threads=one.threads + 1)
    assert last_like(other) is None
    # A record that something else spoilt is passed over.
    newest = max((tmp_path / "records").glob("*.json"))
    newest.write_text("{")
    found = last_like(one)
    assert found is not None
    assert found.machine["created"] == one.machine["created"]

"""A measured machine and its profiles as text: recorded runs on a page of 80 columns."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from memorywall.answer.measure import to_hardware
from memorywall.bench.agreement import compare
from memorywall.bench.profiles import Profile, ProfiledRoofs
from memorywall.bench.samples import MachineRecord
from memorywall.core.records import from_record, load_record
from memorywall.report.figures import draw_roofline
from memorywall.report.measured_machine import show_brief, show_machine, show_profile
from memorywall.studies.paper.findings import CaseStudy

RESULTS = Path(__file__).parent.parent.parent / "results"
MEASURED = sorted(RESULTS.glob("measure-*.json"))


def on_a_page(show: Callable[[Console], Any], width: int = 80) -> str:
    file = io.StringIO()
    show(Console(file=file, width=width, highlight=False, markup=False, emoji=False))
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text  # nothing is cut
    return text


def profile() -> Profile:
    """The recorded runs of the case study, as one profile of GPT-2."""
    here = from_record(
        CaseStudy, json.loads((RESULTS / "study-epyc-1-thread.json").read_text())
    ).here
    assert here is not None
    cases = here.cases["GPT-2"]
    failed = replace(cases[0], samples_s=(), error="MemoryError: for want of 500 GB")
    return Profile(
        "gpt2", "GPT2LMHeadModel", "random", here.hardware,
        ProfiledRoofs({"fp32": 1e11}, {"L1": 1e11}),
        {**here.machine, "busy_cores_before": 1.5}, "records/profile.json", (*cases, failed),
    )  # fmt: skip


@pytest.mark.parametrize("path", MEASURED, ids=lambda p: p.stem)
def test_a_machine_fits_the_page(path: Path) -> None:
    record = load_record(MachineRecord, path)
    moved = compare(load_record(MachineRecord, MEASURED[0]), replace(record, page_size=4096))
    text = on_a_page(lambda page: show_machine(record, to_hardware(record), moved, page))
    assert "matrix product, fp16 (no native arithmetic here)" in text
    assert f"calibrated on {len(record.measurements)} micro-benchmarks" in text
    on_a_page(lambda page: show_brief("a machine", list(record.decode_rates()), (), page))


def test_a_profile_fits_the_page() -> None:
    found = profile()
    text = on_a_page(lambda page: show_profile(found, page))
    flat = " ".join(text.split())
    # Eight runs, of which the last did not; errors as in results/README.md.
    assert f"of {len(found.cases) - 1} lie in their interval" in flat
    assert "did not run: generate, batch 1, seq 128: MemoryError" in flat
    assert "Others used 1.5 cores" in flat
    assert "every case: fp32, 1 thread" in text
    # Every case is in both pieces, with its phase, batch and length.
    assert text.count("\ngenerate      1   128  ") == 2 * 2  # one of them did not run
    wide = on_a_page(lambda page: show_profile(found, page), 200)
    assert wide.count("\ngenerate      1   128  ") == 2


def test_a_profile_is_drawn() -> None:
    from matplotlib.figure import Figure

    assert isinstance(draw_roofline(profile()), Figure)


def test_a_profile_of_version_1_is_read() -> None:
    # As it was written: rates and shares, no peaks.
    record = profile().to_dict()
    old = {**record, "schema": "memorywall.profile/1", "cases": [
        {k: v for k, v in case.items() if not k.startswith("peak_")} for case in record["cases"]
    ]}  # fmt: skip
    again = Profile.from_dict(old)
    assert [case.samples_s for case in again.cases] == [c.samples_s for c in profile().cases]
    for case, before in zip(again.cases, profile().cases, strict=True):
        assert case.mfu == (None if before.mfu is None else pytest.approx(before.mfu))
        if before.measured_s is None:
            assert case.peak_flop_per_s is None

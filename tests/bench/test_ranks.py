"""Collectives between real processes, on buffers of next to nothing; no time is asserted."""

from __future__ import annotations

from dataclasses import replace

from memorywall.bench import ranks
from memorywall.bench.pipe import Answer, Case


def test_bytes_that_a_rank_must_send() -> None:
    # Of 4 ranks and 100 bytes: a ring all-reduce sends 2 x 100 x 3/4, the others 100 x 3/4; there
    # and back is twice 100.
    assert ranks.sent_bytes("all_reduce", 100, 4) == 150
    assert ranks.sent_bytes("all_gather", 100, 4) == 75
    assert ranks.sent_bytes("all_to_all", 100, 4) == 75
    assert ranks.sent_bytes("point_to_point", 100, 4) == 200


def test_two_processes_run_every_collective() -> None:
    plan = [
        replace(case, parameters={**case.parameters, "nbytes": 1024}, budget_s=0.0)
        for case in ranks.collectives(quick=True)
    ]
    found = [answer.measurement for _, answer in ranks.answers(plan[::3], 2, "cpu")]
    assert [m and m.parameters["function"] for m in found] == list(ranks.FUNCTIONS)
    for measurement in found:
        assert measurement is not None
        assert len(measurement.seconds) >= 3
        sent = ranks.sent_bytes(measurement.parameters["function"], 1024, 2)
        assert measurement.moved_bytes == sent


def test_ranks_that_fail_are_reported() -> None:
    plan = [Case("collective", 0.0, {"function": "no such", "nbytes": 8})]
    found = [answer for _, answer in ranks.answers(plan, 2, "cpu")]
    assert found == [Answer(error="the 2 processes did not finish")]
